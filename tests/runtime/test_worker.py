"""The loop that claims runs, in virtual time; the queue is a list, and handlers do what a test says."""

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio
import trio.testing

import owlrunner
from owlrunner.context import JobContext
from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime.execution import Attempt
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.runtime.run_logs import CaughtRunLogs
from owlrunner.runtime.worker import OUTAGE_DELAY, Worker
from owlrunner.storage import attempts
from owlrunner.storage.attempts import ClaimedRun, Offer
from owlrunner.storage.wakeups import Bell
from tests.runtime.stand_in import StandIn

SERVER = uuid4()
LONGEST_SLEEP = 30.0
CHECK_INTERVAL = 100.0


@attrs.define(eq=False)
class Queue(StandIn):
    """Stands for the database and the runs that wait in it."""

    waiting: int = 0
    due: float | None = None
    claims: list[tuple[float, int]] = attrs.field(factory=list)
    """When runs were claimed, and how many at most."""
    checks: list[tuple[float, int]] = attrs.field(factory=list)
    """When what stands in our name was looked up, and how many of it were known."""
    failing: int = 0
    """How many claims from now on fail."""
    while_claiming: Callable[[], None] = lambda: None

    async def claim_pending(self, _: Any, server: UUID, offers: list[Offer], most: int) -> list[ClaimedRun]:
        """Hand out runs."""
        assert (server, [offer.job_type for offer in offers]) == (SERVER, ["work"])
        self.claims.append((trio.current_time(), most))
        if self.failing:
            self.failing -= 1
            raise DatabaseUnavailable("away", unknown=True)
        self.while_claiming()
        taken = min(most, self.waiting)
        self.waiting -= taken
        return [ClaimedRun(uuid4(), "work", None, None, None, 1, 1) for _ in range(taken)]

    async def release_unstarted(self, _: Any, server: UUID, known: list[tuple[UUID, int]]) -> list[UUID]:
        """Compare."""
        assert server == SERVER
        self.checks.append((trio.current_time(), len(known)))
        return []

    async def next_due(self, _: Any, names: Iterable[str]) -> float | None:
        """Tell when there is something."""
        assert list(names) == ["work"]
        return self.due


@attrs.define(eq=False)
class Outcomes:
    """Stands for the recorder."""

    outcomes: list[Outcome] = attrs.field(factory=list)
    backlog: int = 0
    unwritten: list[tuple[UUID, int]] = attrs.field(factory=list)
    watched: list[Attempt] = attrs.field(factory=list)
    flushed: Bell = attrs.field(factory=Bell)

    def watch(self, attempt: Attempt) -> None:
        """Look after an attempt."""
        self.watched.append(attempt)

    def note(self, ctx: JobContext) -> None:
        """Take news."""

    def ended(self, _: Attempt, outcome: Outcome) -> None:
        """Take an outcome."""
        self.outcomes.append(outcome)

    async def next_flush(self) -> None:
        """Wait for the next write."""
        await self.flushed.listen().wait()


@attrs.define(eq=False)
class Setting:
    """A worker and what is around it."""

    queue: Queue
    held: HeldRuns
    recorder: Outcomes
    bell: Bell
    held_bell: Bell
    rounds: list[float]
    is_member: bool = True

    async def joined(self) -> UUID:
        """Say under which registration to claim."""
        return SERVER


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """In the place of the database."""
    queue = Queue()
    queue.answer_for(monkeypatch, attempts, "claim_pending", "next_due", "release_unstarted")
    return queue


@contextlib.asynccontextmanager
async def claiming(
    queue: Queue, handler: Callable[[JobContext], Awaitable[Any]], capacity: int = 10, **options: Any
) -> AsyncIterator[Setting]:
    """Let a worker claim as long as the block lasts."""
    around = Setting(queue, HeldRuns(capacity=capacity), Outcomes(), Bell(), Bell(), [])
    recorder: Any = around.recorder
    worker = Worker(
        queue,
        job_types=[owlrunner.job_type(scope="system", name="work", overlap="allow", **options)(handler)],
        held=around.held,
        recorder=recorder,
        connections=HandlerConnections(queue, 1),
        bell=around.bell,
        held_bell=around.held_bell,
        membership=around,
        logs=CaughtRunLogs(),
        longest_sleep=LONGEST_SLEEP,
        check_interval=CHECK_INTERVAL,
        on_round=around.rounds.append,
    )
    async with trio.open_nursery() as runs, trio.open_nursery() as nursery:
        nursery.start_soon(worker.claim, runs)
        await trio.testing.wait_all_tasks_blocked()
        yield around
        nursery.cancel_scope.cancel()
        runs.cancel_scope.cancel()


async def at_once(ctx: JobContext) -> None:
    """Be done."""


async def never(ctx: JobContext) -> None:
    """Go on."""
    await trio.sleep_forever()


@pytest.mark.parametrize(("capacity", "most"), [(10, 10), (100, 100), (180, 100), (500, 250), (2000, 500)])
async def test_half_of_what_there_is_room_for_is_claimed_at_once(
    queue: Queue, autojump_clock: trio.testing.MockClock, capacity: int, most: int
) -> None:
    """But at least a hundred, at most five hundred, and never more than there is room for."""
    queue.waiting = 3 * capacity
    async with claiming(queue, never, capacity) as around:
        assert len(around.held) == capacity
        assert queue.waiting == 2 * capacity
    sizes = [size for _, size in queue.claims]
    assert sizes[0] == most
    assert all(size == min(most, capacity - sum(sizes[:number])) for number, size in enumerate(sizes))
    assert sum(sizes) == capacity


async def test_a_server_that_is_full_waits_for_an_end(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """It asks for nothing meanwhile, however long that takes, and then for as many as there is room for."""
    gates = [trio.Event() for _ in range(3)]
    started: list[int] = []

    async def wait(ctx: JobContext) -> None:
        number = len(started)
        started.append(number)
        if number < len(gates):
            await gates[number].wait()

    queue.waiting = 5
    async with claiming(queue, wait, 3) as around:
        assert [size for _, size in queue.claims] == [3]
        assert around.rounds[-1] == math.inf
        await trio.sleep(5000)
        assert len(queue.claims) == 1
        queue.waiting = 1
        gates[1].set()
        await trio.testing.wait_all_tasks_blocked()
        assert [size for _, size in queue.claims][1] == 1
        assert len(started) == 4


async def test_outcomes_that_pile_up_count(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """As many as the capacity are no burden; beyond that fewer runs are claimed, and none until some have been written."""
    async with claiming(queue, at_once, 10) as around:
        around.recorder.backlog = 17
        queue.waiting = 1
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        assert queue.claims[-2][1] == 3
        around.recorder.backlog = 20
        claims = len(queue.claims)
        around.bell.ring()
        await trio.sleep(500)
        assert len(queue.claims) == claims
        around.recorder.backlog = 0
        around.recorder.flushed.ring()
        await trio.testing.wait_all_tasks_blocked()
        assert queue.claims[-1][1] == 10


async def test_when_it_looks_again(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """At once after a claim that brought something, when the next run is due, soon where that cannot be had, and now and then."""
    queue.waiting = 1
    async with claiming(queue, at_once) as around:
        assert len(queue.claims) == 2
        start = trio.current_time()
        await trio.sleep(LONGEST_SLEEP + 1)
        queue.due = 4.0
        around.bell.ring()
        await trio.sleep(5)
        queue.due = -7.0
        around.bell.ring()
        await trio.sleep(1.5)
        queue.due = 1000.0
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
    assert [round(at - start, 1) for at, _ in queue.claims][1:] == [0, 30, 31, 35, 36, 37, 37.5]
    assert around.rounds == [0.0, 30.0, 30.0, 4.0, 4.0, OUTAGE_DELAY, OUTAGE_DELAY, LONGEST_SLEEP]


async def test_what_stands_in_its_name_is_compared(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """At the start, in every interval, and after a claim without an answer; with what is held and what is not written yet."""
    queue.waiting = 2
    async with claiming(queue, never) as around:
        start = trio.current_time()
        around.recorder.unwritten = [(uuid4(), 1)]
        await trio.sleep(2 * CHECK_INTERVAL + 1)
        assert [(round(at - start), known) for at, known in queue.checks] == [(0, 0), (100, 3), (200, 3)]
        queue.failing = 1
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        failed = trio.current_time()
        await trio.sleep(OUTAGE_DELAY + 0.1)
        assert queue.checks[-1][0] - failed == pytest.approx(OUTAGE_DELAY)
        assert queue.claims[-1][0] - failed == pytest.approx(OUTAGE_DELAY)


async def test_what_was_claimed_under_a_lost_registration_is_not_started(
    queue: Queue, autojump_clock: trio.testing.MockClock
) -> None:
    """It is given back before the server joins anew, so nobody executes it here."""
    async with claiming(queue, never) as around:
        around.is_member = False
        queue.waiting = 2
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        assert (queue.waiting, len(around.held)) == (0, 0)
        assert around.rounds[-1] == LONGEST_SLEEP


@pytest.mark.parametrize(("waiting", "ring", "rings"), [(1, True, True), (1, False, False), (0, True, False)])
async def test_a_cancel_in_the_middle_of_a_claim_is_heard(
    queue: Queue, autojump_clock: trio.testing.MockClock, waiting: int, ring: bool, rings: bool
) -> None:
    """A ring for held runs that comes while they are being claimed is repeated when they are held."""
    async with claiming(queue, never) as around:
        heard: list[trio.Event] = []

        def while_claiming() -> None:
            # Once: the worker claims again at once where it got something.
            if ring and not heard:
                around.held_bell.ring()
            heard.append(around.held_bell.listen())

        queue.waiting, queue.while_claiming = waiting, while_claiming
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        assert heard[0].is_set() is rings


async def test_who_reconfigures_logging_is_told_in_every_log(
    queue: Queue, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In the server's and in those of the runs that go on: lines of theirs may be missing."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    started: list[JobContext] = []

    async def second_is_quick(ctx: JobContext) -> None:
        started.append(ctx)
        if len(started) != 2:
            await trio.sleep_forever()

    async with claiming(queue, second_is_quick) as around:
        # Nothing had put the handler in its place here, which is what a handler that removes it brings about.
        queue.waiting = 2
        around.bell.ring()
        await trio.testing.wait_all_tasks_blocked()
        told = [line.message for line in started[0].take_log_lines()]
    root.handlers[:] = handlers
    assert len(told) == 1
    assert told[0].startswith("a handler on this server has reconfigured logging")
    assert told[0] in caplog.messages


async def test_a_runs_task_has_the_name_of_its_job_type(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """Whoever looks at the tasks of a server sees what they are for."""
    names: list[str] = []

    async def look(ctx: JobContext) -> None:
        names.append(trio.lowlevel.current_task().name)

    queue.waiting = 1
    async with claiming(queue, look):
        pass
    assert names == ["work"]


async def test_a_run_that_is_torn_down_has_an_outcome(queue: Queue, autojump_clock: trio.testing.MockClock) -> None:
    """When the nursery of the runs is cancelled the recorder is told, and nothing is held any more."""
    queue.waiting = 2
    async with claiming(queue, never) as around:
        assert len(around.held) == 2
    assert [outcome.status for outcome in around.recorder.outcomes] == [RunStatus.FAILED] * 2
    assert len(around.held) == 0
