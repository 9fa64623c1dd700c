"""Who waits for runs to end is woken when they have, and not before."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from owlrunner.runtime.execution import Attempt
from owlrunner.runtime.held_runs import HeldRuns
from tests.test_execution import looks_each_second, make_attempt


def full(count: int) -> tuple[HeldRuns, list[Attempt]]:
    """As many runs as may be held."""
    held, attempts = HeldRuns(capacity=count), [make_attempt(looks_each_second) for _ in range(count)]
    for attempt in attempts:
        assert held.add(attempt)
    return held, attempts


async def ends_at(waiting: Callable[[], Awaitable[None]], *events: Callable[[], None]) -> float:
    """When a wait is over, where one of these things happens after each second; it must be within a minute."""
    began = trio.current_time()
    with trio.fail_after(60.0):
        async with trio.open_nursery() as nursery:

            async def happen() -> None:
                for event in events:
                    await trio.sleep(1.0)
                    event()

            nursery.start_soon(happen)
            await waiting()
            ended = trio.current_time()
    return ended - began


@pytest.mark.parametrize("count", [1, 2])
async def test_room_is_heard_of_when_a_full_server_ends_one(autojump_clock: trio.testing.MockClock, count: int) -> None:
    """Who waits for room goes on when the first of as many as may be held has ended."""
    held, attempts = full(count)
    assert await ends_at(held.one_ended, lambda: held.remove(attempts[0])) == 1.0
    assert list(held) == attempts[1:]


async def test_all_have_ended_when_the_last_has(autojump_clock: trio.testing.MockClock) -> None:
    """Who waits for all goes on when the last one has ended, and at once where there is none."""
    held, attempts = full(3)
    assert await ends_at(held.all_ended, *(lambda one=one: held.remove(one) for one in attempts)) == 3.0
    assert await ends_at(held.all_ended) == 0.0
