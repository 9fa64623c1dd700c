"""This is the room for names of tables: as settings write them, as PostgreSQL holds them, and as people read them."""

from collections.abc import Iterable
from typing import Self
from uuid import UUID

import attrs
from psycopg import sql
from psycopg.abc import AdaptContext

INDEX_ROOM = 63
"""Bytes of a name that PostgreSQL keeps; it cuts off the rest, and two names may become one."""
_PARTITION_SUFFIX = "_2026_12_99"
"""As long as the longest that a partition gets: year, month, and a number where the plain name is taken."""

MOST_NAMESAKES = 99
"""How many of one name there may be, told apart by numbers."""

RootId = str | int | UUID
"""The primary key of a row that can be soft-deleted."""


class Name(sql.Identifier):
    """A name in a query, behind those that it belongs to."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Quote it; psycopg takes a percent sign for the beginning of a parameter."""
        return super().as_bytes(context).replace(b"%", b"%%")


@attrs.frozen
class Names:
    """A table as settings name it: alone, to be found through the search path, or with its schema."""

    schema: str | None
    name: str

    @classmethod
    def of(cls, written: str) -> Self:
        """Read ``name`` or ``schema.name``, which is spelt as PostgreSQL stores it, without quotes."""
        schema, dot, name = written.rpartition(".")
        return cls(schema if dot else None, name)

    def label(self, name: str) -> str:
        """Another table of the same schema as the settings' author would write it."""
        return name if self.schema is None else f"{self.schema}.{name}"


@attrs.frozen
class Relation:
    """A table that exists. Two are the same if their ``oid`` is."""

    oid: int
    schema: str = attrs.field(eq=False)
    name: str = attrs.field(eq=False)

    @property
    def identifier(self) -> Name:
        """The table with its schema, so that no search path can turn it into another."""
        return Name(self.schema, self.name)


def problem_with_name(name: str, *, most_parts: int) -> str:
    """Why a name cannot be one, or ""."""
    parts = name.split(".") if most_parts > 1 else [name]
    if len(parts) > most_parts:
        return "too many dots"
    if not all(parts):
        return "a part of it is empty"
    if any(len(part.encode()) > INDEX_ROOM for part in parts):
        return f"longer than PostgreSQL's {INDEX_ROOM} bytes"
    return "it holds a NUL" if "\x00" in name else ""


def longest_index_name(table: Names, suffixes: Iterable[str]) -> str:
    """The longest name that a partition of the table, or an index on it, would get."""
    partition = table.name + _PARTITION_SUFFIX
    return max([partition, *(f"{partition}_{suffix}" for suffix in suffixes)], key=lambda name: len(name.encode()))


def numbered(name: str, number: int, suffix: str = "") -> str:
    """The name, with a number unless that is 1, and with a suffix, cut in its front part to what PostgreSQL keeps."""
    end = (f"_{number}" if number > 1 else "") + (f"_{suffix}" if suffix else "")
    front = name.encode()[: INDEX_ROOM - len(end.encode())]
    return front.decode(errors="ignore") + end


def in_camel_case(name: str) -> str:
    """``app_users`` as ``appUsers``: how results name the rows of a table."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)
