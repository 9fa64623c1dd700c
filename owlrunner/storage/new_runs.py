"""Create runs, once each, whatever becomes of the answer: a function per query of ``sql/job_runs/insert_*.sql``."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from owlrunner.actor import Starter
from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.run_id import new_run_id
from owlrunner.storage.job_runs import Speaks, audit, by_id
from owlrunner.storage.postgres import Session


class NewRun(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
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
    id: UUID = msgspec.field(default_factory=new_run_id)


async def insert_pending(db: Speaks, new: NewRun, actor: Starter) -> JobRun | UUID | None:
    """Create the run and return it, or the id of the active run in its slot, or None: no such project in that team.

    Where the answer is lost, whether it was created is looked up by its id, and where it is not there it is created
    again under that id. Inside a transaction of the caller's that is left to the caller.
    """
    try:
        return await _insert_pending(db, new, actor)
    except DatabaseUnavailable as lost:
        if not lost.unknown or isinstance(db, Session):
            raise
    found = await by_id(db, new.id)
    if found is not None:
        return found
    # The first statement may still take effect; then this one meets its row.
    answer = await _insert_pending(db, new, actor)
    return await by_id(db, new.id) if answer == new.id else answer


async def _insert_pending(db: Speaks, new: NewRun, actor: Starter) -> JobRun | UUID | None:
    row = await db.row("job_runs/insert_pending", msgspec.structs.asdict(new) | audit(actor))
    if row is None:
        return None
    created, run_id, params, created_at, run_at = row
    return _pending(new, run_id, params, created_at, run_at) if created else run_id


def _pending(new: NewRun, run_id: UUID, params: Any, created_at: datetime, run_at: datetime) -> JobRun:
    """A run that has just been created: only what the database gave it has to be asked for."""
    return JobRun(
        id=run_id,
        job_type=new.job_type,
        status=RunStatus.PENDING,
        team_id=new.team_id,
        project_id=new.project_id,
        triggered_by=new.triggered_by,
        params=params,
        progress=None,
        result=None,
        error=None,
        notify=new.notify,
        started_at=None,
        completed_at=None,
        created_at=created_at,
        run_at=run_at,
        priority=new.priority,
        attempt=0,
        max_attempts=new.max_attempts,
        server_id=None,
        cancel_requested_at=None,
        cancelled_by=None,
    )


async def insert_many(
    db: Speaks, team_id: UUID | None, runs: Sequence[NewRun], actor: Starter
) -> list[tuple[bool, UUID] | None]:
    """Create the runs in one statement; for each, in order, what ``insert_pending`` tells, with the run's id alone.

    No two exclusive runs may be of one job type and project. A lost answer is looked up as ``insert_pending`` does.
    """
    try:
        return await _insert_many(db, team_id, runs, actor)
    except DatabaseUnavailable as lost:
        if not lost.unknown or isinstance(db, Session):
            raise
    there = {run_id for (run_id,) in await db.rows("job_runs/existing", {"ids": [run.id for run in runs]})}
    rest = [run for run in runs if run.id not in there]
    again = iter(await _insert_many(db, team_id, rest, actor) if rest else [])
    return [(True, run.id) if run.id in there else next(again) for run in runs]


async def _insert_many(
    db: Speaks, team_id: UUID | None, runs: Sequence[NewRun], actor: Starter
) -> list[tuple[bool, UUID] | None]:
    # One text instead of a dozen arrays, each of which psycopg would go through value by value.
    params = {"team_id": team_id, "runs": msgspec.json.encode(runs).decode()} | audit(actor)
    answers: list[tuple[bool, UUID] | None] = [None] * len(runs)
    places: dict[tuple[str, UUID | None], int] = {}
    for number, created, run_id, job_type, project_id in await db.rows("job_runs/insert_many", params):
        if created:
            answers[number - 1] = (True, run_id)
        elif number is not None:
            places[runs[number - 1].job_type, runs[number - 1].project_id] = number - 1
        else:
            place = places[job_type, project_id]
            answers[place] = (run_id == runs[place].id, run_id)
    return answers
