"""The loop that ends what dead servers left behind, in virtual time, and what the log says of it."""

from typing import Any
from uuid import UUID

import attrs
import pytest
import trio
import trio.testing

from owlrunner.job_run import RunStatus
from owlrunner.runtime.recovery import SHOWN_IDS, keep_recovering, recover_at_start
from owlrunner.storage import audit, job_runs, notifications, servers
from owlrunner.storage.job_runs import Recovered
from owlrunner.storage.wakeups import Bell
from tests.runtime.stand_in import StandIn


def recovered(number: int, status: RunStatus = RunStatus.FAILED, job_type: str = "work") -> Recovered:
    """A run that was taken from a dead server."""
    return Recovered(UUID(int=number), job_type, status)


@attrs.define(eq=False)
class Book(StandIn):
    """Stands for the database: what dead servers hold, step by step."""

    left: list[list[Recovered]] = attrs.field(factory=list)
    waited: list[list[Recovered]] = attrs.field(factory=list)
    orphaned: list[Recovered] = attrs.field(factory=list)
    looks: list[float] = attrs.field(factory=list)
    forgot: int = 0
    released: int = 0

    async def anything_stale(self, _: Any) -> bool:
        """Tell whether there is anything."""
        self.looks.append(trio.current_time())
        return bool(self.left)

    async def bury_expired(self, _: Any) -> list[str]:
        """Name the dead."""
        return ["barn"] if self.left else []

    async def fail_stale(self, _: Any, __: int) -> list[Recovered]:
        """End some of their runs."""
        return self.left.pop(0) if self.left else []

    async def fail_waiting(self, _: Any, __: UUID, after: float, ___: int) -> list[Recovered]:
        """End some that nobody could have run."""
        assert after == 60.0
        return self.waited.pop(0) if self.waited else []

    async def cancel_orphaned(self, _: Any) -> list[Recovered]:
        """Cancel those of deleted projects."""
        found, self.orphaned = self.orphaned, []
        return found

    async def forget_old(self, _: Any) -> None:
        """Forget the dead."""
        self.forgot += 1

    async def forget_events(self, _: Any, days: int) -> None:
        """Forget old events."""
        assert days == 400
        self.forgot += 1

    async def forget_alerts(self, _: Any, days: int) -> None:
        """Forget old alerts."""
        assert days == 400
        self.forgot += 1

    async def release_of_dead(self, _: Any) -> None:
        """Give back what they were sending."""
        self.released += 1

    async def strand(self, _: Any, __: float) -> list[Any]:
        """Tell what nobody can execute."""
        return []


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """In the place of the database."""
    book = Book()
    book.answer_for(monkeypatch, servers, "anything_stale", "bury_expired", "forget_old")
    book.answer_for(monkeypatch, audit, "forget_events")
    book.answer_for(monkeypatch, job_runs, "fail_stale", "fail_waiting", "cancel_orphaned", "strand")
    book.answer_for(monkeypatch, notifications, "release_of_dead", "forget_alerts")
    return book


async def test_what_was_left_behind_is_told(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    """By job type and end, with a few ids and how many more there are, until nothing is left; then what is old is forgotten."""
    many = [recovered(number) for number in range(SHOWN_IDS + 2)]
    book.left = [[*many, recovered(50, RunStatus.PENDING)], [recovered(51, job_type="other")]]
    book.waited = [[recovered(60)], [recovered(61)]]
    await recover_at_start(book, UUID(int=9), 60.0)
    shown = ", ".join(str(one.id) for one in many[:SHOWN_IDS])
    assert caplog.messages == [
        "server barn is dead: its lease ran out",
        f"recovered {SHOWN_IDS + 2} runs of work, now failed: {shown} and 2 more",
        f"recovered 1 runs of work, now pending: {UUID(int=50)}",
        "server barn is dead: its lease ran out",
        f"recovered 1 runs of other, now failed: {UUID(int=51)}",
        f"recovered 1 runs of work, now failed: {UUID(int=60)}",
        f"recovered 1 runs of work, now failed: {UUID(int=61)}",
    ]
    assert (book.forgot, book.released) == (3, 1)


async def test_all_ids_are_shown_where_they_are_few(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    """As many as are shown leave nothing to be counted."""
    book.left = [[recovered(number) for number in range(SHOWN_IDS)]]
    await recover_at_start(book, UUID(int=9), 60.0)
    assert caplog.messages[-1].endswith(str(UUID(int=SHOWN_IDS - 1)))


async def test_when_it_looks_and_whom_it_rings(
    book: Book, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In every interval and at each ring; the worker is rung for runs that went back, and where that is not known."""
    bell = Bell()
    rung: list[float] = []
    rounds: list[float] = []
    async with trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(
            keep_recovering, book, bell, 10.0, lambda: rung.append(trio.current_time() - start), rounds.append
        )
        await trio.sleep(11)
        book.left = [[recovered(1)]]
        bell.ring()
        await trio.sleep(1)
        book.left = [[recovered(2, RunStatus.PENDING)], [recovered(3)]]
        bell.ring()
        await trio.sleep(1)
        book.away = 1
        bell.ring()
        await trio.sleep(1)
        book.orphaned = [recovered(4, RunStatus.CANCELLED)]
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert [round(at - start) for at in book.looks] == [0, 10, 11, 12, 23]
    assert rung == pytest.approx([12, 13])
    assert rounds == [10.0] * 5
    assert caplog.messages[-2:] == [
        "cannot look for dead servers: away",
        f"recovered 1 runs of work, now cancelled: {UUID(int=4)}",
    ]
