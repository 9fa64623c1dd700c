"""Names are resolved though the resolver is slow, silent or away; it is played by this test, the threads are real."""

import logging
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio

from owlrunner import name_resolution
from owlrunner.name_resolution import Addresses, Resolver

FIRST: Addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]
SECOND: Addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.2", 0))]
NOT_NOW = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
PATIENCE = 60.0


@attrs.define
class System:
    """The machine's resolver: lookups under way, each of which waits for what ``answer`` gives the oldest."""

    lookups: "queue.Queue[queue.Queue[Addresses | OSError]]" = attrs.field(factory=queue.Queue)
    released: threading.Event = attrs.field(factory=threading.Event)

    def getaddrinfo(self, *_: Any) -> Addresses:
        """Stand in for the system's."""
        mine: queue.Queue[Addresses | OSError] = queue.Queue()
        self.lookups.put(mine)
        answer = mine.get(timeout=PATIENCE)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def under_way(self) -> "queue.Queue[Addresses | OSError]":
        """Wait for a lookup, and return where its answer goes."""
        return await trio.to_thread.run_sync(lambda: self.lookups.get(timeout=PATIENCE))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """In the place of the machine's resolver."""
    system = System()
    monkeypatch.setattr(socket, "getaddrinfo", system.getaddrinfo)
    yield system
    while not system.lookups.empty():
        system.lookups.get().put(NOT_NOW)


async def knowing(system: System, resolver: Resolver, name: str = "db.example") -> None:
    """Let the resolver have an answer."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolver.getaddrinfo, name, 5432)
        (await system.under_way()).put(FIRST)


async def test_whoever_asks_for_one_name_shares_one_lookup(system: System) -> None:
    """Many who ask at once cost one thread, and all get its answer."""
    resolver = Resolver()
    answers = []

    async def ask() -> None:
        answers.append(await resolver.getaddrinfo("db.example", 5432))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
        (await system.under_way()).put(FIRST)
    assert answers == [FIRST] * 10
    assert system.lookups.empty()


async def test_an_answer_is_asked_for_each_time(system: System) -> None:
    """While the resolver answers nothing old counts."""
    resolver = Resolver()
    await knowing(system, resolver)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert await resolver.getaddrinfo("db.example", 5432) == SECOND

        nursery.start_soon(ask)
        (await system.under_way()).put(SECOND)


@pytest.mark.parametrize("problem", [None, NOT_NOW])
async def test_without_an_answer_the_last_one_counts(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: OSError | None
) -> None:
    """Where the resolver is silent, or says that it cannot tell now, what it said last is used, and logged once."""
    monkeypatch.setattr(name_resolution, "STALE_AFTER", 0.01)
    resolver = Resolver()
    await knowing(system, resolver)
    with caplog.at_level(logging.WARNING), trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                for _ in range(3 if problem is None else 1):
                    assert await resolver.getaddrinfo("db.example", 5432) == FIRST

            nursery.start_soon(ask)
            lookup = await system.under_way()
            if problem is not None:
                lookup.put(problem)
    assert [record.getMessage() for record in caplog.records] == [
        f"db.example is not resolved now ({problem or 'no answer'}): its last addresses count"
    ]
    if problem is None:
        lookup.put(SECOND)


async def test_a_name_that_is_gone_is_an_answer(system: System) -> None:
    """What the resolver says of the name itself is believed, whatever it said before."""
    resolver = Resolver()
    await knowing(system, resolver)
    with pytest.RaisesGroup(pytest.RaisesExc(socket.gaierror, match="not known")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(resolver.getaddrinfo, "db.example", 5432)
            (await system.under_way()).put(UNKNOWN)


async def test_a_lookup_that_never_comes_back_is_not_in_the_way(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a lookup hangs another one is started, so that a resolver that is well again is heard."""
    monkeypatch.setattr(name_resolution, "RETRY_AFTER", 0.01)
    resolver = Resolver()
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert await resolver.getaddrinfo("db.example", 5432) == SECOND

        nursery.start_soon(ask)
        hanging = await system.under_way()
        (await system.under_way()).put(SECOND)
    # What comes late is no answer to what is asked now, and harms nobody.
    hanging.put(FIRST)


async def test_lookups_are_bounded(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never answers does not get a thread for each name without end; when one has ended the next is asked for."""
    monkeypatch.setattr(name_resolution, "MOST_LOOKUPS", 2)
    monkeypatch.setattr(name_resolution, "RETRY_AFTER", 0.01)
    resolver = Resolver()

    async def ask(name: str, timeout: float) -> Addresses:
        return await trio.to_thread.run_sync(lambda: resolver.getaddrinfo_blocking(name, 80, timeout=timeout))

    hanging = []
    for name in ("a.example", "b.example"):
        with pytest.raises(TimeoutError):
            await ask(name, 0.0)
        hanging.append(await system.under_way())
    with pytest.raises(TimeoutError):
        await ask("c.example", 0.1)
    assert system.lookups.empty()
    hanging[0].put(FIRST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "c.example", PATIENCE)
        (await system.under_way()).put(FIRST)
    hanging[1].put(FIRST)


async def test_only_so_many_answers_are_kept(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were asked for long ago are forgotten."""
    monkeypatch.setattr(name_resolution, "MOST_KNOWN", 2)
    monkeypatch.setattr(name_resolution, "STALE_AFTER", 0.01)
    resolver = Resolver()
    for name in ("a.example", "b.example", "a.example", "c.example"):
        await knowing(system, resolver, name)
    with pytest.RaisesGroup(pytest.RaisesExc(socket.gaierror, match="Temporary")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(resolver.getaddrinfo, "b.example", 5432)
            (await system.under_way()).put(NOT_NOW)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolver.getaddrinfo, "a.example", 5432)
        (await system.under_way()).put(NOT_NOW)


async def test_a_thread_may_ask(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread gets the answer, what counts instead, or a TimeoutError when its time is over."""
    monkeypatch.setattr(name_resolution, "STALE_AFTER", 0.01)
    resolver = Resolver()

    async def ask(timeout: float) -> Addresses:
        return await trio.to_thread.run_sync(lambda: resolver.getaddrinfo_blocking("db.example", 5432, timeout=timeout))

    with pytest.raises(TimeoutError, match=r"db\.example was not resolved within 0\.01 seconds"):
        await ask(0.01)
    hanging = await system.under_way()
    async with trio.open_nursery() as nursery:

        async def ask_again() -> None:
            assert await ask(PATIENCE) == SECOND

        nursery.start_soon(ask_again)
        hanging.put(SECOND)


async def test_without_a_thread_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no thread left is an OSError as others, and the next question is asked."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no thread is left"):
            await resolver.getaddrinfo("localhost", 80, socket.AF_INET)
    with trio.fail_after(name_resolution.RETRY_AFTER / 2):
        assert await resolver.getaddrinfo("localhost", 80, socket.AF_INET)
