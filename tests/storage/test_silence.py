"""Every statement ends: silent connections, late answers, and pools in which nobody gives anything back."""

import socket
import threading
from collections.abc import AsyncIterator

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.storage import connection as connections
from owlrunner.storage.connection import has_hung_up
from owlrunner.storage.postgres import Database
from tests.relay import Relay, relayed

PATIENCE = 20.0


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A relay in front of the test's database."""
    async with relayed(database_url) as running:
        yield running


async def test_a_silent_connection_is_given_up(relay: Relay) -> None:
    """A statement whose connection carries nothing any more fails within the limit, as one of unknown effect."""
    async with Database(relay.conninfo, answer_within=0.5) as db, db.session() as session:
        await session.rows("migrations/exists")
        relay.silence()
        with trio.fail_after(5), pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.5 seconds") as caught:
            await session.rows("migrations/exists")
        assert caught.value.unknown
        assert session.connection.closed


@pytest.mark.parametrize("prepare", [True, False])
async def test_a_connection_that_falls_silent_at_once_is_given_up(relay: Relay, prepare: bool) -> None:
    """One that carries nothing after the log-in fails within the limit for connecting, also where nothing else has a limit."""
    async with Database(relay.conninfo, connect_timeout=0.5, answer_within=None, prepare=prepare) as db:
        relay.lose_answer_to(b"datestyle")
        with trio.fail_after(PATIENCE), pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.5 seconds"):
            await db.connect()


async def test_a_connection_whose_answer_is_late_is_closed(relay: Relay) -> None:
    """Nobody can take the answer that comes too late for that to the next statement."""
    async with Database(relay.conninfo) as db, db.dedicated() as connection:
        connection.answer_within = 0.2
        relay.silence()
        with trio.fail_after(PATIENCE), pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.2 seconds"):
            await connection.execute("select 1")
        assert connection.closed
        assert has_hung_up(connection)


async def test_one_silent_connection_makes_the_pool_distrust_the_others(relay: Relay) -> None:
    """After one connection fell silent the next statement goes by a new one, not by another that fell silent with it."""
    async with Database(relay.conninfo, answer_within=0.5) as db:
        async with db.session(), db.session(), db.session():
            pass
        assert relay.accepted == 3
        relay.silence()
        # A read is tried again, on a connection that is new.
        with trio.fail_after(5):
            assert await db.rows("migrations/exists") == [(True,)]
        assert relay.accepted == 4


async def test_a_silent_connection_inside_a_transaction(relay: Relay) -> None:
    """A transaction whose connection falls silent fails as a whole, though its last statement had been answered."""
    async with Database(relay.conninfo, answer_within=0.5) as db:

        async def work() -> None:
            async with db.session() as session, session.transaction():
                await session.rows("migrations/exists")
                relay.silence()

        with trio.fail_after(5), pytest.raises(DatabaseUnavailable) as caught:
            await work()
        assert caught.value.unknown


async def test_a_commit_on_a_closed_connection_is_not_taken_for_done(db: Database) -> None:
    """A transaction whose connection was closed inside does not end as if it had been committed."""
    async with db.session() as session:
        with pytest.raises(DatabaseUnavailable):
            async with session.transaction():
                session.connection.hang_up()


async def test_the_server_ends_a_statement_first(db: Database, database_url: str) -> None:
    """A statement that takes too long is undone by the server before the client gives up, so that its effect is known."""
    async with Database(database_url, answer_within=0.5) as hasty, hasty.session() as session:

        async def work() -> None:
            async with session.transaction():
                await session.connection.execute("select pg_sleep(20)")

        with pytest.raises(StatementFailed, match="statement timeout") as caught:
            await work()
        assert caught.value.transient
        assert await session.rows("migrations/exists") == [(True,)]


async def test_a_lock_is_not_waited_for_for_ever(db: Database, database_url: str) -> None:
    """A row that somebody else has locked leads to a refusal that may be tried again, within the statement's limit."""
    async with Database(database_url, answer_within=0.5) as hasty:
        async with db.session() as session, session.transaction():
            await session.connection.execute("lock table servers")
            with trio.fail_after(5), pytest.raises(StatementFailed, match="lock timeout") as caught:
                async with hasty.session() as other:
                    await other.rows("servers/forget_old")
        assert caught.value.transient


async def test_waiting_for_a_free_connection_ends(database_url: str) -> None:
    """When every connection is in use for too long, who waits is told that PostgreSQL cannot be reached; nothing was sent."""
    async with Database(database_url, size=1, answer_within=0.2) as db, db.session():
        with trio.fail_after(5), pytest.raises(DatabaseUnavailable, match="was free") as caught:
            await db.rows("migrations/exists")
        assert not caught.value.unknown


async def test_without_a_limit_a_free_connection_is_waited_for(db: Database) -> None:
    """Where answers may take any time, so may the connection that is to bring them."""
    answers: list[object] = []

    async def ask(pool: Database) -> None:
        answers.extend(await pool.rows("migrations/exists"))

    async with Database(db.conninfo, size=1, answer_within=None) as pool, trio.open_nursery() as nursery:
        async with pool.session():
            nursery.start_soon(ask, pool)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.deadline = trio.current_time() + PATIENCE
    assert answers == [(True,)]


async def test_a_host_has_ten_seconds_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """That long a pool tries to connect to each."""
    told: list[str] = []

    async def connect(*_: object, connect_timeout: str, **__: object) -> None:
        told.append(connect_timeout)
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(connections.TrioConnection, "connect", connect)
    for pool in (Database(""), Database("", connect_timeout=3.0)):
        async with pool as db:
            with pytest.raises(DatabaseUnavailable):
                await db.rows("migrations/exists")
    assert told == ["10.0", "3.0"]


async def test_a_name_that_is_not_resolved_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs is given up after connect_timeout, and its threads are not those of the handlers."""
    release = threading.Event()

    def hang(*_: object) -> None:
        release.wait()
        raise socket.gaierror(socket.EAI_NONAME, "gone")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    limiter = trio.to_thread.current_default_thread_limiter()
    async with Database("postgresql://nobody@example.invalid/none", connect_timeout=0.2) as db:
        with trio.fail_after(5), pytest.raises(DatabaseUnavailable, match=r"was not resolved within 0\.2 seconds"):
            await db.rows("migrations/exists")
        assert limiter.borrowed_tokens == 0
    release.set()


async def test_names_are_resolved_while_handlers_block_every_thread() -> None:
    """With every thread for blocking work taken, a host name is still resolved."""
    limiter = trio.to_thread.current_default_thread_limiter()
    async with trio.open_nursery() as nursery:
        for _ in range(int(limiter.total_tokens)):
            await nursery.start(_hold, limiter)
        async with Database("postgresql://nobody@localhost:1/none", connect_timeout=5) as db:
            with trio.fail_after(4), pytest.raises(DatabaseUnavailable, match=r"[Cc]onnection refused"):
                await db.rows("migrations/exists")
        nursery.cancel_scope.cancel()


async def _hold(limiter: trio.CapacityLimiter, *, task_status: trio.TaskStatus[None]) -> None:
    async with limiter:
        task_status.started()
        await trio.sleep_forever()


async def test_a_vanished_peer_is_noticed_by_the_kernel(database_url: str) -> None:
    """Connections for handlers, whose statements may take hours, still have keepalives and a limit for unacknowledged data."""
    async with relayed(database_url) as relay, Database(relay.conninfo) as db, db.dedicated() as connection:
        options = {option.keyword: option.val for option in connection.pgconn.info}
        assert options[b"tcp_user_timeout"] == b"20000"
        assert options[b"keepalives_idle"] == b"10"


async def test_the_conninfo_decides_about_vanished_peers(database_url: str) -> None:
    """What the owner says about keepalives in the connection string holds."""
    async with Database(psycopg.conninfo.make_conninfo(database_url, keepalives_idle=77)) as db, db.dedicated() as one:
        options = {option.keyword: option.val for option in one.pgconn.info}
        assert options[b"keepalives_idle"] == b"77"


async def test_a_cancelled_statement_of_a_silent_connection_is_not_waited_for(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled waits a moment for the end of the statement in the server, and then closes the connection."""
    monkeypatch.setattr(connections, "CANCEL_PATIENCE", 0.1)
    async with Database(relay.conninfo) as db, db.dedicated() as silent:
        relay.lose_answer_to(b"select 'asked'")
        with trio.fail_after(PATIENCE), trio.move_on_after(0.1) as scope:
            await silent.execute("select 'asked'")
        assert scope.cancelled_caught
        assert silent.closed


async def test_a_statement_that_cannot_be_cancelled_costs_the_connection(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the request to cancel it gets nowhere, it is not waited for, and the log says why."""

    def refuse(_: object) -> None:
        raise psycopg.OperationalError("nobody listens")

    monkeypatch.setattr(connections.TrioConnection, "_cancel_gen", refuse)
    async with db.dedicated() as connection:
        with trio.move_on_after(0.1) as scope:
            await connection.execute("select pg_sleep(600)")
        assert scope.cancelled_caught
        assert connection.closed
    assert caplog.messages == ["closing a connection whose statement could not be cancelled: nobody listens"]


@pytest.fixture
async def standby(database_url: str) -> AsyncIterator[Relay]:
    """A relay behind which the database says that it is a standby."""
    async with relayed(database_url) as running:
        running.put_for(_status("in_hot_standby", "off"), _status("in_hot_standby", "on"))
        yield running


def _status(name: str, value: str) -> bytes:
    """A message by which PostgreSQL tells a setting."""
    text = f"{name}\0{value}\0".encode()
    return b"S" + (len(text) + 4).to_bytes(4, "big") + text


async def test_a_standby_is_passed_over(relay: Relay, standby: Relay) -> None:
    """Of several hosts the first that takes writes is used, and a connection to one that does not is closed."""
    ports = ",".join(str(conninfo_to_dict(one.conninfo)["port"]) for one in (standby, relay))
    hosts = {"host": "127.0.0.1,127.0.0.1", "hostaddr": "127.0.0.1,127.0.0.1", "port": ports}
    async with Database(make_conninfo(relay.conninfo, **hosts)) as db:
        with trio.fail_after(PATIENCE):
            assert await db.rows("migrations/exists") == [(True,)]
            assert (standby.accepted, relay.accepted) == (1, 1)
            while standby.open:
                await trio.sleep(0.01)


async def test_nothing_but_standbys_is_an_outage(standby: Relay) -> None:
    """Where no host takes writes, the error says which is a standby."""
    async with Database(standby.conninfo) as db:
        with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1 is a standby, which takes no writes"):
            await db.rows("migrations/exists")
