"""Decide the fire times of one schedule: which lead to a run, which wait, and why the others do not.

Each function is one transaction under the lock of the schedule's row. Whoever holds it decides, and what is on record is never
decided again, so that a commit whose answer never came is repeated without harm.
"""

import contextlib
import logging
from datetime import UTC, datetime
from uuid import UUID

import attrs

from owlrunner.actor import ScheduleActor
from owlrunner.job_type import AnyJobType
from owlrunner.missed_fires import MissedFires
from owlrunner.schedule import MOST_BEYOND_WINDOW, DueFire, FireOutcome, Schedule, due_fires, start_delay
from owlrunner.storage import new_runs, notifications, schedules
from owlrunner.storage.new_runs import NewRun
from owlrunner.storage.postgres import Session
from owlrunner.storage.schedules import Fire, Locked

ACTOR = ScheduleActor()
NOBODY = "no server was running"
UNABLE = "no server that was running offered {job_type}"
GONE = "a server was running, and stopped, hung or lost the database before it decided"

logger = logging.getLogger(__name__)


@attrs.frozen
class Deployed:
    """A schedule that is deployed in this very form, with the job type that it starts."""

    schedule: Schedule
    fingerprint: str
    job_type: AnyJobType


class _OnRecordAlready(Exception):
    """The fire time was decided before."""


async def start_queued(session: Session, deployed: Deployed) -> bool:
    """Give the fires that wait their runs, in order, as far as the job type allows. False: somebody else has the lock."""
    schedule = deployed.schedule
    async with session.transaction():
        locked = await schedules.lock(session, schedule.name, deployed.fingerprint)
        if locked is None:
            return False
        lapsed: dict[datetime, str] = {}
        for time, queued_at in await schedules.queued(session, schedule.name):
            if _has_lapsed(schedule, time, queued_at, locked):
                await schedules.settle_queued(session, Fire(schedule.name, time, FireOutcome.MISSED, NOBODY))
                lapsed[time] = NOBODY
                continue
            created, run_id = await _trigger(session, deployed, time)
            if not created:
                await schedules.wait_for(session, schedule.name, run_id)
                break
            await schedules.settle_queued(session, Fire(schedule.name, time, FireOutcome.RAN, run_id=run_id))
            logger.info("schedule %s: the fire for %s has waited, and runs now", schedule.name, time.isoformat())
        await _alert(session, deployed, lapsed, set())
    return True


def _has_lapsed(schedule: Schedule, time: datetime, queued_at: datetime, locked: Locked) -> bool:
    """Whether a fire waited while no server was there, for longer than the schedule would go back for it."""
    if locked.watched_since is None or queued_at >= locked.watched_since:
        return False
    return schedule.missed == "skip" or time < locked.now - schedule.missed_window


async def decide_due(session: Session, deployed: Deployed) -> bool:
    """Decide all that is due. False: somebody else has the lock."""
    schedule = deployed.schedule
    async with session.transaction():
        locked = await schedules.lock(session, schedule.name, deployed.fingerprint)
        if locked is None:
            return False
        # What was due is asked anew: between the look and the lock another server may have decided it.
        due = due_fires(schedule, locked.decided_until, locked.now, locked.watched_since)
        reasons = await _why_missed(session, deployed, [one.time for one in due if one.late])
        missed: dict[datetime, str] = {}
        for one in due:
            if not one.runs:
                fire = Fire(schedule.name, one.time, FireOutcome.MISSED, reasons[one.time])
                if await schedules.record(session, fire):
                    missed[one.time] = reasons[one.time]
        made_up_for: set[datetime] = set()
        queue = _Queue(locked.has_queued, locked.has_queued_on_time, locked.waits_for)
        for one in due:
            if not one.runs:
                continue
            with contextlib.suppress(_OnRecordAlready):
                async with session.transaction():
                    fire = await _fire(session, deployed, one, queue)
                    if not await schedules.record(session, fire):
                        # The database's clock was set back. The run that has just been triggered is undone with the savepoint.
                        raise _OnRecordAlready
                if one.late and fire.outcome is not FireOutcome.SKIPPED:
                    missed[one.time] = reasons[one.time]
                    made_up_for.add(one.time)
                if fire.outcome is FireOutcome.QUEUED:
                    queue = _Queue(True, queue.on_time or not one.late, fire.active_run_id)
                logger.info("schedule %s fired for %s: %s", schedule.name, one.time.isoformat(), fire.outcome)
        await schedules.decided(session, schedule.name, locked.now)
        beyond = sum(one.time <= locked.now - schedule.missed_window for one in due)
        await _alert(session, deployed, missed, made_up_for, at_least=beyond >= MOST_BEYOND_WINDOW)
    return True


async def _alert(
    session: Session,
    deployed: Deployed,
    missed: dict[datetime, str],
    made_up_for: set[datetime],
    *,
    at_least: bool = False,
) -> None:
    """Have the owner told, in the same transaction, of fire times that were missed, each with its reason."""
    if not missed:
        return
    told = MissedFires(
        schedule=deployed.schedule.name,
        job_type=deployed.job_type.name,
        missed=len(missed) - len(made_up_for),
        late=len(made_up_for),
        first=min(missed).astimezone(UTC),
        last=max(missed).astimezone(UTC),
        reasons=tuple(sorted(set(missed.values()))),
        at_least=at_least,
    )
    logger.warning("schedule %s (%s): %s", told.schedule, told.job_type, told)
    await notifications.add_missed(session, told)


@attrs.frozen
class _Queue:
    """The fires of a schedule that wait: whether there are any, one that was not missed before, and for which run."""

    waits: bool
    on_time: bool
    waits_for: UUID | None


async def _fire(session: Session, deployed: Deployed, due: DueFire, queue: _Queue) -> Fire:
    """Trigger a run for a fire time, unless one is active or other fires wait for their turn."""
    schedule, active = deployed.schedule, queue.waits_for
    if not queue.waits:
        created, active = await _trigger(session, deployed, due.time)
        if created:
            return Fire(schedule.name, due.time, FireOutcome.RAN, run_id=active)
    if due.late and schedule.missed == "all":
        outcome, reason = FireOutcome.QUEUED, "waits for its turn: fire times that were missed run one after another"
    elif schedule.overlap == "queue" and not queue.on_time:
        outcome, reason = FireOutcome.QUEUED, "waits for the active run to end"
    else:
        outcome = FireOutcome.SKIPPED
        reason = "the previous run is still active" + (", and a fire waits already" if queue.waits else "")
    return Fire(schedule.name, due.time, outcome, reason, active_run_id=active)


async def _why_missed(session: Session, deployed: Deployed, times: list[datetime]) -> dict[datetime, str]:
    """Why nobody decided these fire times when they came, by the servers on record."""
    if not times:
        return {}
    job_type = deployed.job_type.name
    return {
        time: GONE if was_able else UNABLE.format(job_type=job_type) if was_alive else NOBODY
        for time, (was_alive, was_able) in (await schedules.why_missed(session, job_type, times)).items()
    }


async def _trigger(session: Session, deployed: Deployed, time: datetime) -> tuple[bool, UUID]:
    """Create the run, or find the active one."""
    schedule, job_type = deployed.schedule, deployed.job_type
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
    answer = await new_runs.insert_pending(session, new, ACTOR)
    assert answer is not None  # noqa: S101 - only a run with a project can miss it
    return (False, answer) if isinstance(answer, UUID) else (True, answer.id)
