"""How long connecting may take, and what a look at a silent statement leads to."""

from typing import Any

import psycopg
import pytest
import trio

from owlrunner.storage import connection as connections
from owlrunner.storage.connection import MOST_DOUBTS, TrioConnection
from owlrunner.storage.postgres import Database


@pytest.mark.parametrize(
    ("conninfo", "options", "seconds"),
    [
        ("host=a", {}, 10.0),
        ("host=a connect_timeout=3", {}, 3.0),
        ("host=a connect_timeout=3", {"connect_timeout": "0.5"}, 0.5),
    ],
)
async def test_how_long_each_host_gets(
    monkeypatch: pytest.MonkeyPatch, conninfo: str, options: dict[str, str], seconds: float
) -> None:
    """Ten seconds, unless the connection string or the caller says otherwise; a part of a second is one, too."""
    asked: list[float] = []

    async def attempts_for(_: Any, within: float) -> list[dict[str, Any]]:
        asked.append(within)
        return []

    monkeypatch.setattr(connections, "attempts_for", attempts_for)
    with pytest.raises(psycopg.OperationalError):
        await TrioConnection.connect(conninfo, **options)
    assert asked == [seconds]


async def test_so_many_looks_that_find_nothing_end_a_statement(db: Database) -> None:
    """The connection is closed at the second look in a row that finds no statement, and its session is ended."""

    class Blind:
        """Never finds the statement."""

        interval = 0.01
        looks = 0
        ended = 0

        async def is_working(self) -> bool:
            """Find nothing."""
            self.looks += 1
            return False

        async def end(self) -> None:
            """Note that it is given up."""
            self.ended += 1

    watch = Blind()
    async with db.dedicated() as connection, db.dedicated() as holder:
        await holder.execute("select pg_advisory_lock(1)")
        connection.watch = watch
        with trio.fail_after(20), pytest.raises(psycopg.OperationalError, match="the answer was lost"):
            await connection.execute("select pg_advisory_lock(1)")
        assert connection.closed
    assert (watch.looks, watch.ended) == (MOST_DOUBTS, 1)
