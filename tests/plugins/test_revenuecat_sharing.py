"""The rate limit of an API key in a real database."""

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import trio

from owlrunner import Connection, JobContext
from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.postgres import Database
from owlrunner_revenuecat import sharing
from owlrunner_revenuecat.sharing import SharedLimit


def context(db: Database, connect: object = None) -> JobContext:
    """A run on the database."""
    return JobContext(
        run_id=uuid4(),
        job_type="revenuecat_sync",
        project_id=uuid4(),
        team_id=uuid4(),
        attempt=1,
        connect=connect or (lambda _: db.dedicated()),  # type: ignore[arg-type]
        on_news=lambda _: None,
    )


async def test_stretches_of_one_key_follow_each_other(db: Database) -> None:
    """Runs with one key get one stretch of time after the other; another key, or kind of request, has its own."""
    limits = [SharedLimit(context(db), "sk_one", "customer") for _ in range(2)]
    waits = [await limit.reserve(100.0, 0.0) for limit in limits]
    assert waits == pytest.approx([0, 100], abs=20)
    for other in (
        SharedLimit(context(db), "sk_two", "customer"),
        SharedLimit(context(db), "sk_one", "configuration"),
    ):
        assert await other.reserve(100.0, 10.0) == pytest.approx(-10, abs=5)


async def test_runs_that_book_at_once_get_different_stretches(db: Database) -> None:
    """However many runs book at the same moment, no two get the same time."""
    waits: list[float] = []

    async def book() -> None:
        waits.append(await SharedLimit(context(db), "sk_one", "customer").reserve(1000.0, 0.0) or 0.0)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(book)
    assert sorted(waits) == pytest.approx([1000.0 * number for number in range(8)], abs=60)


async def test_a_pause_is_everybodys(db: Database) -> None:
    """After a pause of one run nobody gets time before its end, and a shorter one changes nothing."""
    for seconds in (500.0, 5.0):
        await SharedLimit(context(db), "sk_one", "customer").pause(seconds)
    wait = await SharedLimit(context(db), "sk_one", "customer").reserve(1.0, 10.0)
    assert wait == pytest.approx(500, abs=60)


async def test_the_key_is_not_in_the_database(db: Database) -> None:
    """Only a hash of the key is stored."""
    await SharedLimit(context(db), "sk_secret", "customer").reserve(1.0, 0.0)
    async with db.session() as session:
        cursor = await session.connection.execute(b"select r::text from revenuecat_rate_limits r")
        (row,) = await cursor.fetchall()
    assert "sk_secret" not in row[0]


@pytest.mark.parametrize("slow", [False, True], ids=["away", "slow"])
async def test_a_database_that_does_not_answer_stops_nobody(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, slow: bool
) -> None:
    """A database that is away, or too slow, is not waited for, is told in the log, and is left alone for a while."""
    monkeypatch.setattr(sharing, "PATIENCE", 0.05)
    opened = 0

    @contextlib.asynccontextmanager
    async def connect(_: JobContext) -> AsyncIterator[Connection]:
        nonlocal opened
        opened += 1
        if not slow:
            raise DatabaseUnavailable("away")
        await trio.sleep(3600)
        async with db.dedicated() as connection:
            yield connection

    limit = SharedLimit(context(db, connect), "sk_one", "customer")
    assert await limit.reserve(1.0, 0.0) is None
    await limit.pause(1.0)
    assert opened == 1
    assert "cannot be shared for 10 seconds: " + ("no answer within" if slow else "away") in caplog.text
