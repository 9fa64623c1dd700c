"""Short names for statements: the file that a query comes from, else its first words."""

import re
from functools import cache
from pathlib import Path

from tests.lab.wire import Statement

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("owlrunner/storage", "plugins/owlrunner_maintenance")
_LONGEST = 40
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_PLACE = re.compile(r"%\(\w+\)s|%s|\$\d+")


def _normal(text: str) -> str:
    """The text without what differs between a file and what is sent: comments, white space, how places are marked."""
    return " ".join(_PLACE.sub("?", _COMMENT.sub("", text)).replace("%%", "%").split())


@cache
def _files() -> dict[str, str]:
    """Normal text → name, such as ``job_runs.finish``."""
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        for file in sorted((_ROOT / folder).rglob("*.sql")):
            below = file.relative_to(_ROOT / folder).with_suffix("").parts
            found[_normal(file.read_text("utf-8"))] = ".".join(part for part in below if part != "sql")
    return found


@cache
def name_of_text(text: str) -> str:
    """The name of a statement's text; the same text has the same name in every run."""
    normal = _normal(text)
    known = _files().get(normal)
    if known is not None:
        return known
    return re.sub(r"[^a-z0-9_.]+", "-", normal.lower())[:_LONGEST].strip("-") or "empty"


def name_of(statement: Statement, previous: str) -> str:
    """The name of a statement; the end of a transaction is called after the statement before it on its connection."""
    name = name_of_text(statement.text)
    if statement.only_prepares:
        return f"prepare-{name}"
    if name in {"commit", "rollback"}:
        return f"{name}-after-{previous}"
    return name
