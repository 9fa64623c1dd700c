"""How often a server looks for dead ones, and what it says of their runs."""

from uuid import UUID

import pytest
import trio
import trio.testing

from owlrunner.job_run import RunStatus
from owlrunner.runtime import recovery
from owlrunner.storage.job_runs import Recovered
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell
from tests.runtime.away import Away


async def test_dead_servers_are_looked_for_at_each_interval_and_ring(autojump_clock: trio.testing.MockClock) -> None:
    """While the database is away too, and workers are told each time, as runs may have gone back to pending all the same."""
    looks: list[float] = []
    bell = Bell()
    with trio.move_on_after(200.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                recovery.keep_recovering,
                Away(),
                bell,
                60.0,
                lambda: looks.append(trio.current_time()),
                lambda _: pytest.fail("no round was finished"),
            )
            await trio.sleep(10.0)
            bell.ring()
    assert looks == [0.0, 10.0, 70.0, 130.0, 190.0]


async def test_a_finished_round_is_told(db: Database, nursery: trio.Nursery) -> None:
    """With the seconds until the next, and nobody is told of runs that went back where there were none."""
    told: list[float] = []
    finished = trio.Event()

    def on_round(seconds: float) -> None:
        told.append(seconds)
        finished.set()

    def on_requeued() -> None:
        pytest.fail("nothing went back")

    nursery.start_soon(recovery.keep_recovering, db, Bell(), 3600.0, on_requeued, on_round)
    with trio.fail_after(20):
        await finished.wait()
    assert told == [3600.0]


@pytest.mark.parametrize(("count", "more"), [(1, ""), (3, ""), (4, " and 1 more"), (1000, " and 997 more")])
def test_three_of_the_recovered_runs_are_named(caplog: pytest.LogCaptureFixture, count: int, more: str) -> None:
    """However many a dead server left, one line for each job type and state says how many, and names a few."""
    ids = [UUID(int=number) for number in range(count)]
    other = UUID(int=5000)
    recovery._tell(
        ["a"], [Recovered(one, "sync", RunStatus.FAILED) for one in ids] + [Recovered(other, "sync", RunStatus.PENDING)]
    )
    assert caplog.messages == [
        "server a is dead: its lease ran out",
        f"recovered {count} runs of sync, now failed: {', '.join(map(str, ids[:3]))}{more}",
        f"recovered 1 runs of sync, now pending: {other}",
    ]
