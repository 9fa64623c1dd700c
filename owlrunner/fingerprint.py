"""Name what a server can read: two servers whose job type has the same fingerprint read the same params."""

import contextlib
import hashlib
import inspect
from functools import cache
from pathlib import Path

import msgspec

from owlrunner.job_type import AnyJobType


@cache
def fingerprint_of(job_type: AnyJobType) -> str:
    """Return a short text that changes when the params that the job type reads may have changed.

    It covers the JSON Schema of the params and the files in which their class and the handler are written, because a
    validator does not show in a schema. Too many fingerprints cost one more look at a run; one too few would leave it
    waiting for ever.
    """
    digest = hashlib.sha256(msgspec.json.encode(job_type.params_schema(), order="sorted"))
    for thing in (job_type.params_type, inspect.unwrap(job_type.handler)):
        # Built-in, made at run time, or installed without sources: the schema has to do.
        with contextlib.suppress(TypeError, OSError):
            file = inspect.getsourcefile(thing) if thing is not None else None
            if file is not None:
                digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]
