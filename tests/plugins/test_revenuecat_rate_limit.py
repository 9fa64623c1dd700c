"""The token bucket, in virtual time."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from owlrunner_revenuecat.rate_limit import TokenBucket


async def drawn(bucket: TokenBucket, workers: int, seconds: float) -> list[float]:
    """When each call was let through, with so many workers drawing as fast as they can."""
    times: list[float] = []

    async def draw() -> None:
        while True:
            await bucket.acquire()
            times.append(trio.current_time())

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(draw)
    return times


@pytest.mark.parametrize("per_minute", [2, 7, 60, 480])
async def test_no_minute_holds_more_than_allowed(per_minute: int, autojump_clock: MockClock) -> None:
    """In any sixty seconds at most the allowed number of calls goes out, and in the long run hardly fewer."""
    times = await drawn(TokenBucket(per_minute), workers=5, seconds=600)
    for start in times:
        assert sum(start <= time < start + 60 for time in times) <= per_minute
    assert len(times) >= 10 * per_minute * 0.5 if per_minute < 10 else len(times) >= 10 * per_minute * 0.8


async def test_one_call_a_minute_is_possible(autojump_clock: MockClock) -> None:
    """The smallest limit lets through one call a minute."""
    times = await drawn(TokenBucket(1), workers=2, seconds=150)
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([60, 60])


async def test_a_pause_stops_every_worker(autojump_clock: MockClock) -> None:
    """During a pause nobody is let through, those who were waiting already included, and afterwards no crowd is."""
    bucket = TokenBucket(60)
    start = trio.current_time()
    times: list[float] = []

    async def draw() -> None:
        await bucket.acquire()
        times.append(trio.current_time() - start)

    async with trio.open_nursery() as nursery:
        for _ in range(15):
            nursery.start_soon(draw)
        await trio.testing.wait_all_tasks_blocked()
        before = len(times)
        bucket.pause(30)
    assert before == 10
    assert min(times[before:]) > 30
    assert len({round(time, 3) for time in times[before:]}) == 5


async def test_after_a_pause_no_crowd_goes_out(autojump_clock: MockClock) -> None:
    """A pause uses up what a full bucket would let through at once."""
    bucket = TokenBucket(60)
    bucket.pause(30)
    times = await drawn(bucket, workers=5, seconds=40)
    assert len(times) == 8
    assert min(later - earlier for earlier, later in pairwise(times)) == pytest.approx(60 / 50)


async def test_a_pause_never_shortens_a_longer_one(autojump_clock: MockClock) -> None:
    """Of two pauses the one that ends later counts."""
    bucket = TokenBucket(600)
    start = trio.current_time()
    bucket.pause(20)
    bucket.pause(5)
    await bucket.acquire()
    assert trio.current_time() - start >= 20


async def test_waiters_are_served_in_order(autojump_clock: MockClock) -> None:
    """Whoever asked first is let through first."""
    bucket = TokenBucket(60)
    served: list[int] = []

    async def draw(number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await bucket.acquire()
        served.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            await nursery.start(draw, number)
            await trio.testing.wait_all_tasks_blocked()
    assert served == list(range(20))


async def test_a_cancelled_waiter_takes_no_token(autojump_clock: MockClock) -> None:
    """A waiter that gives up leaves the next call to the others."""
    bucket = TokenBucket(1)
    await bucket.acquire()
    start = trio.current_time()
    with trio.move_on_after(30) as impatient:
        await bucket.acquire()
    assert impatient.cancelled_caught
    await bucket.acquire()
    assert trio.current_time() - start == pytest.approx(60)
