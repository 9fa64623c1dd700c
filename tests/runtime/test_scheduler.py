"""The loop that fires schedules, in virtual time; what is due is told by a test, and decisions are noted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import owlrunner
from owlrunner.cron import Cron
from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.runtime import scheduler as schedulers
from owlrunner.runtime.scheduler import LONGEST_SLEEP, OUTAGE_DELAY, SOON, TROUBLE_DELAY, Scheduler
from owlrunner.schedule import Schedule
from owlrunner.storage import schedules
from owlrunner.storage.postgres import Session
from owlrunner.storage.schedules import Seen
from owlrunner.storage.wakeups import Bell
from tests.runtime.stand_in import StandIn
from tests.test_execution import never_looks

THEN = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
WORK = owlrunner.job_type(scope="system", name="work")(never_looks)


def seen(name: str, **values: Any) -> Seen:
    """What a look tells of a schedule of which nothing is due."""
    return Seen(THEN, name, THEN, THEN, None, False)._replace(**values)


@attrs.define(eq=False)
class Book(StandIn):
    """Stands for the database: what a look tells, what becomes of a decision, and which ones were tried."""

    tells: list[Seen] = attrs.field(factory=list)
    becomes: Callable[[str], bool] = lambda _: True
    """Whether this server got to decide for a schedule; raises what goes wrong."""
    looks: list[float] = attrs.field(factory=list)
    tried: list[tuple[str, str]] = attrs.field(factory=list)
    failing: int = 0
    """How many more looks fail."""

    async def look(self, _: Any, known: dict[str, str]) -> list[Seen]:
        """Tell."""
        self.looks.append(trio.current_time())
        if self.failing:
            self.failing -= 1
            raise DatabaseUnavailable("away")
        return [one for one in self.tells if one.name in known]

    async def decide_due(self, _: Session, deployed: Any) -> bool:
        """Decide what is due."""
        self.tried.append(("due", deployed.schedule.name))
        return self.becomes(deployed.schedule.name)

    async def start_queued(self, _: Session, deployed: Any) -> bool:
        """Start what waits."""
        self.tried.append(("queued", deployed.schedule.name))
        return self.becomes(deployed.schedule.name)


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """In the place of the database."""
    book = Book()
    book.answer_for(monkeypatch, schedules, "look")
    book.answer_for(monkeypatch, schedulers, "decide_due", "start_queued")

    async def sync(_: Any, wanted: list[Schedule], *__: Any, **___: Any) -> Any:
        return SimpleNamespace(removed=[], kept=[], fingerprints={one.name: "f" for one in wanted})

    monkeypatch.setattr(schedules, "sync", sync)
    return book


async def scheduler_of(book: Book, *names: str, **options: Any) -> Scheduler:
    """A scheduler that knows these schedules, hourly ones."""
    about: dict[str, Any] = {"bell": Bell(), "on_triggered": lambda: None} | options
    scheduler = Scheduler(book, job_types={"work": WORK}, **about)
    await scheduler.replace([Schedule(name, "work", Cron.parse("0 * * * *")) for name in names], owns_file=True)
    return scheduler


DUE = {"decided_until": THEN - timedelta(hours=1)}
"""The fire time of midnight has not been decided."""


async def test_when_it_looks_again(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """At the next fire time, at a ring, soon while a fire waits or somebody else decides, and now and then."""
    bell = Bell()
    rounds: list[float] = []
    joined: list[float] = []

    async def join() -> None:
        joined.append(trio.current_time())

    scheduler = await scheduler_of(book, "a", bell=bell, on_round=rounds.append, joined=join)
    book.tells = [seen("a")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await trio.sleep(LONGEST_SLEEP + 1)
        book.tells = [seen("a", now=THEN.replace(minute=59, second=55), decided_until=THEN.replace(minute=59))]
        bell.ring()
        await trio.sleep(6)
        book.tells = [seen("a", first_queued=THEN)]
        bell.ring()
        await trio.sleep(0.5)
        book.becomes = lambda _: False
        book.tells = [seen("a", **DUE)]
        await trio.sleep(1)
        book.failing = 1
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert [round(at - start, 1) for at in book.looks] == [0, 30, 31, 36, 37, 38, 39, 40]
    assert rounds == [LONGEST_SLEEP, LONGEST_SLEEP, 5.0, 5.0, SOON, SOON, SOON]
    assert joined == book.looks
    assert OUTAGE_DELAY == SOON


async def test_other_schedules_are_looked_at_at_once(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """Whoever replaces them while the loop sleeps does not wait for its next look."""
    scheduler = await scheduler_of(book)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        await trio.sleep(1)
        await scheduler.replace([Schedule("a", "work", Cron.parse("0 * * * *"))], owns_file=True)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert book.looks == [0, 1]


async def test_what_is_due_is_decided(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """What waits and can start goes first, the longest waiting before the others; then what is due; and the worker is rung."""
    rung: list[None] = []
    scheduler = await scheduler_of(book, "a", "b", "c", "d", on_triggered=lambda: rung.append(None))
    book.tells = [
        seen("a", **DUE),
        seen("b", first_queued=THEN, startable=True),
        seen("c", first_queued=THEN - timedelta(hours=2), startable=True, **DUE),
        seen("d", first_queued=THEN, startable=False),
    ]
    assert await scheduler.look() == SOON
    assert book.tried == [("queued", "c"), ("queued", "b"), ("due", "a"), ("due", "c")]
    assert len(rung) == 4


async def test_nothing_to_look_at(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """Without schedules there is no next time; with one that fires at the next hour that is it."""
    scheduler = await scheduler_of(book, "a")
    assert await scheduler.look() == float("inf")
    book.tells = [seen("a")]
    assert await scheduler.look() == 30 * 60
    assert book.tried == []


async def test_one_that_fails_is_left_alone_for_a_while(
    book: Book, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again after ten seconds, behind the others, and is one like them when that went well."""
    wrong: Exception | None = StatementFailed("refused", transient=False)

    def becomes(name: str) -> bool:
        if name == "a" and wrong is not None:
            raise wrong
        return True

    book.becomes = becomes
    scheduler = await scheduler_of(book, "a", "b")
    book.tells = [seen("a", **DUE), seen("b", **DUE)]
    assert await scheduler.look() == TROUBLE_DELAY
    assert book.tried == [("due", "a"), ("due", "b")]
    await trio.sleep(4)
    assert await scheduler.look() == TROUBLE_DELAY - 4
    assert book.tried[2:] == [("due", "b")]
    await trio.sleep(6)
    wrong = ZeroDivisionError()
    assert await scheduler.look() == TROUBLE_DELAY
    assert book.tried[3:] == [("due", "b"), ("due", "a")]
    wrong = None
    await trio.sleep(TROUBLE_DELAY)
    assert await scheduler.look() == 30 * 60
    assert book.tried[5:] == [("due", "b"), ("due", "a")]
    assert await scheduler.look() == 30 * 60
    assert book.tried[7:] == [("due", "a"), ("due", "b")]
    assert caplog.messages == [
        "schedule a cannot be decided, the others go on: refused",
        "schedule a cannot be decided, the others go on",
    ]


async def test_an_outage_is_no_schedules_fault(book: Book, autojump_clock: trio.testing.MockClock) -> None:
    """It ends the look for all of them, and whoever looks waits for the database."""

    def becomes(_: str) -> bool:
        raise DatabaseUnavailable("away")

    book.becomes = becomes
    scheduler = await scheduler_of(book, "a", "b")
    book.tells = [seen("a", **DUE), seen("b", **DUE)]
    with pytest.raises(DatabaseUnavailable):
        await scheduler.look()
    assert book.tried == [("due", "a")]


@pytest.mark.parametrize(
    ("source", "is_ours", "reason"),
    [
        ("file", True, "it is not in the file of schedules any more"),
        ("default", True, "it is not in the defaults of this server's job types any more"),
        ("file", False, "no server has looked at it for a week"),
    ],
)
async def test_a_schedule_that_goes_says_why(
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
    is_ours: bool,
    reason: str,
) -> None:
    """In the log stand its name, its job type, and whose it was."""
    gone = SimpleNamespace(name="night", job_type="work", source=source, is_ours=is_ours)
    asked: list[bool] = []

    async def sync(*_: Any, owns_file: bool) -> Any:
        asked.append(owns_file)
        return SimpleNamespace(removed=[gone], kept=[], fingerprints={})

    monkeypatch.setattr(schedules, "sync", sync)
    scheduler = Scheduler(book, job_types={}, bell=Bell(), on_triggered=lambda: None)
    await scheduler.replace([], owns_file=False)
    assert caplog.messages == [f"schedule night (work) was removed: {reason}"]
    assert asked == [False]
