"""End the runs of dead servers, before our port opens and from then on, and say which runs no living server can execute.

Recovery goes in bounded steps: the thousands of runs that a dead server may have held do not fit into one statement's
time. The first step marks the server dead in the transaction that ends its first runs; the others find the rest by that mark.
"""

import logging
from collections.abc import Callable
from uuid import UUID

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.job_run import RunStatus
from owlrunner.storage import audit, job_runs, notifications, servers
from owlrunner.storage.job_runs import Recovered
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell

EVENTS_KEPT = 400
"""Days for which events about sign-ins, and alerts about schedules, are kept."""
AT_ONCE = 500
"""How many runs one statement ends."""
SHOWN_IDS = 3

logger = logging.getLogger(__name__)


async def recover_at_start(db: Database, server_id: UUID, fail_waiting_after: float) -> None:
    """Fail (or requeue) what dead servers left behind, and what waited while nobody was there. Never a run of a living server.

    The server must be registered: that is what supersedes its former self.

    Raises DatabaseTrouble.
    """
    await _recover(db)
    async with db.session() as session:
        while ended := await job_runs.fail_waiting(session, server_id, fail_waiting_after, AT_ONCE):
            _tell([], ended)
        await servers.forget_old(session)
        await audit.forget_events(session, EVENTS_KEPT)
        await notifications.forget_alerts(session, EVENTS_KEPT)


async def keep_recovering(
    db: Database, bell: Bell, interval: float, on_requeued: Callable[[], None], on_round: Callable[[float], None]
) -> None:
    """Look for dead servers for ever, every ``interval`` seconds and at each ring."""
    while True:
        rung = bell.listen()
        try:
            async with db.session() as session:
                stale = await servers.anything_stale(session)
            if stale and await _recover(db):
                on_requeued()
            async with db.session() as session:
                _tell([], await job_runs.cancel_orphaned(session))
            await _report_stranded(db, interval)
        except DatabaseTrouble as error:
            logger.warning("cannot look for dead servers: %s", error)
            # Runs may have gone back to pending all the same.
            on_requeued()
        else:
            on_round(interval)
        with trio.move_on_after(interval):
            await rung.wait()


async def _recover(db: Database) -> bool:
    """Mark dead servers dead and end their runs, step by step; return whether a run went back to pending."""
    requeued = False
    while True:
        async with db.session() as session:
            async with session.transaction():
                dead = await servers.bury_expired(session)
                recovered = await job_runs.fail_stale(session, AT_ONCE)
            if not recovered:
                await notifications.release_of_dead(session)
        _tell(dead, recovered)
        requeued = requeued or any(one.status is RunStatus.PENDING for one in recovered)
        if not recovered:
            return requeued


async def _report_stranded(db: Database, after: float) -> None:
    """Say once in the log, and to the owner, which job types have runs that nobody can execute."""
    async with db.session() as session, session.transaction():
        stranded = await job_runs.strand(session, after)
        for _, run_id, _ in stranded:
            await notifications.add_stranded(session, run_id)
    # Only now is it stored that it has been said.
    for job_type, run_id, offered in stranded:
        why = "can read their params" if offered else "offers it"
        logger.error("runs of job type %s wait, and no living server %s; the oldest is %s", job_type, why, run_id)


def _tell(dead: list[str], recovered: list[Recovered]) -> None:
    """Say it in the log: by job type, with a few ids, because thousands of runs may have waited."""
    for name in dead:
        logger.warning("server %s is dead: its lease ran out", name)
    by_kind: dict[tuple[str, RunStatus], list[UUID]] = {}
    for one in recovered:
        by_kind.setdefault((one.job_type, one.status), []).append(one.id)
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
