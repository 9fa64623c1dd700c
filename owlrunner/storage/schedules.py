"""This is the room for the tables ``schedules`` and ``schedule_fires``: one function per query of ``sql/schedules``."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from owlrunner.schedule import FireOutcome, Schedule
from owlrunner.storage.postgres import Session


class Look(NamedTuple):
    """What the table knew when it was looked at: the database's time, and per schedule its definition and progress."""

    now: datetime | None
    """None where there is no schedule at all."""
    known: dict[str, tuple[Any, datetime]]


class Locked(NamedTuple):
    """A schedule that is ours to decide until the transaction ends."""

    now: datetime
    decided_until: datetime
    has_queued: bool


class Fire(NamedTuple):
    """One fire time on its way into the record."""

    schedule: str
    time: datetime
    outcome: FireOutcome
    reason: str | None = None
    run_id: UUID | None = None
    active_run_id: UUID | None = None


def definition(schedule: Schedule) -> dict[str, Any]:
    """A schedule as it is stored and compared."""
    return {
        "job_type": schedule.job_type,
        "cron": schedule.cron.expression,
        "timezone": schedule.cron.timezone,
        "params": schedule.params,
        "missed": schedule.missed,
        "missed_window": schedule.missed_window.total_seconds(),
        "overlap": schedule.overlap,
        "jitter": schedule.jitter,
    }


def _definition_json(schedule: Schedule) -> str:
    return msgspec.json.encode(definition(schedule)).decode()


def params_json(schedule: Schedule) -> str | None:
    """The params of the runs that it starts, as JSON text."""
    return None if schedule.params is None else msgspec.json.encode(schedule.params).decode()


async def sync(session: Session, schedules: Iterable[Schedule]) -> None:
    """Make the table what the configuration says."""
    schedules = list(schedules)
    params = {
        "names": [schedule.name for schedule in schedules],
        "job_types": [schedule.job_type for schedule in schedules],
        "definitions": [_definition_json(schedule) for schedule in schedules],
    }
    await session.rows("schedules/sync", params)


async def look(session: Session) -> Look:
    """What is on record now."""
    rows = await session.rows("schedules/look")
    return Look(rows[0][0] if rows else None, {name: (defined, until) for _, name, defined, until in rows})


async def lock(session: Session, schedule: Schedule) -> Locked | None:
    """Become the one who decides for a schedule until the transaction ends; None: somebody else is, or it has changed."""
    row = await session.row("schedules/lock", {"name": schedule.name, "definition": _definition_json(schedule)})
    return Locked._make(row) if row is not None else None


async def record(session: Session, fire: Fire) -> bool:
    """Put a fire time on record; False where it is already."""
    params = {
        "schedule": fire.schedule,
        "fire_time": fire.time,
        "outcome": str(fire.outcome),
        "reason": fire.reason,
        "run_id": fire.run_id,
        "active_run_id": fire.active_run_id,
    }
    return await session.row("schedules/record_fire", params) is not None


async def decided(session: Session, name: str, until: datetime) -> None:
    """Fire times up to here are on record."""
    await session.rows("schedules/decided", {"name": name, "until": until})


async def queued(session: Session) -> list[tuple[str, datetime]]:
    """Schedule and fire time of those that waited for a run which has ended; locked until the transaction ends."""
    return [(name, time) for name, time in await session.rows("schedules/queued")]


async def settle_queued(session: Session, name: str, time: datetime, run_id: UUID | None, active: UUID | None) -> None:
    """Give a waiting fire its run, or another one to wait for."""
    params = {"schedule": name, "fire_time": time, "run_id": run_id, "active_run_id": active}
    await session.rows("schedules/settle_queued", params)
