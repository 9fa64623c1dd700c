"""The pace at which RevenueCat is asked, in virtual time."""

from bisect import bisect_left
from itertools import pairwise

import attrs
import pytest
import trio
from trio.testing import MockClock

from owlrunner_revenuecat.rate_limit import Pace


async def drawn(*paces: Pace, workers: int, seconds: float) -> list[float]:
    """When each call was let through, with so many workers for each pace that draw as fast as they can."""
    times: list[float] = []

    async def draw(pace: Pace) -> None:
        while True:
            await pace.acquire()
            times.append(trio.current_time())

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for pace in paces:
                for _ in range(workers):
                    nursery.start_soon(draw, pace)
    return times


def most_in_a_minute(times: list[float]) -> int:
    """The most calls that any sixty seconds hold; the times are in order."""
    return max(bisect_left(times, start + 60) - bisect_left(times, start) for start in times)


@attrs.define
class Book:
    """The shared book as the database keeps it, in virtual time."""

    booked_until: float = 0.0
    away: bool = False
    asked: int = 0

    async def reserve(self, length: float, made_up_for: float) -> float | None:
        """Book after whoever booked last."""
        self.asked += 1
        if self.away:
            return None
        start = max(self.booked_until, trio.current_time() - made_up_for)
        self.booked_until = start + length
        return start - trio.current_time()

    async def pause(self, seconds: float) -> None:
        """Book nothing for a while."""
        self.booked_until = max(self.booked_until, trio.current_time() + seconds)


@pytest.mark.parametrize("per_minute", [2, 7, 60, 480])
async def test_no_minute_holds_more_than_allowed(per_minute: int, autojump_clock: MockClock) -> None:
    """In any sixty seconds at most the allowed number of calls goes out, and in the long run hardly fewer."""
    times = await drawn(Pace(per_minute), workers=5, seconds=600)
    assert most_in_a_minute(times) <= per_minute
    assert len(times) >= 10 * per_minute * 0.8


@pytest.mark.parametrize("per_minute", [7, 480])
async def test_all_who_share_a_key_keep_its_limit(per_minute: int, autojump_clock: MockClock) -> None:
    """Runs that share a key make together no more calls than are allowed, hardly fewer, and book every other second."""
    book = Book()
    times = await drawn(*(Pace(per_minute, book) for _ in range(3)), workers=4, seconds=600)
    assert most_in_a_minute(times) <= per_minute
    assert len(times) >= 10 * per_minute * 0.8
    assert book.asked <= min(len(times), 600 / 1.9) + 6


async def test_slow_workers_leave_no_crowd_behind(autojump_clock: MockClock) -> None:
    """Slots that nobody took in time are given up, so that the limit holds when they would be made up for."""
    pace, times = Pace(480), []
    for wait in (0, 0, 45, 1.5, 0) * 12:
        await trio.sleep(wait)
        for _ in range(30):
            await pace.acquire()
            times.append(trio.current_time())
    assert most_in_a_minute(times) <= 480


async def test_without_the_book_a_run_keeps_the_pace_alone(autojump_clock: MockClock) -> None:
    """A book that cannot be read stops nobody, and the run keeps the limit for itself."""
    times = await drawn(Pace(60, Book(away=True)), workers=5, seconds=600)
    assert len(times) >= 480
    assert most_in_a_minute(times) <= 60


async def test_one_call_a_minute_is_possible(autojump_clock: MockClock) -> None:
    """The smallest limit lets through one call a minute."""
    times = await drawn(Pace(1), workers=2, seconds=150)
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([61, 61])


async def test_a_pause_stops_every_worker(autojump_clock: MockClock) -> None:
    """During a pause nobody is let through, those who were waiting already included, and afterwards no crowd is."""
    pace = Pace(60)
    start = trio.current_time()
    times: list[float] = []

    async def draw() -> None:
        await pace.acquire()
        times.append(trio.current_time() - start)

    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(draw)
        await trio.testing.wait_all_tasks_blocked()
        before = len(times)
        await pace.pause(30)
    assert before == 11
    assert min(times[before:]) >= 30
    assert len({round(time, 3) for time in times[before:]}) == 5


async def test_a_pause_stops_all_who_share_the_key(autojump_clock: MockClock) -> None:
    """Others with the same key send what they have booked, two seconds' worth at most, and wait out the pause like all."""
    book = Book()
    one, other = Pace(480, book), Pace(480, book)
    await other.acquire()
    await one.pause(30)
    start = trio.current_time()
    times = [time - start for time in await drawn(one, other, workers=4, seconds=40)]
    assert [time for time in times if 2 < time < 30] == []
    assert 60 < len([time for time in times if time >= 30]) < 90


async def test_a_pause_never_shortens_a_longer_one(autojump_clock: MockClock) -> None:
    """Of two pauses the one that ends later counts."""
    pace = Pace(600)
    start = trio.current_time()
    await pace.pause(20)
    await pace.pause(5)
    await pace.acquire()
    assert trio.current_time() - start >= 20


@pytest.mark.parametrize(("limit", "calls"), [("60", 60), ("4000", 480), ("0", 480), ("many", 480), (None, 480)])
async def test_a_lower_limit_that_is_told_is_kept(limit: str | None, calls: int, autojump_clock: MockClock) -> None:
    """The limit that comes with an answer counts where it is lower than the setting; nonsense is not believed."""
    pace = Pace(480)
    await pace.heed(limit, "1", 5.0)
    assert calls * 0.8 <= most_in_a_minute(await drawn(pace, workers=5, seconds=300)) <= calls


async def test_a_limit_that_others_have_used_up_is_a_pause(autojump_clock: MockClock) -> None:
    """An answer that tells that the limit is reached stops the calls for a while before a 429 does."""
    pace = Pace(480)
    start = trio.current_time()
    await pace.heed("480", "480", 5.0)
    await pace.acquire()
    assert trio.current_time() - start >= 5


async def test_waiters_are_served_in_order(autojump_clock: MockClock) -> None:
    """Whoever asked first is let through first."""
    pace = Pace(60)
    served: list[int] = []

    async def draw(number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await pace.acquire()
        served.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            await nursery.start(draw, number)
            await trio.testing.wait_all_tasks_blocked()
    assert served == list(range(20))


async def test_a_cancelled_waiter_takes_no_slot(autojump_clock: MockClock) -> None:
    """A waiter that gives up leaves the next call to the others."""
    pace = Pace(1)
    await pace.acquire()
    start = trio.current_time()
    with trio.move_on_after(30) as impatient:
        await pace.acquire()
    assert impatient.cancelled_caught
    await pace.acquire()
    assert trio.current_time() - start == pytest.approx(61)
