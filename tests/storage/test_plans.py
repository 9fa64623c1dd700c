"""Plans: what was planned once stays good as the tables grow."""

import time
import uuid
from datetime import timedelta

import pytest

from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.storage import attempts, job_runs, overview, servers
from owlrunner.storage.attempts import FinishedAttempt, Offer
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.overview import Count
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
            assert await attempts.claim_pending(session, server, [Offer("x", "f")], 1) == []
            assert await attempts.next_due(session, ["x"]) is None
        await session.connection.execute(
            "insert into job_runs (job_type, triggered_by, status, server_id, attempt, started_at, completed_at)"
            " select 'x', 'operator', 'completed', %s, 1, now(), now() from generate_series(1, 1000)",
            [server],
        )
        before = await rows_read_one_by_one(session)
        assert await attempts.claim_pending(session, server, [Offer("x", "f")], 1) == []
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
        claimed = await attempts.claim_pending(session, server, [Offer("x", "f")], 500)
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


async def test_counting_does_not_read_the_history(database_url: str) -> None:
    """However long a team's history is, no more runs are read to count them than are counted."""
    async with Database(database_url, size=1) as db, db.session() as session:
        cursor = await session.connection.execute("insert into teams (name, slug) values ('T', 't') returning id")
        ((team,),) = await cursor.fetchall()
        await session.connection.execute(
            "with p as (insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id, team_id)"
            " insert into job_runs (job_type, team_id, project_id, triggered_by, status, server_id, attempt, started_at,"
            " completed_at, created_at) select 'x', team_id, id, 'schedule', 'completed', gen_random_uuid(), 1, now(), now(),"
            " now() - n * interval '1 second' from p, generate_series(1, 5000) n",
            [team],
        )
        await session.connection.execute("vacuum analyze job_runs")
        # More often than a prepared statement is planned for its parameters.
        for _ in range(8):
            counted = await overview.counts(session, team, Filters(since=timedelta(hours=2)), 50)
            assert counted == {RunStatus.COMPLETED: Count(50, is_all=False)}
        await session.connection.execute("select pg_stat_force_next_flush()")
        cursor = await session.connection.execute(
            "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'job_runs'"
        )
        ((read,),) = await cursor.fetchall()
        assert read <= 8 * 60


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
async def test_a_page_of_a_rare_status_does_not_read_the_history(database_url: str, status: str) -> None:
    """However long a team's history is, its few runs of a rare status are found without going through it."""
    async with Database(database_url, size=1) as db, db.session() as session:
        cursor = await session.connection.execute("insert into teams (name, slug) values ('T', 't') returning id")
        ((team,),) = await cursor.fetchall()
        await session.connection.execute(
            "with p as (insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id, team_id)"
            " insert into job_runs (job_type, team_id, project_id, triggered_by, status, server_id, attempt, started_at,"
            " completed_at) select 'x', team_id, id, 'schedule', 'completed', gen_random_uuid(), 1, now(), now()"
            " from p, generate_series(1, 2000)",
            [team],
        )
        await session.connection.execute("vacuum analyze job_runs")
        # More often than a prepared statement is planned for its parameters.
        for _ in range(8):
            assert await job_runs.page(session, team, Filters(status=status), None, 50) == []
            assert await overview.latest_failures(session, team, 5) == []
        await session.connection.execute("select pg_stat_force_next_flush()")
        cursor = await session.connection.execute(
            "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'job_runs'"
        )
        assert await cursor.fetchall() == [(0,)]
