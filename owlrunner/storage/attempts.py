"""This is the room for attempts: a server claims them, writes what they tell and how they end, and asks what became of them.

Every statement here names the server, and every write the attempt too: what is not ours any more is not touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from owlrunner.decoding import storable_text
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.storage.postgres import Session


class ClaimedRun(NamedTuple):
    """A run that has just become ours: what executing it needs, and no more."""

    id: UUID
    job_type: str
    project_id: UUID | None
    team_id: UUID | None
    params: Any
    attempt: int
    max_attempts: int


class FinishedAttempt(msgspec.Struct, frozen=True):
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


class Offer(NamedTuple):
    """A job type that a server claims runs of."""

    job_type: str
    fingerprint: str
    """Stands for what the server can read of its params."""
    max_running: int | None = None
    """How many of its runs may run on all servers together; None for no limit."""


async def claim_pending(session: Session, server_id: UUID, offers: Sequence[Offer], room: int) -> list[ClaimedRun]:
    """Take up to ``room`` due runs, by priority, and of job types with a limit no more than that leaves."""
    limited = {offer.job_type: offer.max_running for offer in offers if offer.max_running is not None}
    due = await session.rows("job_runs/due_job_types", {"job_types": list(limited)}) if limited else []
    if not due:
        unlimited = [offer for offer in offers if offer.max_running is None]
        return await _claim(session, server_id, unlimited, {}, room) if unlimited else []
    wanted = [job_type for (job_type,) in due]
    async with session.transaction():
        await session.rows("job_runs/lock_limited", {"job_types": wanted})
        running = dict(await session.rows("job_runs/count_running", {"job_types": wanted}))
        left = {
            job_type: max(0, limit - running.get(job_type, 0))
            for job_type, limit in limited.items()
            if job_type in wanted
        }
        mine = [offer for offer in offers if offer.max_running is None or offer.job_type in left]
        return await _claim(session, server_id, mine, left, room)


async def _claim(
    session: Session, server_id: UUID, offers: Sequence[Offer], left: Mapping[str, int], room: int
) -> list[ClaimedRun]:
    params = {
        "server_id": server_id,
        "job_types": [offer.job_type for offer in offers],
        "fingerprints": [offer.fingerprint for offer in offers],
        "limits": [min(room, left.get(offer.job_type, room)) for offer in offers],
        "room": room,
    }
    return [ClaimedRun._make(row) for row in await session.rows("job_runs/claim_pending", params)]


async def next_due(session: Session, job_types: Sequence[str]) -> float | None:
    """Seconds until the next pending run of these types is due, or None when there is none."""
    seconds: float | None
    ((seconds,),) = await session.rows("job_runs/next_due", {"job_types": job_types})
    return seconds


async def finish(
    session: Session, server_id: UUID, attempts: Sequence[FinishedAttempt], *, ring: bool = False
) -> set[UUID]:
    """Write the outcomes of attempts that are still ours, and return the ids of those that were not.

    What an earlier call has written already counts as ours. ``ring`` wakes the workers of all servers.
    """
    unread = [one for one in attempts if one.outcome.unreadable_by is not None]
    ended = [one for one in attempts if one.outcome.unreadable_by is None]
    lost = await _write(session, server_id, ended, ring=ring) if ended else []
    lost += await _set_aside(session, server_id, unread) if unread else []
    return await _not_written_before(session, server_id, attempts, set(lost)) if lost else set()


async def _write(session: Session, server_id: UUID, ended: Sequence[FinishedAttempt], *, ring: bool) -> list[UUID]:
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
        for one in ended
    ]
    params = {"server_id": server_id, "outcomes": msgspec.json.encode(outcomes).decode(), "ring": ring}
    return [row[0] for row in await session.rows("job_runs/finish", params)]


async def _set_aside(session: Session, server_id: UUID, unread: Sequence[FinishedAttempt]) -> list[UUID]:
    params = {
        "server_id": server_id,
        "ids": [one.id for one in unread],
        "attempts": [one.attempt for one in unread],
        "fingerprints": [one.outcome.unreadable_by for one in unread],
    }
    return [row[0] for row in await session.rows("job_runs/set_aside", params)]


async def _not_written_before(
    session: Session, server_id: UUID, attempts: Sequence[FinishedAttempt], lost: set[UUID]
) -> set[UUID]:
    """Return those that an earlier call, whose answer did not come, has not written either."""
    looked_up = [one for one in attempts if one.id in lost]
    params = {
        "server_id": server_id,
        "ids": [one.id for one in looked_up],
        "attempts": [one.attempt for one in looked_up],
        "statuses": [one.outcome.status.value for one in looked_up],
        "errors": [one.outcome.error for one in looked_up],
    }
    return lost - {row[0] for row in await session.rows("job_runs/written_before", params)}


async def save_progress(session: Session, server_id: UUID, latest: Sequence[tuple[UUID, int, Progress, bool]]) -> None:
    """Store the latest progress of (run, attempt)s that are still ours; the last value tells whether it is kept for good."""
    await session.rows(
        "job_runs/save_progress",
        {
            "server_id": server_id,
            "ids": [run_id for run_id, _, _, _ in latest],
            "attempts": [attempt for _, attempt, _, _ in latest],
            "progresses": [progress_json(progress) for _, _, progress, _ in latest],
            "kept": [kept for _, _, _, kept in latest],
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


def progress_json(progress: Progress) -> str:
    """Progress as it is stored: ``message`` is left out when there is none."""
    value: dict[str, Any] = {"processed": progress.processed, "total": progress.total}
    if progress.message:
        value["message"] = storable_text(progress.message)
    return msgspec.json.encode(value).decode()
