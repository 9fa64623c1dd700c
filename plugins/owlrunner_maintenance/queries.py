"""This is the room for the plugin's queries: each a file of ``sql``, in which ``{name}`` stands for an identifier or a literal."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg import sql

import owlrunner
from owlrunner_maintenance.names import Name

Params = Mapping[str, Any]


@cache
def _text(name: str) -> sql.SQL:
    text = files("owlrunner_maintenance").joinpath("sql", f"{name}.sql").read_text("utf-8")
    return sql.SQL(text)


def query(name: str, **parts: sql.Composable) -> sql.Composed:
    """One query with its parts put in, as a part of another."""
    return _text(name).format(**parts)


async def rows(
    connection: owlrunner.Connection, name: str, params: Params | None = None, **parts: sql.Composable
) -> list[tuple[Any, ...]]:
    """Run one query and return its rows."""
    cursor = await connection.execute(query(name, **parts), params or {})
    return await cursor.fetchall() if cursor.description is not None else []


async def changed(
    connection: owlrunner.Connection, name: str, params: Params | None = None, **parts: sql.Composable
) -> int:
    """Run one query and return how many rows it changed."""
    cursor = await connection.execute(query(name, **parts), params or {})
    return max(cursor.rowcount, 0)


def columns(names: tuple[str, ...]) -> sql.Composed:
    """A list of columns."""
    return sql.SQL(", ").join(map(Name, names))
