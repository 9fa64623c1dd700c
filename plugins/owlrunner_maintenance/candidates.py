"""This is the room for which partitions may go: what they hold decides, not what they are called."""

from datetime import datetime

import attrs

import owlrunner
from owlrunner_maintenance.months import Month
from owlrunner_maintenance.names import Names
from owlrunner_maintenance.tables import PARTITIONED, PLAIN, Parent, Partition, find_parent, now, partitions
from owlrunner_maintenance.units import Units


@attrs.frozen
class Candidate:
    """A partition of a configured table, and under which name people know it."""

    label: str
    parent: Parent
    partition: Partition
    start: datetime
    end: datetime


@attrs.frozen
class Found:
    """The partitions of all configured tables that hold something which may go."""

    this_month: Month
    old: list[Candidate]
    """What lies wholly before this month, oldest first."""
    current: list[Candidate]
    """Plain partitions that reach into this month: of these, rows may go."""


async def find_candidates(units: Units, skipped: dict[str, str]) -> Found:
    """Look for them. Tables that cannot be worked on are noted in ``skipped`` with the reason.

    Foreign tables are left out, because dropping one frees nothing here, and so are default partitions.
    """
    moment = await units.once(now)
    this_month = Month.of(moment)
    found: list[Candidate] = []
    for table in units.settings.partitioned_tables:
        answer = await _of_one_table(units, Names.of(table.table))
        if isinstance(answer, str):
            skipped[table.table] = answer
            units.ctx.log.warning("table %s is %s", table.table, answer)
        else:
            found += answer
    # Sorting is stable, so of one month the tables go in the order in which they are configured.
    old = sorted((one for one in found if one.end <= this_month.start), key=lambda one: one.end)
    current = sorted(
        (one for one in found if one.end > this_month.start and one.start <= moment and one.partition.kind == PLAIN),
        key=lambda one: one.start,
    )
    return Found(this_month, old, current)


async def _of_one_table(units: Units, names: Names) -> list[Candidate] | str:
    async def work(connection: owlrunner.Connection) -> list[Candidate] | str:
        parent = await find_parent(connection, names)
        if not isinstance(parent, Parent):
            return parent
        return [
            Candidate(names.label(one.relation.name), parent, one, *one.span)
            for one in await partitions(connection, parent.relation)
            if one.span is not None and one.kind in (PLAIN, PARTITIONED)
        ]

    return await units.once(work)
