"""One connection driven with Trio: what it tells about itself, and when it looks after a statement; most of it in virtual time."""

import select
from collections.abc import Generator, Iterator
from typing import Any

import attrs
import psycopg
import pytest
import trio
import trio.testing
from psycopg import pq

from owlrunner.storage import connection as connections
from owlrunner.storage.connection import LONGEST_PAUSE, TrioConnection, has_hung_up, is_clean
from owlrunner.storage.postgres import Database


async def test_what_nobody_asks_for_is_as_psycopg_has_it(database_url: str) -> None:
    """Transactions begin by themselves, and the fifth statement of a kind is prepared."""
    connection = await TrioConnection.connect(database_url)
    with psycopg.connect(database_url) as ours:
        assert (connection.autocommit, connection.prepare_threshold) == (ours.autocommit, ours.prepare_threshold)
    connection.hang_up()


@pytest.mark.parametrize(
    ("conninfo", "seconds"),
    [("", 10.0), ("connect_timeout=0", 10.0), ("connect_timeout=-1", 10.0), ("connect_timeout=1", 1.0)],
)
async def test_how_long_a_host_has(monkeypatch: pytest.MonkeyPatch, conninfo: str, seconds: float) -> None:
    """What the connection string says, else ten seconds, also where libpq would wait for ever."""
    told: list[float] = []

    async def attempts_for(_: object, within: float) -> list[dict[str, Any]]:
        told.append(within)
        return []

    monkeypatch.setattr(connections, "attempts_for", attempts_for)
    with pytest.raises(psycopg.OperationalError):
        await TrioConnection.connect(conninfo)
    assert told == [seconds]


async def test_each_address_that_fails_is_told() -> None:
    """Why none of them could be reached is in the error, one after the other."""
    with pytest.raises(psycopg.OperationalError, match=r"(?s)/nobody/here.*; .*/nor/there"):
        await TrioConnection.connect("host=/nobody/here,/nor/there")


async def test_what_we_have_closed_is_not_broken(db: Database) -> None:
    """Whoever holds it can tell that from a connection that was lost, and nobody is lent it."""
    async with db.dedicated() as connection:
        assert is_clean(connection)
        await connection.execute("begin")
        assert not is_clean(connection)
        connection.hang_up()
        assert connection.closed
        assert not connection.broken
        assert not is_clean(connection)
        assert has_hung_up(connection)


async def test_who_stops_listening_keeps_the_connection(db: Database) -> None:
    """There is no statement to be cancelled, so nothing is asked of the server."""
    async with db.dedicated() as connection:
        await connection.execute("listen bell")
        with trio.move_on_after(0.05) as scope:
            async for _ in connection.notifies():
                pytest.fail("nobody has notified")
        assert scope.cancelled_caught
        cursor = await connection.execute("select 1")
        assert await cursor.fetchall() == [(1,)]


async def test_an_idle_connection_is_looked_at_without_waiting(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it has been closed meanwhile takes one system call that returns at once."""
    waits: list[float] = []

    class Poll:
        def register(self, _fileno: int, _wanted: int) -> None:
            pass

        def poll(self, milliseconds: float) -> list[object]:
            waits.append(milliseconds)
            return []

    async with db.dedicated() as connection:
        monkeypatch.setattr(select, "poll", Poll)
        assert not has_hung_up(connection)
        monkeypatch.undo()
    assert waits == [0]


@attrs.define(eq=False)
class Watch:
    """Looks when it is asked to, and sees what a test says."""

    interval: float
    sees: Iterator[bool]
    looks: list[float] = attrs.field(factory=list)
    ended: bool = False

    async def is_working(self) -> bool:
        """Note when."""
        self.looks.append(trio.current_time())
        return next(self.sees)

    async def end(self) -> None:
        """Note it."""
        self.ended = True


@attrs.define(eq=False)
class Silent:
    """Stands for a connection with a statement that is not answered."""

    socket: int = -1
    transaction_status: pq.TransactionStatus = pq.TransactionStatus.ACTIVE
    closed: bool = False

    @property
    def pgconn(self) -> "Silent":
        """Stand for libpq's part, too."""
        return self

    def hang_up(self) -> None:
        """Note it."""
        self.closed = True


async def never(*_: object) -> None:
    """Wait for a socket on which nothing comes."""
    await trio.sleep_forever()


def statement() -> Generator[Any, Any, None]:
    """Wait for an answer."""
    yield "anything"


@pytest.mark.parametrize(
    ("interval", "sees", "pauses"),
    [
        (10.0, [False, False], [10, 10]),
        (10.0, [True, False, False], [10, 15, 10]),
        (10.0, [True, False, True, False, False], [10, 15, 10, 15, 10]),
        (30.0, [True] * 4 + [False] * 2, [30, 45, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, 30]),
        (100.0, [True] * 3 + [False] * 2, [100] * 5),
    ],
)
async def test_a_statement_is_looked_after_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    interval: float,
    sees: list[bool],
    pauses: list[float],
) -> None:
    """For as long as it is being executed; where it is not, soon once more, and then the connection is closed at both ends."""
    monkeypatch.setattr(connections, "_ready", never)
    watch, silent = Watch(interval, iter(sees)), Silent()
    subject: Any = silent
    start = trio.current_time()
    with pytest.raises(psycopg.OperationalError, match="the answer was lost"):
        await TrioConnection._drive_watched(subject, statement(), watch)
    assert [at - start for at in watch.looks] == pytest.approx([sum(pauses[: end + 1]) for end in range(len(pauses))])
    assert (silent.closed, watch.ended) == (True, True)


async def test_who_has_no_statement_under_way_is_not_looked_after(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A connection that waits for notifications waits for as long as it likes."""
    monkeypatch.setattr(connections, "_ready", never)
    watch, silent = Watch(10.0, iter([])), Silent(transaction_status=pq.TransactionStatus.IDLE)
    subject: Any = silent
    with trio.move_on_after(10_000) as scope:
        await TrioConnection._drive_watched(subject, statement(), watch)
    assert scope.cancelled_caught
    assert (watch.looks, silent.closed, watch.ended) == ([], False, False)
