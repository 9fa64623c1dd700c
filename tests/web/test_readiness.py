"""Whether a server is ready: the database is asked rarely, with patience that ends, however many ask."""

import math
from typing import Any

import pytest
import trio
import trio.testing

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.postgres import Database
from owlrunner.web.readiness import PATIENCE, REMEMBERED, Readiness


class Stub(Database):
    """A database that answers after a while, or not at all."""

    def __init__(self) -> None:
        super().__init__("")
        self.asked: list[float] = []
        self.takes = 0.0
        self.is_away = False

    async def row(self, name: str, params: Any = None) -> tuple[Any, ...] | None:
        """Answer."""
        assert (name, params) == ("accounts/reachable", None)
        self.asked.append(trio.current_time())
        await trio.sleep(self.takes)
        if self.is_away:
            raise DatabaseUnavailable("away")
        return (1,)


async def test_an_answer_counts_for_a_moment(autojump_clock: trio.testing.MockClock) -> None:
    """However many ask, the database is asked once a second; what else is missing is looked at each time."""
    db, missing = Stub(), ["scheduler"]
    readiness = Readiness(db, lambda: missing)
    assert await readiness.missing() == ["scheduler"]
    missing.clear()
    db.is_away = True
    await trio.sleep(REMEMBERED - 0.01)
    assert await readiness.missing() == []
    await trio.sleep(0.01)
    missing.append("heartbeat")
    assert await readiness.missing() == ["database", "heartbeat"]
    assert await readiness.missing() == ["database", "heartbeat"]
    assert db.asked == [0.0, REMEMBERED]


@pytest.mark.parametrize(
    ("takes", "expected", "after"), [(PATIENCE - 0.1, [], PATIENCE - 0.1), (math.inf, ["database"], PATIENCE)]
)
async def test_those_who_ask_meanwhile_share_the_answer(
    autojump_clock: trio.testing.MockClock, takes: float, expected: list[str], after: float
) -> None:
    """A late answer is waited for, a silent database is called missing in the end, and nobody asks a second time meanwhile."""
    db = Stub()
    db.takes = takes
    readiness = Readiness(db, tuple)
    told: list[list[str]] = []

    async def ask() -> None:
        told.append(await readiness.missing())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert (told, db.asked, trio.current_time()) == ([expected] * 3, [0.0], after)
