"""When the loop of schedules looks, and how long it leaves a schedule alone that could not be decided; in virtual time."""

import math

import pytest
import trio
import trio.testing

from owlrunner.runtime.scheduler import LONGEST_SLEEP, OUTAGE_DELAY, TROUBLE_DELAY, Scheduler
from owlrunner.storage.wakeups import Bell
from tests.runtime.away import Away


async def test_the_loop_looks_when_something_is_due_and_when_it_is_woken(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps until the next look is due, though never for longer than it may, and tells for how long."""
    sleeps = iter([5.0, math.inf, 20.0, 7.0, 100.0])
    bell, looks, told = Bell(), list[float](), list[float]()
    scheduler = Scheduler(Away(), job_types={}, bell=bell, on_triggered=lambda: None, on_round=told.append)

    async def look() -> float:
        looks.append(trio.current_time())
        return next(sleeps)

    monkeypatch.setattr(scheduler, "look", look)
    with trio.move_on_after(5.0 + LONGEST_SLEEP + 1.0 + 7.0 + LONGEST_SLEEP - 1.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scheduler.run)
            await trio.sleep(5.0 + LONGEST_SLEEP + 1.0)
            bell.ring()
    assert looks == [0.0, 5.0, 5.0 + LONGEST_SLEEP, 5.0 + LONGEST_SLEEP + 1.0, 5.0 + LONGEST_SLEEP + 8.0]
    assert told == [5.0, LONGEST_SLEEP, 20.0, 7.0, LONGEST_SLEEP]


async def test_while_the_database_is_away_it_is_asked_each_second(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage ends no loop, counts as no round, and is not met with a flood of tries."""
    db = Away()
    scheduler = Scheduler(
        db, job_types={}, bell=Bell(), on_triggered=lambda: None, on_round=lambda _: pytest.fail("no round")
    )
    with trio.move_on_after(OUTAGE_DELAY * 9.5):
        await scheduler.run()
    assert db.tries == 10
    assert set(caplog.messages) == {"cannot look at schedules: away"}


async def test_a_schedule_that_could_not_be_decided_is_left_alone_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is tried again when the delay is over and not before, and what is told is when that will be."""
    scheduler = Scheduler(Away(), job_types={}, bell=Bell(), on_triggered=lambda: None)
    tries: list[float] = []

    async def broken_once() -> float:
        tries.append(trio.current_time())
        if len(tries) == 1:
            raise ValueError("no such time")
        return 42.0

    await trio.sleep(1000.0)
    assert await scheduler._guarded("a", broken_once) == TROUBLE_DELAY
    await trio.sleep(TROUBLE_DELAY - 0.5)
    assert await scheduler._guarded("a", broken_once) == 0.5
    await trio.sleep(0.5)
    assert await scheduler._guarded("a", broken_once) == 42.0
    assert await scheduler._guarded("a", broken_once) == 42.0
    assert tries == [1000.0] + [1000.0 + TROUBLE_DELAY] * 2
