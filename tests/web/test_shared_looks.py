"""One look for all who want the same, and a look of one's own where that is not to be had."""

import contextlib
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from owlrunner.errors import TooManyRequests
from owlrunner.web.shared_looks import SharedLooks


class Database:
    """What is looked at: it counts the looks, and lets them begin and end as a test wants."""

    def __init__(self) -> None:
        self.looks = 0
        self.may_begin = trio.Event()
        self.may_end = trio.Event()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait until it may begin."""
        await self.may_begin.wait()
        yield

    async def look(self) -> int:
        """Wait until it may end, and return which look it was."""
        self.looks += 1
        number = self.looks
        await self.may_end.wait()
        return number


async def test_who_asks_before_a_look_begins_gets_what_it_finds() -> None:
    """Three wait for one look; who asks when it has begun gets the next one, and who asks for something else another."""
    database, shared, found = Database(), SharedLooks[int](), {}

    async def ask(name: str, key: str = "runs") -> None:
        found[name] = await shared.of(key, database.look, database.hold)

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(ask, name)
        await trio.testing.wait_all_tasks_blocked()
        database.may_begin.set()
        await trio.testing.wait_all_tasks_blocked()
        assert database.looks == 1
        nursery.start_soon(ask, "late")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, "other", "logs")
        await trio.testing.wait_all_tasks_blocked()
        database.may_end.set()
    assert found == {"a": 1, "b": 1, "c": 1, "late": 2, "other": 3}


@pytest.mark.parametrize("begun", [False, True])
async def test_when_who_looks_goes_another_looks(begun: bool) -> None:
    """A client that hangs up while its look is waited for, or under way, takes nobody else's with it."""
    database, shared, found = Database(), SharedLooks[int](), []

    async def ask(scope: trio.CancelScope) -> None:
        with scope:
            found.append(await shared.of("runs", database.look, database.hold))

    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()
        nursery.start_soon(ask, first)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            nursery.start_soon(ask, trio.CancelScope())
        await trio.testing.wait_all_tasks_blocked()
        if begun:
            database.may_begin.set()
            await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        database.may_begin.set()
        database.may_end.set()
    assert found == [1 + begun] * 2


async def test_a_look_that_is_refused_is_everybodys_own() -> None:
    """What one is refused another may get; each looks for itself then, and raises what it meets."""
    database, shared = Database(), SharedLooks[int]()
    database.may_end.set()

    async def look() -> int:
        number = await database.look()
        if number == 1:
            raise ValueError("refused")
        return number

    results: list[int | None] = []

    async def ask() -> None:
        try:
            results.append(await shared.of("runs", look, database.hold))
        except ValueError:
            results.append(None)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        database.may_begin.set()
    assert results in ([None, 2, 2], [None, 2, 3])


async def test_where_there_is_no_share_nobody_waits_on() -> None:
    """Where whoever looks for all is told that the server is busy, so are they, and not one after another."""
    shared, told = SharedLooks[int](), list[str]()
    refused = trio.Event()

    @contextlib.asynccontextmanager
    async def hold() -> AsyncIterator[None]:
        await refused.wait()
        if refused.is_set():
            raise TooManyRequests("Too many requests at once", retry_after=7)
        yield

    async def ask() -> None:
        with pytest.raises(TooManyRequests, match="Too many requests at once") as busy:
            await shared.of("runs", database.look, hold)
        told.append(str(busy.value.retry_after))

    database = Database()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        refused.set()
    assert told == ["7"] * 5
