"""Runs as people see them: beside the row, what each waits for and who started and cancelled it, by name."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from owlrunner.job_run import ACTIVE, JobRun
from owlrunner.storage.job_runs import Speaks
from owlrunner.waiting import Surroundings, Wait, wait_of

USER, API_KEY = "manual:user:", "manual:api_key:"


class SeenRun(NamedTuple):
    """A run with what people want to know about it that is not in its row."""

    run: JobRun
    wait: Wait | None
    triggered_by: str
    """A name: a user's address, *key* and its name, *schedule* or *operator*."""
    cancelled_by: str | None
    now: datetime
    """When that was so."""


async def see(db: Speaks, runs: Sequence[JobRun]) -> list[SeenRun]:
    """Look up what stands around the runs. Nothing is asked of the database where there is nothing to look up."""
    around = await _surroundings(db, [run for run in runs if run.status in ACTIVE])
    names = await _names(db, {by for run in runs for by in (run.triggered_by, run.cancelled_by) if by is not None})
    now = max((one.now for one in around.values()), default=datetime.now(UTC))
    return [_seen(run, around.get(run.id, Surroundings(now)), names) for run in runs]


def _seen(run: JobRun, around: Surroundings, names: Mapping[str, str]) -> SeenRun:
    cancelled_by = names.get(run.cancelled_by, run.cancelled_by) if run.cancelled_by is not None else None
    wait = wait_of(run, around, cancelled_by or "")
    return SeenRun(run, wait, names.get(run.triggered_by, run.triggered_by), cancelled_by, around.now)


async def _surroundings(db: Speaks, active: Sequence[JobRun]) -> dict[UUID, Surroundings]:
    if not active:
        return {}
    params = {
        "ids": [run.id for run in active],
        "statuses": [run.status.value for run in active],
        "job_types": [run.job_type for run in active],
        "attempts": [run.attempt for run in active],
        "server_ids": [run.server_id for run in active],
    }
    return {row[0]: Surroundings(*row[1:]) for row in await db.rows("job_runs/surroundings", params)}


async def _names(db: Speaks, actors: Collection[str]) -> dict[str, str]:
    """The names of those users and keys that are on record, by the text that is stored with a run."""
    users, keys = _ids(USER, actors), _ids(API_KEY, actors)
    if not users and not keys:
        return {}
    return dict(await db.rows("accounts/names", {"users": users, "keys": keys}))


def _ids(prefix: str, actors: Collection[str]) -> list[UUID]:
    ids = []
    for actor in actors:
        if actor.startswith(prefix):
            try:
                ids.append(UUID(actor.removeprefix(prefix)))
            except ValueError:
                continue
    return ids
