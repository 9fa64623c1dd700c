"""This is the room for making partitions before they are needed, without standing in the way of those who write."""

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.indexes import missing_indexes
from owlrunner_maintenance.months import Month, Span, as_bound, gaps
from owlrunner_maintenance.names import Name, Names, Relation
from owlrunner_maintenance.queries import columns, rows
from owlrunner_maintenance.settings import MaintenanceSettings, PartitionedTable
from owlrunner_maintenance.tables import PLAIN, Parent, Partition, find_parent, now, partitions
from owlrunner_maintenance.units import MaintenanceFailed, Stopped, Units, reason_of, units_of

_SOMEBODY_WAS_QUICKER = (
    psycopg.errors.DuplicateTable,
    # Of the row type that comes with each table: met instead of the table when both are being made at the same moment.
    psycopg.errors.DuplicateObject,
    psycopg.errors.InvalidObjectDefinition,
    psycopg.errors.UniqueViolation,
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

    def result(self, covered: dict[str, bool], *, cancelled: bool) -> dict[str, object]:
        """The run's result: for each table whether all its months are there; ``cancelled_at`` counts months of tables."""
        result: dict[str, object] = {
            **covered,
            "created": self.created,
            "existing": self.existing,
            "indexes_created": self.indexes,
        }
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
        failures = len(report.failed)
        for month in months:
            units.stop_if_cancelled()
            made, found = await _cover(units, report, table, month)
            report.created += made
            report.existing += bool(found)
            adopted |= {partition.relation.oid: (table, partition) for partition in found}
            report.done += 1
            ctx.progress(report.done, total, f"{table.table} {month}: {'created' if made else 'checked'}")
        covered[table.table] = len(report.failed) == failures
    return list(adopted.values())


async def _cover(
    units: Units, report: _Report, table: PartitionedTable, month: Month
) -> tuple[list[str], list[Partition]]:
    """Cover one month of one table; return the names of new partitions, and the partitions that cover it since before."""

    async def work(connection: owlrunner.Connection) -> tuple[list[str], list[Partition]]:
        # Looked up anew at each try, because another server may have been at it meanwhile.
        parent = await find_parent(connection, Names.of(table.table))
        if not isinstance(parent, Parent):
            raise MaintenanceFailed(_UNUSABLE[parent])
        found = [
            one
            for one in await partitions(connection, parent.relation)
            if one.span is not None and one.span.overlaps(month.span)
        ]
        missing = gaps(month.span, [one.span for one in found if one.span is not None])
        return [await _create(connection, parent, table, month, span) for span in missing], found

    what = f"{table.table} {month}"
    try:
        made, found = await units.patiently(what, work, again_after=_SOMEBODY_WAS_QUICKER)
    except MaintenanceFailed as error:
        report.failed[what] = str(error).removeprefix(f"{what}: ")
    except psycopg.Error as error:
        if units.connection.closed:
            raise
        report.failed[what] = reason_of(error)
    else:
        for name in made:
            units.ctx.log.info("created partition %s", name)
        return made, found
    units.ctx.log.warning("%s: %s", what, report.failed[what])
    return [], []


_UNUSABLE = {
    "missing": "there is no such table; correct partitioned_tables in [plugins.maintenance]",
    "not partitioned": "the table is not partitioned by range over one column of time",
}


async def _create(
    connection: owlrunner.Connection, parent: Parent, table: PartitionedTable, month: Month, span: Span
) -> str:
    """Make one partition with its indexes, in the transaction under way; return its name."""
    schema = parent.relation.schema
    name = await _free_name(connection, schema, f"{parent.relation.name}_{month}")
    partition = Name(schema, name)
    tablespace = sql.SQL("tablespace {}").format(Name(parent.tablespace)) if parent.tablespace else sql.SQL("")
    await rows(
        connection,
        "create_table_like",
        partition=partition,
        parent=parent.relation.identifier,
        tablespace=tablespace,
    )
    for suffix, indexed in table.indexes.items():
        index = Name(f"{name}_{suffix}")
        await rows(connection, "create_index", index=index, partition=partition, columns=columns(indexed))
    await rows(
        connection,
        "attach_partition",
        parent=parent.relation.identifier,
        partition=partition,
        lower=sql.Literal(as_bound(span.start)),
        upper=sql.Literal(as_bound(span.end)),
    )
    return Names.of(table.table).label(name)


async def _free_name(connection: owlrunner.Connection, schema: str, name: str) -> str:
    """The name, or with a number where something has it already: a partition of other bounds, or one that was detached."""
    candidate, number = name, 1
    while (await rows(connection, "name_is_taken", {"schema": schema, "name": candidate}))[0][0]:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


async def _complete_indexes(units: Units, report: _Report, table: PartitionedTable, partition: Partition) -> None:
    """Give a partition that was there before the indexes it lacks, beside those who write to it."""
    if partition.kind != PLAIN:
        return
    relation = partition.relation
    for suffix, leftover in await missing_indexes(units, relation, table.indexes):
        units.stop_if_cancelled()
        name = f"{relation.name}_{suffix}"
        units.ctx.log.info("creating index %s", name)
        try:
            if leftover:
                await rows(units.connection, "drop_index_concurrently", index=Name(relation.schema, name))
            await _create_index(units.connection, relation, name, table.indexes[suffix])
        except psycopg.Error as error:
            if units.connection.closed:
                raise
            report.failed[f"index {name}"] = reason_of(error)
            units.ctx.log.warning("index %s: %s", name, report.failed[f"index {name}"])
        else:
            report.indexes.append(name)


async def _create_index(
    connection: owlrunner.Connection, relation: Relation, name: str, indexed: tuple[str, ...]
) -> None:
    await rows(
        connection,
        "create_index_concurrently",
        index=Name(name),
        partition=relation.identifier,
        columns=columns(indexed),
    )
