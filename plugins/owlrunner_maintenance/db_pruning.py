"""This is the room for keeping the database below its limit: the oldest partitions go, one after the other, until it fits.

A partition that reaches into the previous month is emptied instead of dropped: late events still come in for that month, and
one that finds no partition spoils its whole batch.
"""

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.candidates import Candidate, Found, find_candidates
from owlrunner_maintenance.months import instant
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.row_pruning import Pruned, RowPruning
from owlrunner_maintenance.settings import GIGABYTE, MaintenanceSettings
from owlrunner_maintenance.tables import partitions
from owlrunner_maintenance.units import (
    GONE,
    IN_THE_WAY,
    LockBusy,
    MaintenanceFailed,
    Stopped,
    Units,
    reason_of,
    units_of,
)

SKIPPED = {"skipped": True, "reason": "max_size_bytes not configured"}


@attrs.define
class _Report:
    """What a run has found and done. Sizes are bytes."""

    limit: int
    size: int = 0
    handled: int = 0
    dropped: list[str] = attrs.field(factory=list)
    emptied: list[str] = attrs.field(factory=list)
    rows: Pruned = attrs.field(factory=Pruned)
    audit: list[dict[str, object]] = attrs.field(factory=list)
    failed: dict[str, str] = attrs.field(factory=dict)
    skipped_tables: dict[str, str] = attrs.field(factory=dict)
    planned: dict[str, object] = attrs.field(factory=dict)

    @property
    def within_limit(self) -> bool:
        """Whether nothing more has to go: what new rows can use is not counted."""
        return self.size - self.rows.reusable <= self.limit

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: what went, the size after it, and an ``audit`` of every step; more only where there is more."""
        result: dict[str, object] = {
            "dropped_partitions": self.dropped,
            "emptied_partitions": self.emptied,
            "deleted_rows": self.rows.deleted,
            "current_size_gb": round(self.size / GIGABYTE, 2),
            "reusable_gb": round(self.rows.reusable / GIGABYTE, 2),
            "within_limit": self.within_limit,
            "audit": self.audit + self.rows.audit,
        }
        result |= self.planned
        if self.failed:
            result["failed"] = self.failed
        if self.skipped_tables:
            result["skipped_tables"] = self.skipped_tables
        if cancelled:
            result["cancelled_at"] = self.handled
        return result


async def prune(
    ctx: owlrunner.JobContext, settings: MaintenanceSettings, *, limit: int, dry_run: bool
) -> dict[str, object]:
    """Bring the database below ``limit`` bytes, as far as old data goes, and return ``_Report.result``.

    A run that is asked to cancel returns what it has. A dry run changes nothing and tells what it would do.

    Raises MaintenanceFailed when the database is too big and nothing could be done about it because of others.
    """
    report = _Report(limit)
    async with units_of(ctx, settings) as units:
        report.size = await _size(units)
        if report.size <= limit:
            return report.result()
        try:
            run = _Run(units, report, await find_candidates(units, report.skipped_tables))
            if dry_run:
                await run.plan()
            else:
                await run.carry_out()
        except Stopped:
            report.size = await _size(units)
            return report.result(cancelled=True)
    done = report.dropped or report.emptied or report.rows.deleted or dry_run
    if report.failed and not done:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.failed.items())
        raise MaintenanceFailed(f"the database is above its limit, and nothing could be removed: {reasons}")
    if not report.within_limit:
        ctx.log.warning("the database is still %d bytes above its limit", report.size - report.rows.reusable - limit)
    return report.result()


@attrs.define
class _Run:
    """One run under way."""

    units: Units
    report: _Report
    found: Found

    async def carry_out(self) -> None:
        """Remove until it fits: whole partitions first, then rows."""
        report, total = self.report, len(self.found.old)
        for candidate in self.found.old:
            if report.size <= report.limit:
                break
            self.units.ctx.progress(report.handled, total, f"{candidate.label} goes")
            await self._remove(candidate)
            report.handled += 1
        # While an older partition is merely locked, newer rows are not the ones to go.
        if report.size > report.limit and not report.failed:
            await self._row_pruning().carry_out(report.size - report.limit)
            report.size = await _size(self.units)

    async def plan(self) -> None:
        """Find out what ``carry_out`` would do."""
        left = self.report.size
        would_drop: list[str] = []
        would_empty: list[str] = []
        would_delete = 0
        for candidate in self.found.old:
            if left <= self.report.limit:
                break
            size = await self._removable_bytes(candidate)
            if size is not None:
                (would_empty if self._stays(candidate) else would_drop).append(candidate.label)
                left -= size
        if left > self.report.limit:
            would_delete = await self._row_pruning().plan(left - self.report.limit)
        self.report.planned = {
            "dry_run": True,
            "would_drop": would_drop,
            "would_empty": would_empty,
            "would_delete_rows": would_delete,
        }

    def _row_pruning(self) -> RowPruning:
        return RowPruning(self.units, self.found.current, self.report.rows, self.report.failed)

    def _stays(self, candidate: Candidate) -> bool:
        """Whether late events may still need the partition."""
        return candidate.end > self.found.this_month.plus(-1).start

    async def _removable_bytes(self, candidate: Candidate) -> int | None:
        """What removing a partition would free: 0 while somebody has it locked, None when there is nothing to remove."""

        async def work(connection: owlrunner.Connection) -> int | None:
            ((rows_take, size),) = await rows(
                connection, "partition_size", {"partition": candidate.partition.relation.oid}
            )
            return None if self._stays(candidate) and not rows_take else int(size)

        try:
            return await self.units.once(work)
        except IN_THE_WAY:
            return 0
        except GONE:
            return None

    async def _remove(self, candidate: Candidate) -> None:
        """Drop or empty one partition, measure, and note it."""
        report, before = self.report, self.report.size
        stays = self._stays(candidate)
        try:
            if not await self.units.patiently(
                candidate.label, lambda connection: _remove(connection, candidate, stays)
            ):
                return
        except GONE:
            return
        except LockBusy as error:
            report.failed[candidate.label] = str(error).removeprefix(f"{candidate.label}: ")
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            report.failed[candidate.label] = reason_of(error)
        if candidate.label in report.failed:
            self.units.ctx.log.warning("%s: %s", candidate.label, report.failed[candidate.label])
            return
        report.size = await _size(self.units)
        action, names = ("emptied", report.emptied) if stays else ("dropped", report.dropped)
        names.append(candidate.label)
        report.audit.append(
            {
                "partition": candidate.label,
                "action": action,
                "from": instant(candidate.start),
                "to": instant(candidate.end),
                "freed_bytes": max(before - report.size, 0),
            }
        )
        self.units.ctx.log.info("%s %s, %d bytes less", action, candidate.label, before - report.size)


async def _remove(connection: owlrunner.Connection, candidate: Candidate, stays: bool) -> bool:
    """Empty the partition if it stays, else drop it. False where there is nothing to remove any more."""
    partition = candidate.partition.relation
    if stays:
        ((rows_take, _),) = await rows(connection, "partition_size", {"partition": partition.oid})
        if not rows_take:
            return False
    else:
        await rows(connection, "lock_parent", parent=candidate.parent.relation.identifier)
    # While we hold the parent, all who write wait: then we wait for nobody.
    wait = sql.SQL("" if stays else "nowait")
    await rows(connection, "lock_partition", partition=partition.identifier, wait=wait)
    if not await _is_as_found(connection, candidate):
        return False
    await rows(connection, "empty_partition" if stays else "drop_partition", partition=partition.identifier)
    return True


async def _is_as_found(connection: owlrunner.Connection, candidate: Candidate) -> bool:
    """Whether the partition is, now that it is locked, still what was decided upon: same table, name and bounds."""
    wanted = candidate.partition
    return any(
        one == wanted and (one.relation.schema, one.relation.name) == (wanted.relation.schema, wanted.relation.name)
        for one in await partitions(connection, candidate.parent.relation)
    )


async def _size(units: Units) -> int:
    async def work(connection: owlrunner.Connection) -> int:
        ((size,),) = await rows(connection, "database_size")
        return int(size)

    return await units.once(work)
