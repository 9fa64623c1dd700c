"""This is the room for ending the runs of dead servers, before our port opens and from then on."""

import logging
from collections.abc import Callable
from uuid import UUID

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.job_run import RunStatus
from owlrunner.storage import job_runs, notifications, servers
from owlrunner.storage.postgres import Database

SHOWN_IDS = 3

logger = logging.getLogger(__name__)


async def recover_at_start(db: Database, server_id: UUID) -> None:
    """Fail (or requeue) what dead servers left behind, and what waited while nobody was there. Never a run of a living server.

    The server must be registered: that is what supersedes its former self.

    Raises DatabaseUnavailable.
    """
    async with db.session() as session:
        async with session.transaction():
            dead = await servers.bury_expired(session)
            recovered = await job_runs.fail_stale(session)
        recovered += await job_runs.fail_waiting(session, server_id)
        await notifications.release_of_dead(session)
        await servers.forget_old(session)
    _tell(dead, recovered)


async def keep_recovering(db: Database, interval: float, on_requeued: Callable[[], None]) -> None:
    """Look for dead servers for ever, every ``interval`` seconds."""
    while True:
        await trio.sleep(interval)
        try:
            async with db.session() as session:
                if not await servers.anything_stale(session):
                    continue
                async with session.transaction():
                    dead = await servers.bury_expired(session)
                    recovered = await job_runs.fail_stale(session)
                await notifications.release_of_dead(session)
        except DatabaseTrouble as error:
            logger.warning("cannot look for dead servers: %s", error)
            continue
        _tell(dead, recovered)
        if any(status is RunStatus.PENDING for _, _, status in recovered):
            on_requeued()


def _tell(dead: list[str], recovered: list[tuple[UUID, str, RunStatus]]) -> None:
    """Say it in the log: by job type, with a few ids, because thousands of runs may have waited."""
    for name in dead:
        logger.warning("server %s is dead: its lease ran out", name)
    by_kind: dict[tuple[str, RunStatus], list[UUID]] = {}
    for run_id, job_type, status in recovered:
        by_kind.setdefault((job_type, status), []).append(run_id)
    for (job_type, status), ids in by_kind.items():
        more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
        logger.warning(
            "recovered %d runs of %s, now %s: %s%s",
            len(ids),
            job_type,
            status,
            ", ".join(map(str, ids[:SHOWN_IDS])),
            more,
        )
