"""This is the room for the tables ``job_runs`` and ``job_run_logs``: a function per query of ``sql/job_runs``, ``sql/logs``."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import attrs

from owlrunner.actor import Actor, ApiKeyActor, OperatorActor, Starter, UserActor
from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.storage.postgres import Params, Session


class Speaks(Protocol):
    """What runs named queries: a borrowed session, or the pool."""

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """All rows."""

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """The first row."""


@attrs.frozen
class Filters:
    """Which runs of a team a page shows. ``since`` and ``until`` are instants, or spans before now."""

    job_type: str | None = None
    status: str | None = None
    project_id: UUID | None = None
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None


LINES_SEARCHED = 20_000
"""How many of the newest lines of a run's log are searched: more than one attempt can write."""
LONGEST_IN_LIST = 2_000
"""Bytes of JSON up to which lists and streams carry params and results. A list of 200 then has a megabyte at most of them."""


class Cursor(NamedTuple):
    """The last row of the page before."""

    created_at: datetime
    id: UUID


class StoredLogLine(NamedTuple):
    """One stored line of a run's log."""

    attempt: int
    seq: int
    at: datetime
    level: str
    logger: str
    message: str


class LogFilter(NamedTuple):
    """Which lines of a log are wanted: of these levels (empty: of all), with this text in them."""

    levels: tuple[str, ...] = ()
    text: str = ""


class ProgressAt(NamedTuple):
    """How far a run had come at some time. ``total`` 0: not known."""

    at: datetime
    processed: int
    total: int


class EarlierAttempt(NamedTuple):
    """An attempt that was not the last one, and when it ended."""

    attempt: int
    at: datetime


def run_of_row(row: Sequence[Any]) -> JobRun:
    """The run that stands in the columns of by_id.sql."""
    identity, job_type, status, *rest = row
    return JobRun(identity, job_type, RunStatus(status), *rest)


def audit(actor: Starter) -> dict[str, str | None]:
    """How an actor stands in the audit log. A schedule is nobody: what it does is told by its fires."""
    match actor:
        case UserActor():
            kind, identity = "user", str(actor.id)
        case ApiKeyActor():
            kind, identity = "api_key", str(actor.id)
        case OperatorActor():
            return _audited("system", "operator", None, None)
        case _:
            return _audited(None, None, None, None)
    return _audited(kind, identity, actor.client, actor.user_agent)


def _audited(
    kind: str | None, identity: str | None, client: str | None, user_agent: str | None
) -> dict[str, str | None]:
    return {
        "audit_actor_type": kind,
        "audit_actor_id": identity,
        "audit_client": client,
        "audit_user_agent": user_agent,
    }


async def request_cancel(db: Speaks, run_id: UUID, actor: Actor) -> RunStatus | None:
    """Ask for a run to be cancelled and return its status now (cancelled or running); None when it is not active.

    Where the answer is lost, whether the request is there is looked up.
    """
    params = {"id": run_id, "actor": actor.triggered_by} | audit(actor)
    try:
        row = await db.row("job_runs/request_cancel", params)
    except DatabaseUnavailable as lost:
        if not lost.unknown:
            raise
        asked, status = await _cancel_on_record(db, run_id)
        if asked:
            return status
        # A second request changes nothing. Where it finds nothing to do, the first one may have taken effect after the look.
        row = await db.row("job_runs/request_cancel", params)
        if row is None:
            return (await _cancel_on_record(db, run_id))[1]
    return RunStatus(row[0]) if row is not None else None


async def _cancel_on_record(db: Speaks, run_id: UUID) -> tuple[bool, RunStatus | None]:
    """Whether a cancel of the run was requested, and what ``request_cancel`` would have returned then."""
    found = await by_id(db, run_id)
    if found is None or found.cancel_requested_at is None:
        return False, None
    return True, found.status if found.status in (RunStatus.RUNNING, RunStatus.CANCELLED) else None


class Recovered(NamedTuple):
    """A run that was taken from a dead server, or from nobody, with its status now."""

    id: UUID
    job_type: str
    status: RunStatus


async def fail_stale(session: Session, limit: int) -> list[Recovered]:
    """End, or send back, up to ``limit`` runs of dead servers."""
    rows = await session.rows("job_runs/fail_stale", {"limit": limit})
    return [Recovered(run_id, job_type, RunStatus(status)) for run_id, job_type, status in rows]


async def fail_waiting(session: Session, server_id: UUID, after: float, limit: int) -> list[Recovered]:
    """End up to ``limit`` due runs that waited for ``after`` seconds while no server was alive for as long."""
    rows = await session.rows("job_runs/fail_waiting", {"server_id": server_id, "after": after, "limit": limit})
    return [Recovered(run_id, job_type, RunStatus(status)) for run_id, job_type, status in rows]


async def cancel_orphaned(session: Session) -> list[Recovered]:
    """Cancel the runs that were created while their project or team was being soft-deleted."""
    rows = await session.rows("job_runs/cancel_orphaned")
    return [Recovered(run_id, job_type, RunStatus(status)) for run_id, job_type, status in rows]


async def strand(session: Session, after: float) -> list[tuple[str, UUID, bool]]:
    """Return the job types, not reported yet, of which due runs wait that no living server can execute.

    Each with a run, and whether a living server offers the job type and just cannot read the params.
    """
    return [
        (job_type, run_id, offered)
        for job_type, run_id, offered in await session.rows("job_runs/strand", {"after": after})
    ]


async def release_set_aside(session: Session, job_types: Sequence[str], fingerprints: Sequence[str]) -> int:
    """Let runs that nobody could read be claimed again where a server with these fingerprints has not tried; returns how many."""
    params = {"job_types": list(job_types), "fingerprints": list(fingerprints)}
    return len(await session.rows("job_runs/release_set_aside", params))


async def by_id(db: Speaks, run_id: UUID) -> JobRun | None:
    """The run, or None."""
    row = await db.row("job_runs/by_id", {"id": run_id})
    return run_of_row(row) if row is not None else None


async def by_ids(db: Speaks, run_ids: Collection[UUID]) -> list[JobRun]:
    """Return those of the runs that there are, without what is longer than LONGEST_IN_LIST."""
    params = {"ids": list(run_ids), "most": LONGEST_IN_LIST}
    return [run_of_row(row) for row in await db.rows("job_runs/by_ids", params)]


async def page(db: Speaks, team_id: UUID, filters: Filters, before: Cursor | None, limit: int) -> list[JobRun]:
    """Up to ``limit`` of a team's runs, newest first, after the cursor, without what is longer than LONGEST_IN_LIST."""
    params = {
        **filtering(team_id, filters),
        "before": before.created_at if before else None,
        "before_id": before.id if before else None,
        "limit": limit,
        "most": LONGEST_IN_LIST,
    }
    # Runs of a rare status have an index of their own, which a plan for any status cannot use.
    return [run_of_row(row) for row in await db.rows("job_runs/page", params, plan_anew=True)]


def filtering(team_id: UUID, filters: Filters) -> dict[str, Any]:
    """The filters as the statements name them."""
    return {
        "team_id": team_id,
        "job_type": filters.job_type,
        "status": filters.status,
        "project_id": filters.project_id,
        **moment("since", filters.since),
        **moment("until", filters.until),
    }


def moment(name: str, at: datetime | timedelta | None) -> dict[str, Any]:
    """A bound in time as the statements name it: an instant by ``name``, a span before now by the same and ``_ago``."""
    return {
        name: at if isinstance(at, datetime) else None,
        f"{name}_ago": at if isinstance(at, timedelta) else None,
    }


async def log_page(db: Speaks, run_id: UUID, after: tuple[int, int], limit: int) -> list[StoredLogLine]:
    """Up to ``limit`` lines of a run's log after the line (attempt, seq)."""
    params = {"run_id": run_id, "after_attempt": after[0], "after_seq": after[1], "limit": limit}
    return [StoredLogLine._make(row) for row in await db.rows("logs/page", params)]


async def newest_lines(
    db: Speaks, run_id: UUID, wanted: LogFilter, after: tuple[int, int], limit: int
) -> list[StoredLogLine]:
    """The newest ``limit`` lines of a run's log after the line (attempt, seq), in order; of its newest LINES_SEARCHED lines."""
    params = {
        "run_id": run_id,
        "after_attempt": after[0],
        "after_seq": after[1],
        "levels": list(wanted.levels) or None,
        "text": wanted.text or None,
        "searched": LINES_SEARCHED,
        "limit": limit,
    }
    return [StoredLogLine._make(row) for row in await db.rows("logs/newest", params)]


async def is_searched_whole(db: Speaks, run_id: UUID) -> bool:
    """Whether a run's log has no more than LINES_SEARCHED lines."""
    ((is_longer,),) = await db.rows("logs/is_longer", {"run_id": run_id, "lines": LINES_SEARCHED})
    return not is_longer


async def progress_of(db: Speaks, run_id: UUID) -> list[ProgressAt]:
    """How a run's last attempt came along, in order."""
    return [ProgressAt._make(row) for row in await db.rows("progress/of_run", {"run_id": run_id})]


async def earlier_attempts(db: Speaks, run_id: UUID) -> list[EarlierAttempt]:
    """The attempts of a run that were followed by another, or will be, as far as they left a word in its log."""
    return [EarlierAttempt._make(row) for row in await db.rows("logs/earlier_attempts", {"run_id": run_id})]
