"""Which runs a server holds, who is told when that changes, and what news of them does."""

from typing import Any, NamedTuple
from uuid import UUID, uuid4

import attrs
import pytest
import trio
import trio.testing

from owlrunner.runtime.execution import Attempt, Cut
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.storage import attempts
from owlrunner.storage.wakeups import Bell
from tests.runtime.stand_in import StandIn
from tests.test_execution import make_attempt, never_looks


class News(NamedTuple):
    """What is new about one run."""

    id: UUID
    attempt: int
    lost: bool


@attrs.define(eq=False)
class Book(StandIn):
    """Stands for the database: what is new, and who asked for what."""

    news: list[News] = attrs.field(factory=list)
    asked: list[tuple[UUID, list[UUID]]] = attrs.field(factory=list)

    async def held_news(self, _: Any, server: UUID, held: list[tuple[UUID, int]]) -> list[News]:
        """Tell what is new."""
        self.asked.append((server, [run for run, _ in held]))
        return self.news


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """In the place of the database."""
    book = Book()
    book.answer_for(monkeypatch, attempts, "held_news")
    return book


def holding(*held: Attempt, capacity: int = 3) -> HeldRuns:
    """These are held."""
    runs = HeldRuns(capacity=capacity)
    for attempt in held:
        assert runs.add(attempt)
    return runs


async def test_who_waits_is_told_when_one_or_all_have_ended(autojump_clock: trio.testing.MockClock) -> None:
    """One of as many as may be held, or the last one; an end where there is room for more rings for nobody."""
    held = [make_attempt(never_looks) for _ in range(3)]
    runs = holding(*held)
    told: list[str] = []

    async def tell(name: str, wait: Any) -> None:
        await wait()
        told.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, "one", runs.one_ended)
        nursery.start_soon(tell, "all", runs.all_ended)
        await trio.testing.wait_all_tasks_blocked()
        runs.remove(held[0])
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["one"]
        nursery.start_soon(tell, "none", runs.one_ended)
        await trio.testing.wait_all_tasks_blocked()
        runs.remove(held[1])
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["one"]
        runs.remove(held[2])
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["one", "all"]
        nursery.cancel_scope.cancel()


async def test_a_second_claim_of_one_attempt_ends_the_first(caplog: pytest.LogCaptureFixture) -> None:
    """It is not held twice, and the one that is running is lost."""
    attempt = make_attempt(never_looks)
    runs = holding(attempt)
    assert not runs.add(Attempt(attempt.job_type, attempt.ctx, uuid4()))
    assert (attempt.cut, len(runs)) == (Cut.LEASE_LOST, 1)
    assert "was claimed a second time" in caplog.text


async def test_what_was_claimed_under_one_registration_is_cut_off() -> None:
    """Those of another one go on, unless all are meant."""
    ours, other = make_attempt(never_looks), make_attempt(never_looks)
    runs = holding(ours, other)
    runs.cut_off(Cut.LEASE_LOST, ours.server_id)
    assert (ours.cut, other.cut) == (Cut.LEASE_LOST, None)
    runs.cut_off(Cut.SHUTDOWN)
    assert other.cut is Cut.SHUTDOWN


async def test_news_are_acted_upon(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """A cancel request is passed on and a lost run is cut off; what has ended or is another attempt meanwhile is nobody's."""
    cancelled, lost, same, other = (make_attempt(never_looks) for _ in range(4))
    runs = holding(cancelled, lost, same, other, capacity=9)
    book.news = [
        News(uuid4(), 1, lost=True),
        News(same.ctx.run_id, 2, lost=True),
        News(cancelled.ctx.run_id, 1, lost=False),
        News(lost.ctx.run_id, 1, lost=True),
    ]
    bell = Bell()
    rounds: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runs.hear_news, book, bell, 7.0, rounds.append)
        await trio.testing.wait_all_tasks_blocked()
        assert [one.cut for one in (cancelled, lost, same, other)] == [Cut.CANCEL, Cut.LEASE_LOST, None, None]
        assert cancelled.ctx.is_cancelled()
        assert dict(book.asked) == {one.server_id: [one.ctx.run_id] for one in (cancelled, lost, same, other)}
        start = trio.current_time()
        await trio.sleep(8)
        bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        book.away = 1
        bell.ring()
        await trio.sleep(8)
        nursery.cancel_scope.cancel()
    # Each look asks for each registration; the one in the outage ended at once.
    assert [round(at - start) for at in book.sessions] == [*[0] * 4, *[7] * 4, *[8] * 4, 8, *[15] * 4]
    assert rounds == [7.0] * 4


async def test_without_runs_nothing_is_asked(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """An idle server does not ask the database after nothing."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HeldRuns(capacity=1).hear_news, book, Bell(), 1.0, lambda _: None)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert book.sessions == []
