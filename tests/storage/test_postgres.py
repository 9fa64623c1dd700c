"""The contract with psycopg: what TrioConnection overrides, it overrides rightly."""

import contextlib
import gc
import time

import psycopg
import pytest
import trio
from psycopg import pq

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.storage.connection import TrioConnection, has_hung_up
from owlrunner.storage.postgres import Database, mapped_errors

RUNNING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and query like '%%{mark}%%' and state = 'active' and pid <> pg_backend_pid()"
)


async def one(db: Database, statement: str, *params: object) -> object:
    """The only value of a statement's only row."""
    async with db.session() as session:
        row = await (await session.connection.execute(statement.encode(), params)).fetchone()
    assert row is not None
    return row[0]


async def test_a_query_answers(db: Database) -> None:
    """Parameters go there, values come back, JSON is decoded."""
    assert await one(db, "select jsonb_build_object('a', %s::int, 'b', %s::text)", 1, "ü") == {"a": 1, "b": "ü"}


async def test_large_values_go_both_ways(db: Database) -> None:
    """A value larger than any socket buffer is sent and received whole."""
    text = "owl" * 7_000_000
    assert await one(db, "select %s::text", text) == text


async def test_other_tasks_run_while_a_query_waits(db: Database) -> None:
    """Waiting for PostgreSQL does not block the event loop: two sleeping queries take the time of one."""
    started = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(one, db, "select pg_sleep(0.5)::text")
    assert time.monotonic() - started < 0.95


async def test_cancelling_cancels_in_the_server_and_keeps_the_connection(db: Database) -> None:
    """A cancel scope that fires during a query ends it in PostgreSQL within 100 ms, and the same connection goes on."""
    async with db.session() as session:
        pid = session.connection.pgconn.backend_pid
        with trio.move_on_after(0.2) as scope:
            await session.connection.execute("select pg_sleep(600) /* mark_a */")
        late = trio.current_time() - scope.deadline
        assert scope.cancelled_caught
        assert late < 0.1
        assert session.connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        await session.connection.execute("select 1")
    assert await one(db, RUNNING.format(mark="mark_a")) == 0
    assert await one(db, "select pg_backend_pid()") == pid


async def test_cancelling_inside_a_transaction_rolls_back(db: Database) -> None:
    """What a cancelled transaction did is undone, and the pool gives the next task a usable connection."""
    async with db.session() as session:
        await session.connection.execute("create table t (n int)")
    with trio.move_on_after(0.2):
        async with db.session() as session, session.transaction():
            await session.connection.execute("insert into t values (1)")
            await session.connection.execute("select pg_sleep(600) /* mark_b */")
    assert await one(db, "select count(*) from t") == 0
    assert await one(db, RUNNING.format(mark="mark_b")) == 0


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.002, 0.005, 0.01])
async def test_cancelling_at_any_moment_leaves_the_pool_usable(db: Database, seconds: float) -> None:
    """Whenever the scope fires, before, during or after a statement, the next statement works and sees no stray answer."""
    for number in range(20):
        with trio.move_on_after(seconds):
            async with db.session() as session, session.transaction():
                await session.connection.execute("select pg_sleep(0.003)")
                await session.connection.execute("select 'stray'")
        assert await one(db, "select %s::int", number) == number


async def test_cancelling_while_connecting_leaves_nothing_behind(database_url: str) -> None:
    """Whenever connecting is cancelled, its socket is closed: nothing is left for the collector to complain about."""
    for step in range(40):
        async with Database(database_url) as db:
            with trio.move_on_after(step / 2000):
                await one(db, "select 1")
            assert await one(db, "select 1") == 1
    gc.collect()


async def test_a_terminated_connection_is_replaced(db: Database) -> None:
    """A connection that PostgreSQL closed while it was idle is noticed before it is lent out again."""
    pid = await one(db, "select pg_backend_pid()")
    with psycopg.connect(db.conninfo, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])
    assert await one(db, "select pg_backend_pid()") != pid


async def test_a_connection_lost_in_the_middle_is_told(db: Database) -> None:
    """A statement whose server process dies raises DatabaseUnavailable, and the next one works."""

    async def terminate(pid: int) -> None:
        with psycopg.connect(db.conninfo, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [pid])

    async with db.session() as session, trio.open_nursery() as nursery:
        nursery.start_soon(terminate, session.connection.pgconn.backend_pid)
        with pytest.raises(DatabaseUnavailable), mapped_errors():
            await session.connection.execute("select pg_sleep(600)")
    assert await one(db, "select 1") == 1


async def test_a_mistake_is_not_an_outage(db: Database) -> None:
    """A statement that PostgreSQL refuses raises StatementFailed, and the connection stays in the pool."""
    pid = await one(db, "select pg_backend_pid()")
    async with db.session() as session:
        with pytest.raises(StatementFailed, match="uuid"):
            await session.rows("job_runs/by_id", {"id": "not a uuid"})
    assert await one(db, "select pg_backend_pid()") == pid


async def test_nobody_there_is_an_outage() -> None:
    """A port where nobody listens is DatabaseUnavailable, at once and in one sentence."""
    async with Database("postgresql://nobody@127.0.0.1:1/none") as db:
        with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
            await db.row("job_runs/count_running", {"job_type": "x"})


async def test_names_are_resolved_without_blocking() -> None:
    """A host name that does not resolve is DatabaseUnavailable too."""
    async with Database("postgresql://nobody@owlrunner.invalid/none") as db:
        with pytest.raises(DatabaseUnavailable):
            await db.row("job_runs/count_running", {"job_type": "x"})


async def test_a_silent_server_does_not_hang_us() -> None:
    """A port that accepts and says nothing is given up after connect_timeout."""

    async def say_nothing(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, say_nothing, 0)
        port = listeners[0].socket.getsockname()[1]
        async with Database(f"postgresql://nobody@127.0.0.1:{port}/none", connect_timeout=1.0) as db:
            with pytest.raises(DatabaseUnavailable, match="no answer within 1 seconds"):
                await db.row("job_runs/count_running", {"job_type": "x"})
        nursery.cancel_scope.cancel()


async def test_a_connection_is_for_one_task(db: Database) -> None:
    """Two tasks on one connection are told so instead of getting each other's answers."""
    async with db.session() as session:

        async def ask() -> None:
            await session.connection.execute("select pg_sleep(0.2)")

        with pytest.RaisesGroup(trio.BusyResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)


async def test_the_pool_is_a_limit(database_url: str) -> None:
    """No more connections than the pool's size exist at once, however many tasks ask; all get their turn."""
    async with Database(database_url, size=3) as db:
        pids: set[object] = set()

        async def ask() -> None:
            pids.add(await one(db, "select pg_backend_pid() from pg_sleep(0.01)"))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert len(pids) <= 3


async def test_a_notification_that_was_read_already_arrives(db: Database) -> None:
    """A notification that came in one packet with the answer to a statement is not waited for at the socket."""
    async with db.dedicated() as ear:
        await ear.execute("listen bell")
        await one(db, "select pg_notify('bell', 'x')::text")
        await trio.lowlevel.wait_readable(ear.pgconn.socket)
        ear.pgconn.consume_input()
        async with contextlib.aclosing(ear.notifies()) as notifications:
            with trio.fail_after(5):
                assert (await anext(notifications)).payload == "x"


async def test_notifications_arrive(db: Database) -> None:
    """LISTEN and the generator of notifications work through Trio, and end when their task is cancelled."""
    async with db.dedicated() as ear:
        await ear.execute("listen bell")
        await one(db, "select pg_notify('bell', 'x')::text")
        async with contextlib.aclosing(ear.notifies()) as notifications:
            with trio.fail_after(5):
                assert (await anext(notifications)).payload == "x"
            with trio.move_on_after(0.05) as scope:
                await anext(notifications)
        assert scope.cancelled_caught


async def test_psycopg_waits_with_a_timeout(db: Database) -> None:
    """The driver's own time limit for notifications ends the generator instead of raising."""
    async with db.dedicated() as ear:
        await ear.execute("listen bell")
        async with contextlib.aclosing(ear.notifies(timeout=0.05)) as notifications:
            assert [one async for one in notifications] == []


async def test_copy_and_pipeline_work_for_handlers(db: Database) -> None:
    """What a plugin may do with ctx.connect() works: COPY, pipelines, server-side cursors."""
    async with db.dedicated() as connection:
        assert isinstance(connection, TrioConnection)
        await connection.execute("create temp table t (n int)")
        async with connection.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
            for number in range(1000):
                await copy.write_row((number,))
        async with connection.pipeline():
            first = await connection.execute("select count(*) from t")
            second = await connection.execute("select max(n) from t")
        assert (await first.fetchone(), await second.fetchone()) == ((1000,), (999,))
        async with connection.transaction(), connection.cursor("walk") as cursor:
            await cursor.execute("select n from t order by n")
            assert len(await cursor.fetchmany(10)) == 10
        assert not has_hung_up(connection)


async def test_times_are_read_in_utc_wherever_the_server_is(db: Database) -> None:
    """On a database whose zone is not UTC, a time at the very end of the calendar can still be read."""
    async with db.session() as session:
        await session.connection.execute(
            "do $$ begin execute format('alter database %I set timezone = %L', current_database(), 'Pacific/Auckland'); end $$"
        )
    async with Database(db.conninfo) as far_away:
        assert str(await one(far_away, "select '9999-12-31 23:59:59+00'::timestamptz")) == "9999-12-31 23:59:59+00:00"
