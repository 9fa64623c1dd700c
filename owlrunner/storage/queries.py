"""The texts of the statements, by name."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

_WRITES = re.compile(
    rb"\b(insert|update|delete|merge|pg_notify|nextval|set_config|pg_advisory\w*|listen|notify)\b", re.IGNORECASE
)
_COMMENT = re.compile(rb"--[^\n]*")


def _read_queries(folder: Traversable, prefix: str = "") -> dict[str, bytes]:
    """Return the text of every ``.sql`` file by its path without the suffix."""
    queries: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            queries |= _read_queries(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".sql"):
            queries[prefix + entry.name.removesuffix(".sql")] = entry.read_bytes()
    return queries


# Read at the start: a process that has run out of file descriptors must still be able to say so in the database.
_QUERIES = _read_queries(files("owlrunner.storage") / "sql")
READ_ONLY = frozenset(name for name, text in _QUERIES.items() if not _WRITES.search(_COMMENT.sub(b"", text)))
"""The names of those that change nothing."""


def query(name: str) -> bytes:
    """Return the text of ``sql/<name>.sql``."""
    return _QUERIES[name]
