"""A pool by itself: what it tries again and when, how many connections it has, and what is left of those that it gives up."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import trio
import trio.testing

from owlrunner.errors import DatabaseTrouble, DatabaseUnavailable, StatementFailed
from owlrunner.storage import postgres
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.postgres import RETRY_DELAYS, Database, mapped_errors
from owlrunner.storage.session_settings import SessionSettings
from tests.relay import relayed

READS, WRITES = "migrations/exists", "servers/forget_old"


class Failing(Database):
    """A pool whose statements all end in the same way."""

    def __init__(self, trouble: DatabaseTrouble) -> None:
        super().__init__("")
        self._trouble = trouble
        self.tries: list[float] = []

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """Fail at once."""
        self._fail()
        yield

    def _fail(self) -> None:
        self.tries.append(trio.current_time())
        raise self._trouble


@pytest.mark.parametrize(
    ("trouble", "name", "again"),
    [
        (StatementFailed("a deadlock", transient=True), WRITES, True),
        (StatementFailed("no uuid", transient=False), READS, False),
        (DatabaseUnavailable("no answer", unknown=True), READS, True),
        (DatabaseUnavailable("no answer", unknown=True), WRITES, False),
        (DatabaseUnavailable("nobody there", unknown=False), READS, False),
        (DatabaseUnavailable("nobody there", unknown=False), WRITES, False),
    ],
)
async def test_what_is_tried_again_is_tried_after_a_moment(
    autojump_clock: trio.testing.MockClock, trouble: DatabaseTrouble, name: str, again: bool
) -> None:
    """Twice, and only where that cannot do anything twice; an outage is waited for by whoever asks."""
    db = Failing(trouble)
    start = trio.current_time()
    with pytest.raises(type(trouble)):
        await db.rows(name)
    wanted = [0.0, RETRY_DELAYS[0], sum(RETRY_DELAYS)] if again else [0.0]
    assert [at - start for at in db.tries] == pytest.approx(wanted)


@pytest.mark.parametrize("delays", [(), (0.0,)])
@pytest.mark.parametrize(("options", "is_prepared"), [({}, True), ({"plan_anew": True}, False)])
async def test_a_plan_may_be_made_anew_each_time(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    delays: tuple[float, ...],
    options: dict[str, Any],
    is_prepared: bool,
) -> None:
    """A statement on a borrowed connection is prepared after two times, unless it is not to be; so is its last try."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", delays)
    async with Database(database_url, size=1) as db:
        counts = []
        for _ in range(3):
            await db.rows(READS, **options)
            async with db.session() as session:
                cursor = await session.connection.execute("select count(*) from pg_prepared_statements", prepare=False)
                counts += await cursor.fetchall()
    assert counts == [(0,), (0,), (int(is_prepared),)]


async def test_one_row_is_the_first_or_none(db: Database) -> None:
    """On a borrowed connection and on one that is held."""
    async with db.session() as session:
        for speaker in (db, session):
            assert await speaker.row(READS) == (True,)
            assert await speaker.row(WRITES) is None


async def test_a_pool_has_ten_connections_unless_told_otherwise(database_url: str) -> None:
    """The eleventh task waits."""
    async with Database(database_url, answer_within=5.0) as db, contextlib.AsyncExitStack() as held:
        for _ in range(10):
            await held.enter_async_context(db.session())
        db.answer_within = 0.0
        with pytest.raises(DatabaseUnavailable, match="was free"):
            await db.rows(READS)


async def test_a_connection_outside_of_the_pool_has_no_limit(db: Database) -> None:
    """What is run there may take hours; in the pool each exchange has one."""
    async with db.dedicated() as dedicated, db.session() as session:
        assert dedicated.answer_within is None
        assert session.connection.answer_within == db.answer_within


async def test_a_session_that_cannot_be_settled_is_given_up(database_url: str) -> None:
    """Where the server lets us in and says nothing more, connecting ends like anywhere else."""
    async with relayed(database_url) as relay, Database(relay.conninfo, connect_timeout=0.5) as db:
        relay.lose_answer_to(b"set session")
        with trio.fail_after(20), pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.5 seconds"):
            await db.rows(READS)


@pytest.mark.parametrize(
    ("error", "closes"),
    [(psycopg.errors.ReadOnlySqlTransaction(), True), (psycopg.errors.UniqueViolation(), False), (None, False)],
)
async def test_what_spoils_a_session_closes_its_connection(
    db: Database, error: psycopg.Error | None, closes: bool
) -> None:
    """One whose server has become read-only is of no use any more, one that was told of a mistake is."""
    async with db.session() as session:
        with contextlib.suppress(DatabaseTrouble), mapped_errors(session.connection):
            if error is not None:
                raise error
        assert session.connection.closed is closes


async def test_what_nobody_uses_any_more_is_closed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that could not be settled, that were left in a transaction, that are somebody's own, or a pool's at its end."""
    closed: list[TrioConnection] = []
    hang_up = TrioConnection.hang_up

    def noting(connection: TrioConnection) -> None:
        closed.append(connection)
        hang_up(connection)

    monkeypatch.setattr(TrioConnection, "hang_up", noting)
    async with Database(database_url) as db:
        with monkeypatch.context() as patch:
            patch.setattr(SessionSettings, "statement", lambda _, **__: b"nonsense")
            with pytest.raises(StatementFailed):
                await db.connect()
        assert len(closed) == 1
        async with db.dedicated() as dedicated:
            assert dedicated not in closed
        assert closed[1:] == [dedicated]
        async with db.session() as session:
            await session.connection.execute("begin")
        assert closed[2:] == [session.connection]
        async with db.session() as session:
            pass
        assert session.connection not in closed
    assert closed[3:] == [session.connection]


async def test_a_transaction_in_a_transaction_is_settled_already(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler the outer one begins with our settings, and a savepoint in it with nothing."""
    waits: list[object] = []
    wait = TrioConnection.wait

    async def noting(connection: TrioConnection, *arguments: Any, **options: Any) -> Any:
        waits.append(arguments)
        return await wait(connection, *arguments, **options)

    monkeypatch.setattr(TrioConnection, "wait", noting)
    async with Database(database_url, prepare=False) as db, db.session() as session, session.transaction():
        waits.clear()
        async with session.transaction():
            pass
    assert len(waits) == 2 + 1, "a savepoint, its release, and the outer commit"
