"""This is the room for what the parts of run_retention share: what is old, what has been deleted so far, and the pace."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import attrs
import trio

import owlrunner
from owlrunner_maintenance.months import instant
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.units import LONGEST_PAUSE, Units

T = TypeVar("T")

COUNTERS = ("runs", "logs", "progress", "notifications", "fires", "login_codes", "sign_ins")
"""What is counted, as the result names it."""


@attrs.frozen
class Old:
    """What is old, by the database's clock when the run began."""

    cutoff: datetime
    """What ended before goes."""
    bound: UUID
    """The ids of runs that were created before the cutoff are smaller."""
    expired: datetime
    """Login codes and sign-ins that ran out before go."""


@attrs.define
class Report:
    """What a run has done."""

    old: Old
    dry_run: bool
    deleted: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(COUNTERS, 0)))
    """What went, or would go."""
    waiting: int = 0
    """Runs that stay because a notification about them is still to be sent."""
    handled: int = 0
    total: int = 0
    """Runs and fires, for the progress."""

    @property
    def verb(self) -> str:
        """What is said of what is counted."""
        return "to delete" if self.dry_run else "deleted"

    def __str__(self) -> str:
        counted = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in self.deleted.items())
        return f"{self.verb} of what ended before {instant(self.old.cutoff)}: {counted}"

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result: what was deleted, or of a dry run would be, and the ``cutoff``; more only where there is more."""
        counted: dict[str, object] = dict(self.deleted)
        result: dict[str, object] = {"dry_run": True, "would_delete": counted} if self.dry_run else counted
        result["cutoff"] = instant(self.old.cutoff)
        if self.waiting:
            result["waiting_for_notifications"] = self.waiting
        if cancelled:
            result["cancelled_at"] = self.handled
        return result


@attrs.frozen
class Retention:
    """A run under way."""

    units: Units
    report: Report

    async def step(self, what: str, work: Callable[[owlrunner.Connection], Awaitable[T]]) -> T:
        """Do one unit of work along an index, and then leave the database to others for a while.

        Raises Stopped when the run is cancelled, and LockBusy when a table was locked for too long.
        """

        async def along(connection: owlrunner.Connection) -> T:
            await rows(connection, "walk_by_index")
            return await work(connection)

        began = trio.current_time()
        found = await self.units.patiently(what, along)
        took = trio.current_time() - began
        await trio.sleep(min(took / self.units.settings.retention_share - took, LONGEST_PAUSE))
        return found

    def tell(self, handled: int, message: str) -> None:
        """So many runs or fires more have been seen to."""
        report = self.report
        report.handled += handled
        # The total was counted at the start, and is not exact: the clock of the ids is not that of the ends.
        report.total = max(report.total, report.handled)
        self.units.ctx.progress(report.handled, report.total, message)
