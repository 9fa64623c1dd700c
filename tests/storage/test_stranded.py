"""What no living server can execute: which job types, by which run, however PostgreSQL finds it, and what that costs."""

from uuid import UUID

import pytest

from owlrunner.storage import job_runs
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import now, put_run, put_server

ASIDE = {"set_aside": True, "unreadable_by": ["f"]}
ENDED = {"status": "failed", "error": "x", "completed_at": now()}


async def go_by(session: Session, way: str) -> None:
    """For the rest of the transaction: read whole tables, or go by an index wherever there is one."""
    ways = {"index": ["seqscan", "bitmapscan"], "table": ["indexscan", "indexonlyscan", "bitmapscan"]}
    for name in ways[way]:
        await session.connection.execute(f"set local enable_{name} = off".encode())


async def read(session: Session) -> int:
    """How many rows of ``job_runs`` this transaction has read, one by one or by an index."""
    cursor = await session.connection.execute(
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'job_runs'"
    )
    ((count,),) = await cursor.fetchall()
    return int(count)


@pytest.mark.parametrize("way", ["index", "table"])
async def test_each_job_type_is_told_by_its_oldest_run(db: Database, way: str) -> None:
    """Every one that strands and no other, whatever stands before it in the table and whichever way it is read."""
    async with db.session() as session, session.transaction():
        await put_server(session, job_types=["b", "e", "i"], fingerprints=["f"] * 3)
        told: set[tuple[str, UUID, bool]] = set()
        # Backwards and mixed, so that neither the first row of the table nor the last is the one to begin with.
        for job_type in ("g", "a", "h", "d"):
            seconds = {9: -61, 5: -70, 0: -99, -3: -80, -5: -30}
            for priority in (9, 0, -5):
                await put_run(session, job_type=job_type, priority=priority, run_at=now(seconds[priority] + 1))
            ids = {
                priority: await put_run(session, job_type=job_type, priority=priority, run_at=now(seconds[priority]))
                for priority in (5, 9, 0, -5, -3)
            }
            told.add((job_type, ids[0], False))
            for priority in (9, 0, -5):
                await put_run(session, job_type=job_type, priority=priority, run_at=now(seconds[priority] + 2))
        for job_type in ("i", "b", "e"):
            await put_run(session, job_type=job_type, run_at=now(-6), **ASIDE)
            ids = {
                priority: await put_run(session, job_type=job_type, priority=priority, run_at=now(seconds), **ASIDE)
                for priority, seconds in ((5, -3), (9, -2), (0, -7), (-3, -4))
            }
            told.add((job_type, ids[0], True))
            # What can be read is no news where a server offers it, and what has ended nowhere.
            await put_run(session, job_type=job_type, run_at=now(-500))
        for job_type in ("0", "b", "c", "e", "z"):
            for priority in (99, 0, -99):
                await put_run(session, job_type=job_type, priority=priority, run_at=now(-999), **ENDED)
                await put_run(session, job_type=job_type, priority=priority, run_at=now(-999), **ENDED, **ASIDE)
        # Set aside where nobody offers it: it is due for nobody.
        for job_type in ("f", "a", "g"):
            await put_run(session, job_type=job_type, run_at=now(-999), **ASIDE)
        await go_by(session, way)
        answers = await job_runs.strand(session, 60.0)
        assert (len(answers), set(answers)) == (len(told), told)


@pytest.mark.parametrize("aside", [False, True])
async def test_a_backlog_costs_nothing(db: Database, aside: bool) -> None:
    """However many runs wait, a few are read of each job type and each of its priorities."""
    async with db.session() as session, session.transaction():
        if aside:
            await put_server(session, job_types=["a", "b"], fingerprints=["f", "f"])
        await session.connection.execute(
            "insert into job_runs (job_type, triggered_by, exclusive, priority, set_aside, run_at)"
            " select job_type, 'operator', false, priority, %s, owl_now() - (100 + n) * interval '1 second'"
            " from unnest(array['b', 'a']) as job_type, unnest(array[0, 5, -5]) as priority, generate_series(1, 200) as n",
            [aside],
        )
        await go_by(session, "index")
        before = await read(session)
        told = {(job_type, offered) for job_type, _, offered in await job_runs.strand(session, 60.0)}
        assert told == {("a", aside), ("b", aside)}
        assert 0 < await read(session) - before <= 2 + 2 * 3
