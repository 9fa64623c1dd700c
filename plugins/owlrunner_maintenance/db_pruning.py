"""This is the room for keeping the database below its limit: the oldest partitions go, one after the other, until it fits.

A partition that reaches into the previous month is never dropped: late events still come in for that month, and one that finds
no partition spoils its whole batch. It loses its oldest rows instead, as those of this month do.
"""

import attrs
import psycopg
from psycopg import sql

import owlrunner
from owlrunner_maintenance.candidates import Candidate, Found, find_candidates
from owlrunner_maintenance.months import instant
from owlrunner_maintenance.oldest import UNKNOWN, next_to_go
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.row_pruning import Done, RowPruning
from owlrunner_maintenance.settings import GIGABYTE, MaintenanceSettings
from owlrunner_maintenance.sizes import Sizes
from owlrunner_maintenance.units import GONE, LockBusy, MaintenanceFailed, Stopped, Units, reason_of, units_of

SKIPPED = {"skipped": True, "reason": "max_size_bytes not configured"}


@attrs.define
class _Report:
    """What a run has found and done."""

    sizes: Sizes
    handled: int = 0
    dropped: list[str] = attrs.field(factory=list)
    emptied: list[str] = attrs.field(factory=list)
    done: Done = attrs.field(factory=Done)
    skipped_tables: dict[str, str] = attrs.field(factory=dict)
    planned: dict[str, object] = attrs.field(factory=dict)

    @property
    def within_limit(self) -> bool:
        """Whether nothing more has to go: what new rows can use is not counted."""
        return self.sizes.excess <= 0

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: what went, the size after it, and an ``audit`` of every step; more only where there is more."""
        result: dict[str, object] = {
            "dropped_partitions": self.dropped,
            "emptied_partitions": self.emptied,
            "deleted_rows": self.done.deleted,
            "current_size_gb": round(self.sizes.database / GIGABYTE, 2),
            "reusable_gb": round(self.sizes.reusable / GIGABYTE, 2),
            "within_limit": self.within_limit,
            "audit": self.done.audit,
        }
        result |= self.planned
        if self.done.failed:
            result["failed"] = self.done.failed
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
    async with units_of(ctx, settings) as units:
        sizes = Sizes(units, limit)
        report = _Report(sizes)
        await sizes.look_at_database()
        if sizes.database <= limit:
            return report.result()
        try:
            found = await find_candidates(units, report.skipped_tables)
            await sizes.look_at(found)
            run = _Run(units, report, found)
            if dry_run:
                await run.plan()
            else:
                await run.carry_out()
        except Stopped:
            await sizes.look_at_database()
            return report.result(cancelled=True)
    went = report.dropped or report.emptied or report.done.deleted or dry_run
    if report.done.failed and not went and not report.within_limit:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.done.failed.items())
        raise MaintenanceFailed(f"the database is above its limit, and nothing could be removed: {reasons}")
    if not report.within_limit:
        ctx.log.warning("the database is still %d bytes above its limit", sizes.excess)
    return report.result()


@attrs.define
class _Run:
    """One run under way."""

    units: Units
    report: _Report
    found: Found
    passed_over: set[Candidate] = attrs.field(factory=set)

    async def carry_out(self) -> None:
        """Remove until it fits: whole partitions first, then rows."""
        sizes, failed = self.report.sizes, self.report.done.failed
        await self._remove_whole()
        # While an older partition is merely locked, newer rows are not the ones to go.
        if sizes.excess <= 0 or failed:
            return
        for candidate in self.found.staying:
            if sizes.spaces.get(candidate) == UNKNOWN and (problem := await sizes.look_again_at(candidate)):
                failed[candidate.label] = problem
        await self._row_pruning().carry_out()
        await self._remove_whole()

    async def plan(self) -> None:
        """Find out what ``carry_out`` would do."""
        sizes = self.report.sizes
        would_drop: list[str] = []
        would_empty: list[str] = []
        while candidate := self._next():
            stays = candidate in self.found.staying
            (would_empty if stays else would_drop).append(candidate.label)
            sizes.database -= sizes.spaces[candidate].total
            del sizes.spaces[candidate]
        going = await self._row_pruning().going() if sizes.excess > 0 else {}
        would_empty += [
            candidate.label
            for candidate, listed in going.items()
            if self.found.is_over(candidate) and len(listed) >= sizes.spaces[candidate].rows
        ]
        self.report.planned = {
            "dry_run": True,
            "would_drop": would_drop,
            "would_empty": would_empty,
            "would_delete_rows": sum(map(len, going.values())),
        }

    def _row_pruning(self) -> RowPruning:
        return RowPruning(self.units, self.found, self.report.sizes, self.report.done)

    def _next(self) -> Candidate | None:
        sizes = self.report.sizes
        return next_to_go(sizes.database, sizes.parts(self.found), sizes.limit, self.passed_over)

    async def _remove_whole(self) -> None:
        while candidate := self._next():
            self.units.ctx.progress(self.report.handled, len(self.found.old), f"{candidate.label} goes")
            await self._remove(candidate)
            self.report.handled += candidate in self.found.old

    async def _remove(self, candidate: Candidate) -> None:
        """Drop or empty one partition, measure, and note it."""
        sizes, done = self.report.sizes, self.report.done
        before, stays = sizes.database, candidate in self.found.staying
        hollow = sizes.parts(self.found)[candidate].is_hollow
        self.passed_over.add(candidate)
        try:
            if not await self.units.patiently(
                candidate.label, lambda connection: _remove(connection, candidate, stays=stays, hollow=hollow)
            ):
                return
        except GONE:
            sizes.spaces.pop(candidate)
            return
        except LockBusy as error:
            done.failed[candidate.label] = str(error).removeprefix(f"{candidate.label}: ")
        except psycopg.Error as error:
            if self.units.connection.closed:
                raise
            done.failed[candidate.label] = reason_of(error)
        if candidate.label in done.failed:
            self.units.ctx.log.warning("%s: %s", candidate.label, done.failed[candidate.label])
            return
        sizes.spaces.pop(candidate)
        await sizes.look_at_database()
        action, names = ("emptied", self.report.emptied) if stays else ("dropped", self.report.dropped)
        names.append(candidate.label)
        done.audit.append(
            {
                "partition": candidate.label,
                "action": action,
                "from": instant(candidate.start),
                "to": instant(candidate.end),
                "freed_bytes": max(before - sizes.database, 0),
            }
        )
        self.units.ctx.log.info("%s %s, %d bytes less", action, candidate.label, before - sizes.database)


async def _remove(connection: owlrunner.Connection, candidate: Candidate, *, stays: bool, hollow: bool) -> bool:
    """Empty the partition if it stays, else drop it. False where that is not right any more."""
    partition = candidate.relation.identifier
    if not stays:
        await rows(connection, "lock_parent", parent=candidate.parent.relation.identifier)
    # While we hold the parent, all who write wait: then we wait for nobody.
    wait = sql.SQL("" if stays else "nowait")
    await rows(connection, "lock_partition", partition=partition, wait=wait)
    if not await candidate.is_as_found(connection):
        return False
    if hollow and (await rows(connection, "has_rows", partition=partition))[0][0]:
        return False
    await rows(connection, "empty_partition" if stays else "drop_partition", partition=partition)
    return True
