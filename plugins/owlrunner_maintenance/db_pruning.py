"""This is the room for keeping the database below its limit: the oldest partitions go, one after the other, until it fits.

A partition that reaches into the previous month is emptied instead of dropped: late events still come in for that month, and
one that finds no partition spoils its whole batch.
"""

from typing import Literal

import attrs
import psycopg

import owlrunner
from owlrunner_maintenance.candidates import Candidate, Found, find_candidates
from owlrunner_maintenance.months import as_bound
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.row_pruning import Part, Pruned, RowPruning
from owlrunner_maintenance.settings import GIGABYTE, MaintenanceSettings
from owlrunner_maintenance.tables import partitions
from owlrunner_maintenance.units import (
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

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: what went, the size after it, and an ``audit`` of every step; more only where there is more."""
        result: dict[str, object] = {
            "dropped_partitions": self.dropped,
            "emptied_partitions": self.emptied,
            "deleted_rows": self.rows.deleted,
            "current_size_gb": round(self.size / GIGABYTE, 2),
            "reusable_gb": round(self.rows.reusable / GIGABYTE, 2),
            "within_limit": self.size - self.rows.reusable <= self.limit,
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
        parts = [Part(one.label, one.parent.column, one.partition) for one in self.found.current]
        return RowPruning(self.units, parts, self.report.rows, self.report.failed)

    def _stays(self, candidate: Candidate) -> bool:
        """Whether late events may still need the partition."""
        return candidate.end > self.found.this_month.plus(-1).start

    async def _removable_bytes(self, candidate: Candidate) -> int | None:
        """What removing a partition would free: 0 while somebody has it locked, None when it is empty already."""

        async def work(connection: owlrunner.Connection) -> int | None:
            if self._stays(candidate) and not await _has_rows(connection, candidate):
                return None
            ((size,),) = await rows(connection, "partition_size", {"partition": candidate.partition.relation.oid})
            return int(size)

        try:
            return await self.units.once(work)
        except IN_THE_WAY:
            return 0

    async def _remove(self, candidate: Candidate) -> None:
        """Drop or empty one partition, measure, and note it."""
        report, before = self.report, self.report.size
        remove = self._empty if self._stays(candidate) else self._drop
        try:
            action = await self.units.patiently(candidate.label, lambda connection: remove(connection, candidate))
        except LockBusy as error:
            report.failed[candidate.label] = str(error).removeprefix(f"{candidate.label}: ")
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            report.failed[candidate.label] = reason_of(error)
        else:
            if action is None:
                return
            report.size = await _size(self.units)
            (report.dropped if action == "dropped" else report.emptied).append(candidate.label)
            report.audit.append(
                {
                    "partition": candidate.label,
                    "action": action,
                    "from": as_bound(candidate.start),
                    "to": as_bound(candidate.end),
                    "freed_bytes": max(before - report.size, 0),
                }
            )
            self.units.ctx.log.info("%s %s, %d bytes less", action, candidate.label, before - report.size)
            return
        self.units.ctx.log.warning("%s: %s", candidate.label, report.failed[candidate.label])

    async def _drop(self, connection: owlrunner.Connection, candidate: Candidate) -> Literal["dropped"] | None:
        parent, partition = candidate.parent.relation, candidate.partition
        await rows(connection, "lock_parent", parent=parent.identifier)
        if not await _is_as_found(connection, candidate):
            return None
        await rows(connection, "drop_partition", partition=partition.relation.identifier)
        return "dropped"

    async def _empty(self, connection: owlrunner.Connection, candidate: Candidate) -> Literal["emptied"] | None:
        identifier = candidate.partition.relation.identifier
        if not await _has_rows(connection, candidate):
            return None
        await rows(connection, "lock_partition", partition=identifier)
        if not await _is_as_found(connection, candidate):
            return None
        await rows(connection, "empty_partition", partition=identifier)
        return "emptied"


async def _has_rows(connection: owlrunner.Connection, candidate: Candidate) -> bool:
    ((has_rows,),) = await rows(connection, "has_rows", partition=candidate.partition.relation.identifier)
    return bool(has_rows)


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
