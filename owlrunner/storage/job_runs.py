"""This is the room for the tables ``job_runs`` and ``job_run_logs``: a function per query of ``sql/job_runs``, ``sql/logs``."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import attrs
import msgspec

from owlrunner.actor import Actor, ApiKeyActor, Starter, UserActor
from owlrunner.context import LogLine
from owlrunner.decoding import storable_text
from owlrunner.job_run import JobRun, Outcome, Progress, RunStatus
from owlrunner.storage.postgres import Params, Session


class Speaks(Protocol):
    """What runs named queries: a borrowed session, or the pool."""

    async def rows(self, name: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """All rows."""

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """The first row."""


class ClaimedRun(NamedTuple):
    """A run that has just become ours: what executing it needs, and no more."""

    id: UUID
    job_type: str
    project_id: UUID | None
    team_id: UUID | None
    params: Any
    attempt: int
    max_attempts: int


@attrs.frozen
class NewRun:
    """What a trigger asks for. ``params`` is JSON text; ``run_at`` is an instant, ``delay`` counts from the database's now."""

    job_type: str
    team_id: UUID | None
    project_id: UUID | None
    triggered_by: str
    params: str | None
    notify: bool
    priority: int
    exclusive: bool
    requeue_on_restart: bool
    max_attempts: int
    run_at: datetime | None = None
    delay: timedelta | None = None
    schedule: str | None = None
    """The schedule that fired, with the time for which it did."""
    fire_time: datetime | None = None


@attrs.frozen
class Filters:
    """Which runs of a team a page shows. ``since`` and ``until`` are instants, or spans before now."""

    job_type: str | None = None
    status: str | None = None
    project_id: UUID | None = None
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None


class Cursor(NamedTuple):
    """The last row of the page before."""

    created_at: datetime
    id: UUID


class FinishedAttempt(NamedTuple):
    """An outcome on its way into the database. ``result`` and ``progress`` are JSON text."""

    id: UUID
    attempt: int
    outcome: Outcome
    result: str | None
    progress: str | None


class _Outcome(msgspec.Struct, omit_defaults=True):
    """A finished attempt as finish.sql reads it."""

    id: UUID
    attempt: int
    status: RunStatus
    result: msgspec.Raw | None = None
    error: str | None = None
    progress: msgspec.Raw | None = None
    retry_in: float = 0.0
    relinquished: bool = False


class News(NamedTuple):
    """What happened to a held run behind its server's back."""

    id: UUID
    attempt: int
    lost: bool
    cancelled_by: str | None


class StoredLogLine(NamedTuple):
    """One stored line of a run's log."""

    attempt: int
    seq: int
    at: datetime
    level: str
    logger: str
    message: str


def run_of_row(row: Sequence[Any]) -> JobRun:
    """The run that stands in the columns of by_id.sql."""
    identity, job_type, status, *rest = row
    return JobRun(identity, job_type, RunStatus(status), *rest)


def _audit(actor: Starter) -> dict[str, str | None]:
    """How an actor stands in the audit log; what the owner does is not a team's business."""
    match actor:
        case UserActor(id=identity):
            return {"audit_actor_type": "user", "audit_actor_id": str(identity)}
        case ApiKeyActor(id=identity):
            return {"audit_actor_type": "api_key", "audit_actor_id": str(identity)}
        case _:
            return {"audit_actor_type": None, "audit_actor_id": None}


async def insert_pending(db: Speaks, new: NewRun, actor: Starter) -> tuple[bool, JobRun] | None:
    """Create the run and return (True, run), or (False, the active run in its slot), or None: no such project in that team."""
    row = await db.row("job_runs/insert_pending", attrs.asdict(new) | _audit(actor))
    return (row[0], run_of_row(row[1:])) if row is not None else None


async def insert_many(
    db: Speaks, team_id: UUID | None, runs: Sequence[NewRun], actor: Starter
) -> list[tuple[bool, UUID] | None]:
    """Create the runs in one statement; for each, in order, what ``insert_pending`` tells, with the run's id alone.

    No two exclusive runs may be of one job type and project.
    """
    # One text instead of a dozen arrays, each of which psycopg would go through value by value.
    params = {"team_id": team_id, "runs": msgspec.json.encode(runs).decode()} | _audit(actor)
    answers: list[tuple[bool, UUID] | None] = [None] * len(runs)
    for number, created, run_id in await db.rows("job_runs/insert_many", params):
        answers[number - 1] = (created, run_id)
    return answers


async def claim_pending(session: Session, server_id: UUID, job_types: Sequence[str], room: int) -> list[ClaimedRun]:
    """Take up to ``room`` due runs of job types without a limit."""
    rows = await session.rows("job_runs/claim_pending", {"server_id": server_id, "job_types": job_types, "room": room})
    return [ClaimedRun._make(row) for row in rows]


async def claim_limited(
    session: Session, server_id: UUID, job_type: str, max_running: int, room: int
) -> list[ClaimedRun]:
    """Take up to ``room`` due runs of one job type, of which at most ``max_running`` may run on all servers together."""
    async with session.transaction():
        await session.rows("job_runs/lock_job_type", {"job_type": job_type})
        row = await session.row("job_runs/count_running", {"job_type": job_type})
        room = min(room, max_running - (row[0] if row else 0))
        return await claim_pending(session, server_id, [job_type], room) if room > 0 else []


async def next_due(session: Session, job_types: Sequence[str]) -> float | None:
    """Seconds until the next pending run of these types is due, or None when there is none."""
    row = await session.row("job_runs/next_due", {"job_types": job_types})
    return row[0] if row is not None else None


async def finish(session: Session, server_id: UUID, attempts: Sequence[FinishedAttempt]) -> set[UUID]:
    """Write the outcomes of attempts that are still ours, and return the ids of those that were."""
    outcomes = [
        _Outcome(
            one.id,
            one.attempt,
            one.outcome.status,
            None if one.result is None else msgspec.Raw(one.result),
            one.outcome.error,
            None if one.progress is None else msgspec.Raw(one.progress),
            one.outcome.retry_in,
            one.outcome.relinquished,
        )
        for one in attempts
    ]
    params = {"server_id": server_id, "outcomes": msgspec.json.encode(outcomes).decode()}
    return {row[0] for row in await session.rows("job_runs/finish", params)}


async def save_progress(session: Session, server_id: UUID, latest: Sequence[tuple[UUID, int, Progress]]) -> None:
    """Store the latest progress of (run, attempt)s that are still ours."""
    await session.rows(
        "job_runs/save_progress",
        {
            "server_id": server_id,
            "ids": [run_id for run_id, _, _ in latest],
            "attempts": [attempt for _, attempt, _ in latest],
            "progresses": [progress_json(progress) for _, _, progress in latest],
        },
    )


async def append_logs(
    session: Session, server_id: UUID, lines: Iterable[tuple[UUID, int, LogLine]], monotonic_now: float
) -> None:
    """Store log lines of (run, attempt)s that are still ours."""
    lines = list(lines)
    await session.rows(
        "logs/append",
        {
            "server_id": server_id,
            "run_ids": [run_id for run_id, _, _ in lines],
            "attempts": [attempt for _, attempt, _ in lines],
            "seqs": [line.seq for _, _, line in lines],
            "ages": [max(0.0, monotonic_now - line.monotonic) for _, _, line in lines],
            "levels": [line.level for _, _, line in lines],
            "loggers": [line.logger for _, _, line in lines],
            "messages": [line.message for _, _, line in lines],
        },
    )


async def held_news(session: Session, server_id: UUID, held: Sequence[tuple[UUID, int]]) -> list[News]:
    """Which of these (run, attempt)s were lost, and for which was a cancel requested."""
    params = {
        "server_id": server_id,
        "ids": [run_id for run_id, _ in held],
        "attempts": [attempt for _, attempt in held],
    }
    return [News._make(row) for row in await session.rows("job_runs/held_news", params)]


async def release_unstarted(session: Session, server_id: UUID, known: Sequence[tuple[UUID, int]]) -> list[UUID]:
    """Give back the runs that stand in the server's name but are not among the (run, attempt)s that it knows."""
    params = {
        "server_id": server_id,
        "ids": [run_id for run_id, _ in known],
        "attempts": [attempt for _, attempt in known],
    }
    return [row[0] for row in await session.rows("job_runs/release_unstarted", params)]


async def request_cancel(db: Speaks, run_id: UUID, actor: Actor) -> RunStatus | None:
    """Ask for a run to be cancelled and return its status now (cancelled or running); None when it is not active."""
    row = await db.row("job_runs/request_cancel", {"id": run_id, "actor": actor.triggered_by} | _audit(actor))
    return RunStatus(row[0]) if row is not None else None


async def fail_stale(session: Session) -> list[tuple[UUID, str, RunStatus]]:
    """End, or send back, the runs of dead servers; returns (run, job type, its status now)."""
    return [
        (run_id, job_type, RunStatus(status)) for run_id, job_type, status in await session.rows("job_runs/fail_stale")
    ]


async def fail_waiting(session: Session, server_id: UUID) -> list[tuple[UUID, str, RunStatus]]:
    """End the due runs that waited while no server was alive; nothing happens unless ours is the only one."""
    rows = await session.rows("job_runs/fail_waiting", {"server_id": server_id})
    return [(run_id, job_type, RunStatus(status)) for run_id, job_type, status in rows]


async def by_id(db: Speaks, run_id: UUID) -> JobRun | None:
    """The run, or None."""
    row = await db.row("job_runs/by_id", {"id": run_id})
    return run_of_row(row) if row is not None else None


async def page(db: Speaks, team_id: UUID, filters: Filters, before: Cursor | None, limit: int) -> list[JobRun]:
    """Up to ``limit`` of a team's runs, newest first, after the cursor."""
    params = {
        "team_id": team_id,
        "job_type": filters.job_type,
        "status": filters.status,
        "project_id": filters.project_id,
        "since": filters.since if isinstance(filters.since, datetime) else None,
        "since_ago": filters.since if isinstance(filters.since, timedelta) else None,
        "until": filters.until if isinstance(filters.until, datetime) else None,
        "until_ago": filters.until if isinstance(filters.until, timedelta) else None,
        "before": before.created_at if before else None,
        "before_id": before.id if before else None,
        "limit": limit,
    }
    return [run_of_row(row) for row in await db.rows("job_runs/page", params)]


async def log_page(db: Speaks, run_id: UUID, after: tuple[int, int], limit: int) -> list[StoredLogLine]:
    """Up to ``limit`` lines of a run's log after the line (attempt, seq)."""
    params = {"run_id": run_id, "after_attempt": after[0], "after_seq": after[1], "limit": limit}
    return [StoredLogLine._make(row) for row in await db.rows("logs/page", params)]


def progress_json(progress: Progress) -> str:
    """Progress as it is stored: ``message`` is left out when there is none."""
    value: dict[str, Any] = {"processed": progress.processed, "total": progress.total}
    if progress.message:
        value["message"] = storable_text(progress.message)
    return msgspec.json.encode(value).decode()
