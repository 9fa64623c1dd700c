"""Statements that may take hours: their answers may be lost, and who waits for them finds out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
import trio

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage import long_statements
from owlrunner.storage.connection import MOST_DOUBTS, TrioConnection
from owlrunner.storage.long_statements import notice_lost_answers
from owlrunner.storage.postgres import Database, Session
from tests.relay import Relay, relayed

AFTER = 0.1


@asynccontextmanager
async def patient(db: Database) -> AsyncIterator[TrioConnection]:
    """A connection whose statements are looked after."""
    async with db.dedicated() as connection:
        await notice_lost_answers(db, connection, AFTER)
        yield connection


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A relay in front of the test's database."""
    async with relayed(database_url) as running:
        yield running


async def test_a_statement_that_never_arrived_ends(relay: Relay) -> None:
    """On a connection that carries nothing any more a statement fails, and what it would have done is unknown."""
    async with Database(relay.conninfo) as db, patient(db) as connection:
        relay.silence()
        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="answer was lost"):
            await connection.execute("select 1")
        assert connection.closed


async def test_a_connection_that_is_silent_from_the_start_is_no_connection(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for its statements to be looked after does not wait for ever to learn which session it is."""
    monkeypatch.setattr(long_statements, "LOOK_WITHIN", 0.1)
    async with Database(relay.conninfo) as db, db.dedicated() as connection:
        relay.silence()
        with trio.fail_after(20), pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.1 seconds"):
            await notice_lost_answers(db, connection, AFTER)


async def test_a_look_without_an_answer_is_followed_by_others(
    relay: Relay, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look whose own connection falls silent says nothing, and is given up soon; the next ones end the statement."""
    monkeypatch.setattr(long_statements, "LOOK_WITHIN", 0.5)
    async with (
        relayed(database_url) as looks,
        Database(looks.conninfo) as looking,
        Database(relay.conninfo) as db,
        db.dedicated() as connection,
    ):
        await notice_lost_answers(looking, connection, AFTER)
        looks.lose_answer_to(b"pg_stat_activity")
        relay.silence()
        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="answer was lost"):
            await connection.execute("select 1")
        assert looks.accepted > MOST_DOUBTS


async def test_a_statement_whose_answer_was_lost_ends(relay: Relay, database_url: str) -> None:
    """A statement that took effect, and whose answer never comes, fails as well."""
    async with Database(relay.conninfo) as db, patient(db) as connection:
        relay.lose_answer_to(b"create table done")
        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="answer was lost"):
            await connection.execute("create table done ()")
    async with Database(database_url) as direct, direct.dedicated() as connection:
        await connection.execute("select from done")


async def test_what_is_given_up_keeps_no_lock(relay: Relay, database_url: str) -> None:
    """The transaction of a connection that was given up is ended in the server at once, though its client cannot say so."""
    async with Database(relay.conninfo) as db, patient(db) as connection:
        await connection.execute("create table wanted ()")

        async def hold_and_fall_silent() -> None:
            async with connection.transaction():
                await connection.execute("lock table wanted")
                relay.silence()
                await connection.execute("select 1")

        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="answer was lost"):
            await hold_and_fall_silent()
    async with Database(database_url) as direct, direct.dedicated() as connection:
        await connection.execute("set lock_timeout = '5s'")
        await connection.execute("drop table wanted")


async def test_a_commit_whose_answer_was_lost_ends(relay: Relay) -> None:
    """A transaction that waits for its commit is not waited for either when the session has gone on to idle."""
    async with Database(relay.conninfo) as db, patient(db) as connection:
        relay.lose_answer_to(b"COMMIT")
        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="answer was lost"):
            async with connection.transaction():
                await connection.execute("select 1")


@pytest.mark.parametrize("tracked", ["on", "off"])
async def test_a_statement_may_take_its_time(db: Database, tracked: str) -> None:
    """A statement that is being executed is waited for, however often we look, also where activity is not tracked."""
    async with patient(db) as connection:
        await connection.execute(f"set track_activities = {tracked}".encode())
        cursor = await connection.execute("select pg_sleep(1), 'done'")
        assert [row[1] for row in await cursor.fetchall()] == ["done"]


async def test_who_listens_waits_for_no_answer(db: Database) -> None:
    """A connection that waits for notifications is idle in the server, and goes on waiting."""
    async with patient(db) as connection, db.dedicated() as other:
        await connection.execute("listen news")
        with trio.move_on_after(1) as waiting:
            async for _ in connection.notifies():
                pytest.fail("nobody has notified")
        assert waiting.cancelled_caught
        await other.execute("notify news")
        async for notify in connection.notifies(stop_after=1):
            assert notify.channel == "news"


async def test_where_nobody_can_look_the_answer_is_waited_for(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no other connection can be opened, nothing is known, and that ends no statement."""

    async def refuse(*_: object) -> None:
        raise DatabaseUnavailable("too many connections")

    async with patient(db) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(db, "connect", refuse)
            cursor = await connection.execute("select pg_sleep(1), 'done'")
        assert [row[1] for row in await cursor.fetchall()] == ["done"]


async def test_a_connection_that_is_silent_from_the_start_is_given_up(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose statements are to be looked after is asked for with a limit, and so is each look."""
    monkeypatch.setattr(long_statements, "LOOK_WITHIN", 0.2)
    async with Database(relay.conninfo) as db, db.dedicated() as connection:
        relay.silence()
        with trio.fail_after(20), pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.2 seconds"):
            await notice_lost_answers(db, connection, AFTER)


async def test_a_look_without_an_answer_says_nothing(
    db: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the looks themselves are not answered, the statement is waited for."""
    monkeypatch.setattr(long_statements, "LOOK_WITHIN", 0.2)
    async with Database(relay.conninfo) as looking, db.dedicated() as connection:
        await notice_lost_answers(looking, connection, AFTER)
        assert connection.watch is not None
        relay.lose_answer_to(b"pg_stat_activity")
        with trio.fail_after(20):
            assert await connection.watch.is_working()


async def test_one_doubt_is_none_once_the_statement_was_seen(db: Database) -> None:
    """Only two looks in a row that find nothing end a statement, however many there are with others in between."""

    class Wavering:
        interval = 0.01
        looks = 0

        async def is_working(self) -> bool:
            self.looks += 1
            if self.looks == 6:
                await holder.execute("select pg_advisory_unlock(1)")
            return self.looks % 2 == 0

        async def end(self) -> None:
            pytest.fail("the statement was given up")

    async with db.dedicated() as connection, db.dedicated() as holder:
        await holder.execute("select pg_advisory_lock(1)")
        connection.watch = Wavering()
        with trio.fail_after(20):
            cursor = await connection.execute("select pg_advisory_lock(1), 'done'")
        assert [row[1] for row in await cursor.fetchall()] == ["done"]


@pytest.mark.parametrize(("difference", "is_watched"), [(0, True), (1, False)])
async def test_a_backend_that_a_pooler_hides_is_not_looked_for(
    db: Database, monkeypatch: pytest.MonkeyPatch, difference: int, is_watched: bool
) -> None:
    """Where the process that executes our statements is not the one that we logged in to, nobody could say what is looked at."""

    async def own(session: Session, _: str) -> tuple[int, datetime]:
        return session.connection.pgconn.backend_pid + difference, datetime.now(UTC)

    monkeypatch.setattr(Session, "row", own)
    async with patient(db) as connection:
        assert (connection.watch is not None) is is_watched
