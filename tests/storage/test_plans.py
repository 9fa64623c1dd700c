"""Plans: what was planned once stays good as the tables grow."""

import time
import uuid

from owlrunner.context import LogLine
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import FinishedAttempt
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.servers import Registration


async def rows_read_one_by_one(session: Session) -> int:
    """How many rows of ``job_runs`` were read by going through the whole table."""
    await session.connection.execute("select pg_stat_force_next_flush()")
    cursor = await session.connection.execute("select seq_tup_read from pg_stat_user_tables where relname = 'job_runs'")
    ((count,),) = await cursor.fetchall()
    return int(count)


async def test_what_was_planned_while_the_table_was_empty_reads_no_more_than_it_needs(database_url: str) -> None:
    """A server that claimed from an empty table goes by the index when a thousand ended runs are there, analyzed or not."""
    server = uuid.uuid4()
    async with Database(database_url, size=1) as db, db.session() as session:
        # As autovacuum would: from here on it is known to be empty.
        await session.connection.execute("vacuum analyze job_runs")
        await servers.register(session, Registration(server, "a", "1", ["x"], 1, 3600.0))
        for _ in range(10):
            assert await attempts.claim_pending(session, server, ["x"], 1) == []
            assert await attempts.next_due(session, ["x"]) is None
        await session.connection.execute(
            "insert into job_runs (job_type, triggered_by, status, server_id, attempt, started_at, completed_at)"
            " select 'x', 'operator', 'completed', %s, 1, now(), now() from generate_series(1, 1000)",
            [server],
        )
        before = await rows_read_one_by_one(session)
        assert await attempts.claim_pending(session, server, ["x"], 1) == []
        assert await attempts.next_due(session, ["x"]) is None
        assert await rows_read_one_by_one(session) == before


async def test_writes_go_by_the_ids_though_nothing_seems_to_run(database_url: str) -> None:
    """When the table was analyzed while nothing ran, claims and writes still touch each run by its id, not all that are held."""
    server = uuid.uuid4()
    async with Database(database_url, size=1) as db, db.session() as session:
        await servers.register(session, Registration(server, "a", "1", ["x"], 1, 3600.0))
        await session.connection.execute(
            "insert into job_runs (job_type, triggered_by, exclusive) select 'x', 'operator', false from generate_series(1, 500)"
        )
        await session.connection.execute("vacuum analyze job_runs")
        claimed = await attempts.claim_pending(session, server, ["x"], 500)
        await session.connection.execute("select pg_stat_force_next_flush()")
        for run in claimed[:10]:
            key = (run.id, run.attempt)
            await attempts.save_progress(session, server, [(*key, Progress(1, 2), True)])
            await attempts.append_logs(session, server, [(*key, LogLine(1, 0.0, "info", "x", "y"))], time.monotonic())
            await attempts.finish(session, server, [FinishedAttempt(*key, Outcome(RunStatus.COMPLETED), None, None)])
        await session.connection.execute("select pg_stat_force_next_flush()")
        cursor = await session.connection.execute(
            "select idx_scan from pg_stat_user_indexes where indexrelname = 'job_runs_held_idx'"
        )
        assert await cursor.fetchall() == [(0,)]
