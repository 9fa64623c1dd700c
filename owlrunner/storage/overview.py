"""This is the room for what the owner looks at: one function per query that reads across the tables."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import attrs

from owlrunner.job_run import JobRun, RunStatus
from owlrunner.storage.job_runs import LONGEST_IN_LIST, Filters, Speaks, filtering, moment, run_of_row

_RUN_COLUMNS = len(attrs.fields(JobRun))


class SurroundedRun(NamedTuple):
    """A run with what stands around it."""

    run: JobRun
    schedule: str | None
    """The schedule that fired, with the time for which it did."""
    fire_time: datetime | None
    restarts: int
    """How many servers died while they held it."""
    team: str | None
    project: str | None
    """Slugs."""
    server: str | None
    """The name of the server that holds it, or held it last."""


class LastFire(NamedTuple):
    """A fire time of a schedule that is on record: ran, skipped, missed or queued, and why."""

    time: datetime
    outcome: str
    reason: str | None
    run_id: UUID | None
    active_run_id: UUID | None
    run_status: str | None
    """The status of its run now."""


class DecidedFire(NamedTuple):
    """A fire time of a schedule, and what came of it."""

    schedule: str
    fire: LastFire
    decided_at: datetime


class DeployedSchedule(NamedTuple):
    """A schedule as it is deployed, looked at when the database's time was ``now``."""

    now: datetime
    name: str
    job_type: str
    definition: dict[str, Any]
    last_fire: LastFire | None


class KnownServer(NamedTuple):
    """A server on record. ``lease_left`` is in seconds, negative where the lease has run out."""

    id: UUID
    name: str
    version: str
    job_types: list[str]
    capacity: int
    started_at: datetime
    buried_at: datetime | None
    lease_left: float
    lease_expires_at: datetime
    held_runs: int


class StoredNotification(NamedTuple):
    """A notification as it stands in the outbox. ``due_at`` is when it is tried next, None where that is never."""

    id: UUID
    run_id: UUID | None
    """None where it is about schedules."""
    job_type: str | None
    notifier: str
    recipient: str
    status: str
    attempt: int
    due_at: datetime | None
    last_error: str | None
    created_at: datetime
    settled_at: datetime | None
    subject: str
    """``ended``, ``stranded`` (no living server can execute the run) or ``missed`` (fire times of schedules)."""
    schedules: list[str]
    """Those that have missed fire times."""


class Activity(NamedTuple):
    """How many runs of a step in time have which status now. ``steps_ago`` 0 is the latest."""

    steps_ago: int
    status: RunStatus
    runs: int


class Typical(NamedTuple):
    """How long runs of a job type took: how many there were, and of the completed ones the percentiles, in seconds."""

    job_type: str
    completed: int
    failed: int
    percentiles: list[float] | None
    """50, 95, 100."""


class Count(NamedTuple):
    """How many runs there are: ``number`` of them, or at least so many."""

    number: int
    is_all: bool


async def counts(db: Speaks, team_id: UUID, filters: Filters, most: int) -> dict[RunStatus, Count]:
    """How many of a team's runs are in which status; of the filters, ``status`` and ``until`` do not count.

    Of each status, the newest ``most`` are looked at.
    """
    rows = await db.rows("job_runs/counts", filtering(team_id, filters) | {"most": most})
    return {RunStatus(status): Count(number, is_all) for status, number, is_all in rows}


async def latest_failures(db: Speaks, team_id: UUID, limit: int) -> list[JobRun]:
    """The runs of a team that failed last, the latest failure first."""
    rows = await db.rows("job_runs/latest_failures", {"team_id": team_id, "limit": limit, "most": LONGEST_IN_LIST})
    return [run_of_row(row) for row in rows]


async def activity(db: Speaks, team_id: UUID, span: timedelta, step: timedelta, newest: int) -> list[Activity]:
    """What became of a team's ``newest`` runs that were created within the span."""
    params = {"team_id": team_id, "span": span, "step": step.total_seconds(), "newest": newest}
    rows = await db.rows("job_runs/activity", params)
    return [Activity(ago, RunStatus(status), count) for ago, status, count in rows]


async def typical(db: Speaks, team_id: UUID, span: timedelta, newest: int) -> list[Typical]:
    """How long a team's ``newest`` runs of the span took, by job type."""
    params = {"team_id": team_id, "span": span, "newest": newest}
    return [Typical._make(row) for row in await db.rows("job_runs/typical", params)]


async def list_runs(db: Speaks, filters: Filters, limit: int, *, of_teams: bool) -> list[SurroundedRun]:
    """Up to ``limit`` runs, newest first: those of no team, or those of everybody. Projects are not filtered by."""
    params = {
        "job_type": filters.job_type,
        "status": filters.status,
        **moment("since", filters.since),
        "limit": limit,
        "most": LONGEST_IN_LIST,
    }
    rows = await db.rows("job_runs/list_all" if of_teams else "job_runs/list_system", params)
    return [_surrounded(row) for row in rows]


async def inspect_run(db: Speaks, run_id: UUID, most: int | None = None) -> SurroundedRun | None:
    """The run, whoever it belongs to, or None; without params and result that are longer than ``most`` bytes of JSON."""
    row = await db.row("job_runs/inspect", {"id": run_id, "most": most})
    return None if row is None else _surrounded(row)


async def list_schedules(db: Speaks) -> list[DeployedSchedule]:
    """What is deployed, by name."""
    return [
        DeployedSchedule(now, name, job_type, definition, LastFire._make(fire) if fire[0] is not None else None)
        for now, name, job_type, definition, *fire in await db.rows("schedules/overview")
    ]


async def list_fires(
    db: Speaks, schedule: str | None, outcome: str | None, since: datetime | timedelta | None, limit: int
) -> list[DecidedFire]:
    """Up to ``limit`` decided fire times, newest first: of one schedule or all, with one outcome or any."""
    params = {"schedule": schedule, "outcome": outcome, **moment("since", since), "limit": limit}
    rows = await db.rows("schedules/fires", params)
    return [DecidedFire(name, LastFire._make(fire), decided_at) for name, *fire, decided_at in rows]


async def list_servers(db: Speaks, limit: int) -> list[KnownServer]:
    """Up to ``limit`` servers, the living first."""
    return [KnownServer._make(row) for row in await db.rows("servers/list", {"limit": limit})]


async def anybody_for(db: Speaks, job_type: str | None) -> tuple[bool, bool]:
    """Whether any server is alive, and whether a living one offers the job type."""
    ((alive, offered),) = await db.rows("servers/anybody_for", {"job_type": job_type})
    return alive, offered


async def list_notifications(
    db: Speaks, limit: int, *, status: str | None = None, run_id: UUID | None = None
) -> list[StoredNotification]:
    """Up to ``limit`` notifications, newest first."""
    rows = await db.rows("notifications/list", {"status": status, "run_id": run_id, "limit": limit})
    return [StoredNotification._make(row) for row in rows]


def _surrounded(row: tuple[Any, ...]) -> SurroundedRun:
    return SurroundedRun(run_of_row(row[:_RUN_COLUMNS]), *row[_RUN_COLUMNS:])
