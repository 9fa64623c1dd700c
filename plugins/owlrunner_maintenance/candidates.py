"""This is the room for which partitions may go: what they hold decides, not what they are called."""

from collections.abc import Iterator
from datetime import datetime

import attrs

import owlrunner
from owlrunner_maintenance.months import Month
from owlrunner_maintenance.names import Names, Relation
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.tables import PARTITIONED, PLAIN, Parent, Partition, find_parent, now, partitions
from owlrunner_maintenance.units import Units


@attrs.frozen
class Candidate:
    """A partition of a configured table, or a part of one, and under which name people know it."""

    label: str
    parent: Parent
    relation: Relation
    """What is dropped, emptied, or loses rows."""
    partition: Partition
    """The partition that it is, or lies in."""
    leaves: tuple[Relation, ...]
    """The plain tables that hold its rows."""
    start: datetime
    end: datetime

    async def is_as_found(self, connection: owlrunner.Connection) -> bool:
        """Whether it is, when it is locked, still what was decided upon: same table, name and bounds."""
        if not any(
            one == self.partition and _written(one.relation) == _written(self.partition.relation)
            for one in await partitions(connection, self.parent.relation)
        ):
            return False
        return self.relation == self.partition.relation or self.relation in await _leaves(connection, self.partition)


@attrs.frozen
class Found:
    """The partitions of all configured tables that hold something which may go."""

    this_month: Month
    old: list[Candidate]
    """What lies wholly before the previous month, oldest first: these may be dropped."""
    staying: list[Candidate]
    """Plain tables that reach into the previous month or this one, oldest first: of these, rows may go."""

    def is_over(self, candidate: Candidate) -> bool:
        """Whether the partition's time is over, so that few rows come in for it any more."""
        return candidate.end <= self.this_month.start


async def find_candidates(units: Units, skipped: dict[str, str]) -> Found:
    """Look for them. Tables that cannot be worked on are noted in ``skipped`` with the reason.

    Foreign tables are left out, because dropping one frees nothing here, and so are default partitions.
    """
    moment = await units.once(now)
    this_month = Month.of(moment)
    needed_from = this_month.plus(-1).start
    found: list[Candidate] = []
    for table in units.settings.partitioned_tables:
        answer = await _of_one_table(units, Names.of(table.table))
        if isinstance(answer, str):
            skipped[table.table] = answer
            units.ctx.log.warning("table %s is %s", table.table, answer)
        else:
            found += answer
    # Sorting is stable, so of one month the tables go in the order in which they are configured.
    old = sorted((one for one in found if one.end <= needed_from), key=lambda one: one.end)
    staying = sorted(
        (
            part
            for one in found
            if one.end > needed_from and one.start <= moment
            for part in _parts(one)
        ),
        key=lambda one: one.start,
    )  # fmt: skip
    return Found(this_month, old, staying)


async def _of_one_table(units: Units, names: Names) -> list[Candidate] | str:
    async def work(connection: owlrunner.Connection) -> list[Candidate] | str:
        parent = await find_parent(connection, names)
        if not isinstance(parent, Parent):
            return parent
        return [
            Candidate(
                names.label(one.relation.name), parent, one.relation, one, await _leaves(connection, one), *one.span
            )
            for one in await partitions(connection, parent.relation)
            if one.span is not None and one.kind in (PLAIN, PARTITIONED)
        ]

    return await units.once(work)


def _parts(candidate: Candidate) -> Iterator[Candidate]:
    """The plain tables of a partition, each as a candidate."""
    if candidate.partition.kind == PLAIN:
        yield candidate
        return
    schema, _, _ = candidate.label.rpartition(candidate.relation.name)
    for leaf in candidate.leaves:
        yield attrs.evolve(candidate, label=f"{schema}{leaf.name}", relation=leaf, leaves=(leaf,))


async def _leaves(connection: owlrunner.Connection, partition: Partition) -> tuple[Relation, ...]:
    if partition.kind == PLAIN:
        return (partition.relation,)
    found = await rows(connection, "leaves", {"partition": partition.relation.oid})
    return tuple(Relation(*row) for row in found)


def _written(relation: Relation) -> tuple[str, str]:
    return relation.schema, relation.name
