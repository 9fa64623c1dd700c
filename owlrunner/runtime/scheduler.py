"""The loop that fires schedules: sleep until one is due, and have it decided once in the whole cluster.

Every server runs this loop; none leads. How one schedule is decided is in ``owlrunner.runtime.firing``.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import trio

from owlrunner.errors import DatabaseTrouble, DatabaseUnavailable, StatementFailed
from owlrunner.job_type import AnyJobType
from owlrunner.runtime.firing import Deployed, decide_due, start_queued
from owlrunner.schedule import Schedule, due_fires
from owlrunner.storage import schedules
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.wakeups import Bell

LONGEST_SLEEP = 30.0
"""Seconds between two looks when nothing is due. Well below ON_TIME, so that looks without trouble leave no gap."""
SOON = 1.0
"""Seconds until the next look when another server was deciding, or a fire waits for a run, which may end on any server."""
TROUBLE_DELAY = 10.0
"""Seconds until a schedule that could not be decided is tried again."""
OUTAGE_DELAY = 1.0

logger = logging.getLogger(__name__)


class Scheduler:
    """The loop of one server, for the schedules of its configuration."""

    def __init__(
        self,
        db: Database,
        *,
        job_types: Mapping[str, AnyJobType],
        bell: Bell,
        on_triggered: Callable[[], None],
        joined: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint,
        on_round: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._db = db
        self._deployed: dict[str, Deployed] = {}
        self._retry_at: dict[str, float] = {}
        """Trio's time before which a schedule whose last decision failed is left alone."""
        self._job_types = job_types
        self._bell = bell
        self._on_triggered = on_triggered
        # Waits while this server has no registration that holds: who has lost the lease decides nothing.
        self._joined = joined
        self._on_round = on_round

    async def replace(self, wanted: Iterable[Schedule], *, owns_file: bool) -> None:
        """From now on these schedules hold, here and on the other servers that know them.

        Removed is what this server speaks for and does not want: what a file of schedules brought in, if it has a file
        (``owns_file``), the defaults of the job types that it offers, and what no server has looked at for a week.

        Raises DatabaseTrouble.
        """
        wanted = list(wanted)
        async with self._db.session() as session:
            synced = await schedules.sync(session, wanted, self._job_types, owns_file=owns_file)
        for gone in synced.removed:
            origin = "the file of schedules" if gone.source == "file" else "the defaults of this server's job types"
            reason = f"it is not in {origin} any more" if gone.is_ours else "no server has looked at it for a week"
            logger.warning("schedule %s (%s) was removed: %s", gone.name, gone.job_type, reason)
        for kept in synced.kept:
            logger.warning(
                "schedule %s (%s) comes from a file of schedules, and this server has none:"
                " it is left to the servers that have the file",
                kept.name,
                kept.job_type,
            )
        self._deployed = {
            schedule.name: Deployed(schedule, synced.fingerprints[schedule.name], self._job_types[schedule.job_type])
            for schedule in wanted
            if schedule.name in synced.fingerprints
        }
        self._bell.ring()

    def run_has_ended(self) -> None:
        """A fire may have waited for it. Elsewhere it takes until the next look."""
        if any(one.schedule.overlap == "queue" or one.schedule.missed == "all" for one in self._deployed.values()):
            self._bell.ring()

    async def run(self) -> None:
        """Fire for ever."""
        while True:
            await self._joined()
            rung = self._bell.listen()
            try:
                sleep = await self.look()
            except DatabaseTrouble as error:
                logger.warning("cannot look at schedules: %s", error)
                sleep = OUTAGE_DELAY
            else:
                self._on_round(min(sleep, LONGEST_SLEEP))
            with trio.move_on_after(min(sleep, LONGEST_SLEEP)):
                await rung.wait()

    async def look(self) -> float:
        """Start what has waited and decide what is due, and return the seconds until the next look (may be infinite)."""
        deployed = self._deployed
        async with self._db.session() as session:
            seen = await schedules.look(session, {name: one.fingerprint for name, one in deployed.items()})
        # Those that failed come last, so that one that breaks the connection each time stops no other.
        seen.sort(key=lambda one: one.name in self._retry_at)
        waiting = [one for one in seen if one.first_queued is not None]
        sleeps = [SOON] if waiting else [math.inf]
        # What waits goes before what is due now.
        waiting.sort(key=lambda one: (one.name in self._retry_at, one.first_queued))
        tasks = [
            (one.name, partial(self._decide, start_queued, deployed[one.name])) for one in waiting if one.startable
        ]
        tasks += [(one.name, partial(self._look_at, one, deployed[one.name])) for one in seen]
        sleeps += [await self._guarded(name, task) for name, task in tasks]
        return min(sleeps)

    async def _look_at(self, seen: schedules.Seen, deployed: Deployed) -> float:
        """Decide what of a schedule is due, and return the seconds until it must be looked at again."""
        schedule = deployed.schedule
        sleep = math.inf
        if due_fires(schedule, seen.decided_until, seen.now, seen.watched_since):
            sleep = await self._decide(decide_due, deployed)
        upcoming = next(schedule.cron.after(seen.now), None)
        return sleep if upcoming is None else min(sleep, (upcoming - seen.now).total_seconds())

    async def _decide(self, how: Callable[[Session, Deployed], Awaitable[bool]], deployed: Deployed) -> float:
        """Have one schedule decided, and return the seconds until it must be looked at for that again: infinite if it is done."""
        async with self._db.session() as session:
            is_decided = await how(session, deployed)
        self._on_triggered()
        return math.inf if is_decided else SOON

    async def _guarded(self, name: str, work: Callable[[], Awaitable[float]]) -> float:
        """Do something for one schedule that returns the seconds until the next time; what it raises stops no other schedule."""
        wait = self._retry_at.get(name, -math.inf) - trio.current_time()
        if wait > 0:
            return wait
        self._retry_at[name] = trio.current_time()
        try:
            sleep = await work()
        except DatabaseUnavailable:
            # It may be the database, and then it is the same for all of them.
            raise
        except StatementFailed as error:
            logger.error("schedule %s cannot be decided, the others go on: %s", name, error)  # noqa: TRY400 - a sentence for the owner, no traceback
        except Exception:
            logger.exception("schedule %s cannot be decided, the others go on", name)
        else:
            del self._retry_at[name]
            return sleep
        self._retry_at[name] += TROUBLE_DELAY
        return TROUBLE_DELAY
