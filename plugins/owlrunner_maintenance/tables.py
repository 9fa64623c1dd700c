"""This is the room for what PostgreSQL says of partitioned tables: which partitions there are, and what time each covers."""

from datetime import UTC, datetime
from typing import Literal

import attrs

import owlrunner
from owlrunner_maintenance.months import Span
from owlrunner_maintenance.names import Names, Relation
from owlrunner_maintenance.queries import rows

PLAIN, PARTITIONED = "r", "p"


@attrs.frozen
class Parent:
    """A partitioned table."""

    relation: Relation
    column: str
    """The column of time by which it is partitioned."""
    tablespace: str | None


@attrs.frozen
class Partition:
    """A partition. Its name is a courtesy; what it holds is told by its span, which a default partition does not have."""

    relation: Relation
    kind: str
    """``r`` for a plain table, ``p`` for one that is partitioned further, ``f`` for a foreign one."""
    span: Span | None


async def now(connection: owlrunner.Connection) -> datetime:
    """The time of the database."""
    ((moment,),) = await rows(connection, "now")
    in_utc: datetime = moment.astimezone(UTC)
    return in_utc


async def find_parent(connection: owlrunner.Connection, names: Names) -> Parent | Literal["missing", "not partitioned"]:
    """The table that a setting names, or why it cannot be worked on."""
    found = await rows(connection, "partitioned_table", attrs.asdict(names))
    if not found:
        return "missing"
    ((oid, schema, name, by_time, column, tablespace),) = found
    return Parent(Relation(oid, schema, name), column, tablespace) if by_time else "not partitioned"


async def partitions(connection: owlrunner.Connection, parent: Relation) -> list[Partition]:
    """The partitions of a table, by the start of their spans."""
    return [
        Partition(Relation(oid, schema, name), kind, None if default else Span(start, end))
        for oid, schema, name, kind, start, end, default in await rows(connection, "partitions", {"parent": parent.oid})
    ]
