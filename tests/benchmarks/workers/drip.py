"""Latencies of single jobs: each carries the time at which it was enqueued, and its handler takes the difference."""

import os
import struct
import time
from pathlib import Path

VARIABLE = "OWL_LATENCIES"
PAUSE = 0.05
"""Seconds between two jobs."""


def arrived(sent: float) -> None:
    """A handler has started, for a job that was sent at this ``time.monotonic()``."""
    with Path(os.environ[VARIABLE]).open("ab") as file:
        file.write(struct.pack("=d", time.monotonic() - sent))


def ask(path: Path) -> None:
    """Remember that something is asked for now."""
    path.with_suffix(".asked").write_text(repr(time.monotonic()))


def asked_at() -> float:
    """When it was."""
    return float(Path(os.environ[VARIABLE]).with_suffix(".asked").read_text())


def read(path: Path) -> list[float]:
    """All latencies so far, in seconds."""
    return [value for (value,) in struct.iter_unpack("=d", path.read_bytes())] if path.exists() else []
