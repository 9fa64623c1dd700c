"""This is the room for making partitions before they are needed, without standing in the way of those who write."""

import attrs
import psycopg

import owlrunner
from owlrunner_maintenance.indexes import make_index, missing_indexes
from owlrunner_maintenance.months import Month, gaps
from owlrunner_maintenance.names import Names, numbered
from owlrunner_maintenance.new_partition import Made, NewPartition, RowsInDefault
from owlrunner_maintenance.settings import MaintenanceSettings, PartitionedTable
from owlrunner_maintenance.tables import PLAIN, Parent, Partition, find_parent, now, partitions
from owlrunner_maintenance.units import MaintenanceFailed, Stopped, Units, reason_of, units_of

_SOMEBODY_WAS_QUICKER = (
    psycopg.errors.DuplicateTable,
    # Of the row type that comes with each table: met instead of the table when both are being made at the same moment.
    psycopg.errors.DuplicateObject,
    psycopg.errors.InvalidObjectDefinition,
    psycopg.errors.UniqueViolation,
    # A row of the month has just come into the default partition.
    psycopg.errors.CheckViolation,
)
"""A second look decides: the partition of another server is there now, or what is in the way is in the way for good."""


@attrs.define
class _Report:
    """What a run has found and done."""

    done: int = 0
    created: list[str] = attrs.field(factory=list)
    existing: int = 0
    indexes: list[str] = attrs.field(factory=list)
    failed: dict[str, str] = attrs.field(factory=dict)
    """What could not be made → why."""
    overlapping: set[str] = attrs.field(factory=set)
    """Partitions that were there before and have other bounds than a month."""
    names_taken: dict[str, str] = attrs.field(factory=dict)
    """New partition → what has the name that it would have had."""
    in_default: dict[str, dict[str, object]] = attrs.field(factory=dict)
    """Month of a table that could not be made → the default partition that holds rows of it, and how many."""
    moved: dict[str, int] = attrs.field(factory=dict)
    """New partition → how many rows it got out of the default partition."""

    def note(self, made: list[Made], found: list[Partition], month: Month, names: Names) -> None:
        """A month is covered by what was made now and what was found."""
        self.created += [one.name for one in made]
        self.existing += bool(found)
        self.overlapping |= {names.label(one.relation.name) for one in found if one.span != month.span}
        self.names_taken |= {one.name: one.instead_of for one in made if one.instead_of}
        self.moved |= {one.name: one.moved for one in made if one.moved}

    def result(self, covered: dict[str, bool], *, cancelled: bool) -> dict[str, object]:
        """The run's result: for each table whether all its months are there; ``cancelled_at`` counts months of tables."""
        result: dict[str, object] = {
            **covered,
            "created": self.created,
            "existing": self.existing,
            "indexes_created": self.indexes,
        }
        told: dict[str, object] = {
            "overlapping": sorted(self.overlapping),
            "names_taken": self.names_taken,
            "in_default_partition": self.in_default,
            "moved_from_default": self.moved,
        }
        result |= {key: value for key, value in told.items() if value}
        if cancelled:
            result["cancelled_at"] = self.done
        return result


async def create_partitions(ctx: owlrunner.JobContext, settings: MaintenanceSettings) -> dict[str, object]:
    """See to it that every configured table has its partitions from the previous month to ``months_ahead``.

    Returns ``_Report.result``. A run that is asked to cancel returns what it has.

    Raises MaintenanceFailed when a partition or an index could not be made, after all others were.
    """
    report = _Report()
    covered = {one.table: False for one in settings.partitioned_tables}
    async with units_of(ctx, settings) as units:
        try:
            adopted = await _create_all(units, report, covered)
            for table, partition in adopted:
                await _complete_indexes(units, report, table, partition)
        except Stopped:
            return report.result(covered, cancelled=True)
    if report.failed:
        reasons = "; ".join(f"{what}: {reason}" for what, reason in report.failed.items())
        made = f" (created: {', '.join(report.created)})" if report.created else ""
        raise MaintenanceFailed(f"not everything is in place: {reasons}{made}")
    return report.result(covered, cancelled=False)


async def _create_all(
    units: Units, report: _Report, covered: dict[str, bool]
) -> list[tuple[PartitionedTable, Partition]]:
    """Make what is missing, and return the partitions that were there before."""
    settings, ctx = units.settings, units.ctx
    this_month = Month.of(await units.once(now))
    months = [this_month.plus(step) for step in range(-1, settings.months_ahead + 1)]
    total = len(settings.partitioned_tables) * len(months)
    ctx.progress(0, total, "Looking for missing partitions...")
    adopted: dict[int, tuple[PartitionedTable, Partition]] = {}
    for table in settings.partitioned_tables:
        all_there = True
        for month in months:
            units.stop_if_cancelled()
            done = await _cover(units, report, table, month)
            made, found = done or ([], [])
            all_there = all_there and done is not None
            adopted |= {partition.relation.oid: (table, partition) for partition in found}
            report.done += 1
            ctx.progress(report.done, total, f"{table.table} {month}: {'created' if made else 'checked'}")
        covered[table.table] = all_there
    return list(adopted.values())


async def _cover(
    units: Units, report: _Report, table: PartitionedTable, month: Month
) -> tuple[list[Made], list[Partition]] | None:
    """Cover one month of one table; return the new partitions, and those that cover it since before. None if that failed."""

    async def work(connection: owlrunner.Connection) -> tuple[list[Made], list[Partition]]:
        # Looked up anew at each try, because another server may have been at it meanwhile.
        parent = await find_parent(connection, Names.of(table.table))
        if not isinstance(parent, Parent):
            raise MaintenanceFailed(_UNUSABLE[parent])
        everything = await partitions(connection, parent.relation)
        default = next((one for one in everything if one.span is None), None)
        found = [one for one in everything if one.span is not None and one.span.overlaps(month.span)]
        missing = gaps(month.span, [one.span for one in found if one.span is not None])
        made = [
            await NewPartition(units.settings, table, parent, default, month, span).create(connection)
            for span in missing
        ]
        return made, found

    what = f"{table.table} {month}"
    try:
        made, found = await units.patiently(what, work, again_after=_SOMEBODY_WAS_QUICKER)
    except RowsInDefault as error:
        # Events go on coming in, and no further try would change it, so the run does not fail for this.
        report.in_default[what] = {"partition": error.partition, "rows": error.rows, "reason": error.why_not_moved}
        units.ctx.log.warning("%s: %s", what, error)
        return None
    except MaintenanceFailed as error:
        report.failed[what] = str(error).removeprefix(f"{what}: ")
    except psycopg.Error as error:
        if units.connection.closed:
            raise
        report.failed[what] = reason_of(error)
    else:
        for one in made:
            units.ctx.log.info("created partition %s", one.name)
        report.note(made, found, month, Names.of(table.table))
        return made, found
    units.ctx.log.warning("%s: %s", what, report.failed[what])
    return None


_UNUSABLE = {
    "missing": "there is no such table; correct partitioned_tables in [plugins.maintenance]",
    "not partitioned": "the table is not partitioned by range over one column of time",
}


async def _complete_indexes(units: Units, report: _Report, table: PartitionedTable, partition: Partition) -> None:
    """Give a partition that was there before the indexes it lacks, beside those who write to it."""
    if partition.kind != PLAIN:
        return
    for missing in await missing_indexes(units, partition.relation, table.indexes):
        units.stop_if_cancelled()
        wanted = numbered(partition.relation.name, 1, missing.suffix)
        units.ctx.log.info("creating index %s", wanted)
        try:
            report.indexes.append(await make_index(units, partition.relation, missing))
        except (psycopg.Error, MaintenanceFailed) as error:
            if units.connection.closed:
                raise
            report.failed[f"index {wanted}"] = reason_of(error)
            units.ctx.log.warning("index %s: %s", wanted, report.failed[f"index {wanted}"])
