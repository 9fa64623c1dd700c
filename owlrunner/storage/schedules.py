"""The tables ``schedules``, ``schedule_looks`` and ``schedule_fires``: one function per query of ``sql/schedules``."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from owlrunner.schedule import ON_TIME, FireOutcome, Schedule
from owlrunner.storage.postgres import Session

WRITE_EVERY = timedelta(seconds=10)
"""How often it is written down that servers are looking at a schedule."""


class Seen(NamedTuple):
    """A schedule that is deployed as this server knows it, when it was looked at."""

    now: datetime
    """The database's time."""
    name: str
    decided_until: datetime
    watched_since: datetime
    """Servers have been looking at it without a gap since then."""
    first_queued: datetime | None
    """The earliest fire time that waits for a run to end."""
    startable: bool
    """Whether that run has ended."""


class Locked(NamedTuple):
    """A schedule that is ours to decide until the transaction ends."""

    now: datetime
    decided_until: datetime
    watched_since: datetime | None
    has_queued: bool
    has_queued_on_time: bool
    """Whether one of those that wait was not missed before."""
    waits_for: UUID | None
    """The run whose end they wait for."""


class Fire(NamedTuple):
    """One fire time on its way into the record."""

    schedule: str
    time: datetime
    outcome: FireOutcome
    reason: str | None = None
    run_id: UUID | None = None
    active_run_id: UUID | None = None


class Deployed(NamedTuple):
    """A schedule in the table."""

    name: str
    job_type: str
    source: str


class Removed(NamedTuple):
    """A schedule that was in the table."""

    name: str
    job_type: str
    source: str
    is_ours: bool
    """This server speaks for it. Otherwise no server has looked at it for a week."""


class Synced(NamedTuple):
    """What has come of making the table what the configuration says."""

    fingerprints: dict[str, str]
    """Name → fingerprint of the schedules that are deployed as this server has them."""
    removed: list[Removed]
    kept: list[Deployed]
    """From a file, while this server has none: they are left to the servers that have it."""


def definition(schedule: Schedule) -> dict[str, Any]:
    """A schedule as it is stored. It is compared in the database, by ``owl_fingerprint``."""
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


def params_json(schedule: Schedule) -> str | None:
    """The params of the runs that it starts, as JSON text."""
    return None if schedule.params is None else msgspec.json.encode(schedule.params).decode()


async def sync(session: Session, schedules: Iterable[Schedule], job_types: Iterable[str], *, owns_file: bool) -> Synced:
    """Make the table what the configuration says, as far as it is this server's to say.

    ``job_types`` are those that this server offers; ``owns_file`` says whether it has a file of schedules.
    """
    schedules = list(schedules)
    wanted = {
        "names": [schedule.name for schedule in schedules],
        "job_types": [schedule.job_type for schedule in schedules],
        "definitions": [msgspec.json.encode(definition(schedule)).decode() for schedule in schedules],
        "sources": [schedule.source for schedule in schedules],
        "owns_file": owns_file,
    }
    async with session.transaction():
        await session.rows("schedules/lock_sync")
        removed = await session.rows("schedules/remove", wanted | {"job_types": list(job_types)})
        await session.rows("schedules/forget_removed")
        await session.rows("schedules/put", wanted)
        rows = await session.rows("schedules/deployed", wanted)
    return Synced(
        {name: fingerprint for name, _, _, fingerprint, is_ours in rows if is_ours},
        [Removed._make(row) for row in removed],
        [Deployed(*row[:3]) for row in rows if row[2] == "file" and not owns_file],
    )


async def look(session: Session, fingerprints: Mapping[str, str]) -> list[Seen]:
    """What is on record now of the schedules with these fingerprints, and that somebody looked."""
    params = {
        "names": list(fingerprints),
        "fingerprints": list(fingerprints.values()),
        "write_every": WRITE_EVERY,
        "gap": ON_TIME,
    }
    return [Seen._make(row) for row in await session.rows("schedules/look", params)]


async def lock(session: Session, name: str, fingerprint: str) -> Locked | None:
    """Become the one who decides for a schedule until the transaction ends; None: somebody else is, or it has changed."""
    row = await session.row("schedules/lock", {"name": name, "fingerprint": fingerprint, "on_time": ON_TIME})
    return Locked._make(row) if row is not None else None


async def record(session: Session, fire: Fire) -> bool:
    """Put a fire time on record; False where it is already."""
    return await session.row("schedules/record_fire", _params_of(fire)) is not None


async def decided(session: Session, name: str, until: datetime) -> None:
    """Fire times up to here are on record."""
    await session.rows("schedules/decided", {"name": name, "until": until})


async def why_missed(session: Session, job_type: str, times: list[datetime]) -> dict[datetime, tuple[bool, bool]]:
    """Whether a server was alive at each of these times, by its lease, and one that offers the job type."""
    rows = await session.rows("schedules/why_missed", {"job_type": job_type, "times": times})
    return {time: (was_alive, was_able) for time, was_alive, was_able in rows}


async def queued(session: Session, name: str) -> list[tuple[datetime, datetime]]:
    """Fire time of those that wait, in order, and when that was decided. The schedule must be locked."""
    return [(time, decided_at) for time, decided_at in await session.rows("schedules/queued", {"schedule": name})]


async def settle_queued(session: Session, fire: Fire) -> None:
    """Give a waiting fire its run, or give it up."""
    await session.rows("schedules/settle_queued", _params_of(fire))


def _params_of(fire: Fire) -> dict[str, Any]:
    """A fire as the statements name its parts."""
    return {
        "schedule": fire.schedule,
        "fire_time": fire.time,
        "outcome": str(fire.outcome),
        "reason": fire.reason,
        "run_id": fire.run_id,
        "active_run_id": fire.active_run_id,
    }


async def wait_for(session: Session, name: str, run_id: UUID) -> None:
    """The waiting fires of a schedule wait for this run."""
    await session.rows("schedules/wait_for", {"schedule": name, "active_run_id": run_id})
