"""This is the room for firing: sleep until a schedule is due, decide once in the whole cluster, and put every fire on record.

Every server runs this loop; none leads. Whoever locks a schedule's row decides, and a fire time that is on record is never
decided again.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from uuid import UUID

import trio

from owlrunner.actor import ScheduleActor
from owlrunner.errors import DatabaseTrouble
from owlrunner.job_type import AnyJobType
from owlrunner.schedule import FireOutcome, Schedule, due_fires, start_delay
from owlrunner.storage import job_runs, schedules
from owlrunner.storage.job_runs import NewRun
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.schedules import Fire
from owlrunner.storage.wakeups import Bell

LONGEST_SLEEP = 60.0
"""Seconds between two looks when nothing is due: another server may have been deployed with other schedules."""
OUTAGE_DELAY = 1.0
ACTOR = ScheduleActor()

logger = logging.getLogger(__name__)


class _OnRecordAlready(Exception):
    """The fire time was decided before."""


class Scheduler:
    """The loop of one server, for the schedules of its configuration."""

    def __init__(
        self,
        db: Database,
        *,
        job_types: Mapping[str, AnyJobType],
        bell: Bell,
        on_triggered: Callable[[], None],
    ) -> None:
        self._db = db
        self._schedules: dict[str, Schedule] = {}
        self._job_types = job_types
        self._bell = bell
        self._on_triggered = on_triggered

    async def replace(self, wanted: Iterable[Schedule]) -> None:
        """From now on these schedules hold, here and on the other servers that know them. Raises DatabaseTrouble."""
        wanted = list(wanted)
        async with self._db.session() as session:
            await schedules.sync(session, wanted)
        self._schedules = {schedule.name: schedule for schedule in wanted}
        self._bell.ring()

    def run_has_ended(self) -> None:
        """A fire may have waited for it. Elsewhere it takes until the next look."""
        if any(schedule.overlap == "queue" for schedule in self._schedules.values()):
            self._bell.ring()

    async def run(self) -> None:
        """Fire for ever."""
        while True:
            rung = self._bell.listen()
            try:
                sleep = await self.look()
            except DatabaseTrouble as error:
                logger.warning("cannot look at schedules: %s", error)
                sleep = OUTAGE_DELAY
            with trio.move_on_after(min(sleep, LONGEST_SLEEP)):
                await rung.wait()

    async def look(self) -> float:
        """Decide everything that is due, and return the seconds until the next fire time (may be infinite)."""
        async with self._db.session() as session:
            seen = await schedules.look(session)
            if seen.now is None:
                return float("inf")
            ours = [
                (schedule, seen.known[schedule.name][1])
                for schedule in self._schedules.values()
                if schedule.name in seen.known and seen.known[schedule.name][0] == schedules.definition(schedule)
            ]
            for schedule, decided_until in ours:
                if due_fires(schedule, decided_until, seen.now):
                    await self._decide(session, schedule)
            if any(schedule.overlap == "queue" for schedule, _ in ours):
                await self._start_queued(session)
        upcoming = [schedule.cron.next(seen.now) for schedule, _ in ours]
        return min(((fire - seen.now).total_seconds() for fire in upcoming), default=float("inf"))

    async def _decide(self, session: Session, schedule: Schedule) -> None:
        """Decide all that is due of one schedule in one transaction, under its lock."""
        async with session.transaction():
            locked = await schedules.lock(session, schedule)
            if locked is None:
                return
            has_queued = locked.has_queued
            # What was due is asked anew: between the look and the lock another server may have decided it.
            for due in due_fires(schedule, locked.decided_until, locked.now):
                if not due.runs:
                    await schedules.record(session, _missed(schedule, due.time))
                    continue
                with contextlib.suppress(_OnRecordAlready):
                    async with session.transaction():
                        fire = await self._fire(session, schedule, due.time, has_queued=has_queued)
                        if not await schedules.record(session, fire):
                            # The database's clock was set back. The run that has just been triggered is undone with the savepoint.
                            raise _OnRecordAlready
                    has_queued = has_queued or fire.outcome is FireOutcome.QUEUED
                    logger.info("schedule %s fired for %s: %s", schedule.name, due.time.isoformat(), fire.outcome)
            await schedules.decided(session, schedule.name, locked.now)
        self._on_triggered()

    async def _fire(self, session: Session, schedule: Schedule, time: datetime, *, has_queued: bool) -> Fire:
        """Trigger a run for a fire time, unless one is active."""
        created, run_id = await self._trigger(session, schedule, time)
        if created:
            return Fire(schedule.name, time, FireOutcome.RAN, run_id=run_id)
        if schedule.overlap == "queue" and not has_queued:
            return Fire(
                schedule.name, time, FireOutcome.QUEUED, "waits for the active run to end", active_run_id=run_id
            )
        reason = "the previous run is still active" + (", and a fire waits already" if has_queued else "")
        return Fire(schedule.name, time, FireOutcome.SKIPPED, reason, active_run_id=run_id)

    async def _trigger(self, session: Session, schedule: Schedule, time: datetime) -> tuple[bool, UUID]:
        """Create the run, or find the active one."""
        job_type = self._job_types[schedule.job_type]
        new = NewRun(
            job_type=job_type.name,
            team_id=None,
            project_id=None,
            triggered_by=ACTOR.triggered_by,
            params=schedules.params_json(schedule),
            notify=False,
            priority=0,
            exclusive=job_type.exclusive,
            requeue_on_restart=job_type.requeue_on_restart,
            max_attempts=job_type.retry.max_attempts,
            delay=start_delay(schedule, time),
            schedule=schedule.name,
            fire_time=time,
        )
        answer = await job_runs.insert_pending(session, new, ACTOR)
        assert answer is not None  # noqa: S101 - only a run with a project can miss it
        return (False, answer) if isinstance(answer, UUID) else (True, answer.id)

    async def _start_queued(self, session: Session) -> None:
        """Trigger the fires that waited for a run which has ended."""
        async with session.transaction():
            for name, time in await schedules.queued(session):
                schedule = self._schedules.get(name)
                if schedule is None:
                    continue
                created, run_id = await self._trigger(session, schedule, time)
                await schedules.settle_queued(
                    session, name, time, run_id if created else None, None if created else run_id
                )
        self._on_triggered()


def _missed(schedule: Schedule, time: datetime) -> Fire:
    return Fire(schedule.name, time, FireOutcome.MISSED, "no server was running")
