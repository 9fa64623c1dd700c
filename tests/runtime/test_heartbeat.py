"""When the heartbeat beats, what it takes for lost, and what the loop does then; time passes as the tests want it."""

import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio
import trio.testing

from owlrunner.errors import DatabaseUnavailable
from owlrunner.runtime import heartbeat
from owlrunner.runtime.execution import Cut
from owlrunner.runtime.heartbeat import Heartbeat
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration
from tests.test_execution import make_attempt

BEGIN = 1000.0
AWAY = DatabaseUnavailable("away")


@attrs.define
class World:
    """What a heartbeat's thread has to do with: the time, the signal to stop, the connection. Seconds count from the beginning."""

    answers: Iterator[bool | DatabaseUnavailable]
    """To its beats."""
    until: float
    """When it is told to stop."""
    blocked: tuple[float, float] = (math.inf, math.inf)
    """From when to when the loop shows no life."""
    now: float = BEGIN
    beats: list[float] = attrs.field(factory=list)
    closed: bool = False
    subject: Any = None

    def monotonic(self) -> float:
        """As the module time; this one cannot tell whether the machine was suspended."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """As the signal to stop."""
        self.now += seconds
        passed = self.now - BEGIN
        if not self.blocked[0] < passed < self.blocked[1]:
            self.subject.loop_seen = self.now
        return passed > self.until

    def beat(self) -> bool:
        """As the connection."""
        self.beats.append(self.now - BEGIN)
        answer = next(self.answers, True)
        if isinstance(answer, DatabaseUnavailable):
            raise answer
        return answer

    def close(self) -> None:
        """As the connection."""
        self.closed = True


def play(
    monkeypatch: pytest.MonkeyPatch,
    *answers: bool | DatabaseUnavailable,
    until: float,
    stall_limit: float = 60.0,
    blocked: tuple[float, float] = (math.inf, math.inf),
) -> World:
    """Let a heartbeat with a lease of half a minute look every half second, until then."""
    world = World(iter(answers), until, blocked)
    monkeypatch.setattr(heartbeat, "time", world)
    monkeypatch.setattr("owlrunner.runtime.stalls.time", world)
    connection: Any = world
    world.subject = heartbeat._Beat(registration(30.0), connection, stall_limit, threading.get_ident(), exits=False)
    world.subject.stop = world
    world.subject.run()
    return world


def registration(lease: float) -> Registration:
    """A server's."""
    return Registration(uuid4(), "a", "1", [], 1, lease)


def test_a_lease_is_renewed_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat is sent at once and each third of the lease, and the age of the lease counts from the last one that was answered."""
    world = play(monkeypatch, until=31.0)
    assert world.beats == [0.5, 10.5, 20.5, 30.5]
    assert world.subject.age == 1.0
    assert world.closed


def test_a_beat_that_failed_is_repeated_soon_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While beats fail there is one at each look, and the first failure of each time without an answer is logged."""
    world = play(monkeypatch, AWAY, AWAY, True, AWAY, AWAY, AWAY, until=12.5)
    assert world.beats == [0.5, 1.0, 1.5, 11.5, 12.0, 12.5]
    assert caplog.messages == ["heartbeat failed: away"] * 2
    assert world.subject.age == 13.0 - 1.5
    assert not world.subject.marked_dead


def test_a_server_that_was_taken_for_dead_beats_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database does not know the lease any more the thread ends, and that beat renews nothing."""
    world = play(monkeypatch, True, False, until=60.0)
    assert world.beats == [0.5, 10.5]
    assert world.subject.marked_dead
    assert world.subject.age == 11.0 - 0.5
    assert world.closed


def test_a_stalled_loop_is_told_at_each_doubling_and_ends_the_beats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Past the limit no beat is sent, which is said once; when the loop moves again that is said, and the beats go on."""
    world = play(monkeypatch, until=24.0, stall_limit=10.5, blocked=(0.0, 22.0))
    assert world.beats == [0.5, 22.0]
    told = [message.partition(" at ")[0].partition(":")[0] for message in caplog.messages]
    assert told == [
        "something has been blocking the event loop for 2.0 s",
        "something has been blocking the event loop for 4.0 s",
        "something has been blocking the event loop for 8.0 s",
        "the event loop has shown no life for 10 s",
        "something has been blocking the event loop for 16.0 s",
        "something blocked the event loop for 22.0 s",
    ]


def test_time_counts_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is measured by a clock that goes on during a suspension, or by the monotonic one where there is none."""
    suspended = time.monotonic() + 5000.0
    monkeypatch.setattr("owlrunner.runtime.heartbeat.time.CLOCK_BOOTTIME", "that one", raising=False)
    monkeypatch.setattr(
        "owlrunner.runtime.heartbeat.time.clock_gettime", lambda clock: suspended if clock == "that one" else 0.0
    )
    assert heartbeat._now() == suspended
    monkeypatch.delattr("owlrunner.runtime.heartbeat.time.CLOCK_BOOTTIME")
    assert heartbeat._now() == pytest.approx(time.monotonic(), abs=100.0)


async def settled(_: UUID) -> None:
    """There is nothing to settle."""


def member(db: Database, registered: Registration, held: HeldRuns, **more: Any) -> Heartbeat:
    """A server's heartbeat, without the server."""
    options: dict[str, Any] = {"stall_limit": 60.0, "on_return": lambda: None, "settle": settled} | more
    return Heartbeat(db, registered, held=held, exit_when_stalled=False, pooled=False, **options)


class Thread:
    """In the place of the thread's side: time goes on by one step at each look of the loop, and no beat is answered."""

    def __init__(self, times: Sequence[float] = (0.0,), interval: float = 0.0) -> None:
        self.stop, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        self.loop_seen = 0.0
        self.interval = interval
        self._times = itertools.chain(times, itertools.repeat(times[-1]))
        self.age = next(self._times)
        self.ends: list[str] = []

    @property
    def marked_dead(self) -> bool:
        """The loop asks this first."""
        self.age = next(self._times)
        return False

    def run(self) -> None:
        """Do nothing until told to stop."""
        self.stop.wait()
        self.may_end.wait()
        self.ends.append("the thread")


@pytest.mark.parametrize(("pause", "until_lost"), [(2.5, 0.0), (2.625, 0.375)])
async def test_after_a_pause_the_next_beat_decides(
    monkeypatch: pytest.MonkeyPatch, pause: float, until_lost: float
) -> None:
    """A server that was stopped past its lease leaves its heartbeat a tenth of the lease to be answered before it is lost."""
    after = [0.5 + pause + step * 0.125 for step in range(20)]
    thread = Thread([0.0, 0.5, *after])
    monkeypatch.setattr(heartbeat, "_Beat", lambda *_, **__: thread)
    monkeypatch.setattr(heartbeat, "_now", lambda: thread.age)
    subject = member(Database(""), registration(2.5), HeldRuns(capacity=1))
    assert await subject._live(registration(2.5)) == "the lease could not be renewed in time"
    assert thread.age == 0.5 + pause + until_lost


async def test_a_heartbeat_that_is_cancelled_waits_for_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a server ends, no thread of it goes on that could renew the lease once more."""
    thread = Thread(interval=3600.0)
    thread.may_end.clear()
    monkeypatch.setattr(heartbeat, "_Beat", lambda *_, **__: thread)
    subject = member(Database(""), registration(30.0), HeldRuns(capacity=1))

    async def live() -> None:
        with scope:
            await subject._live(registration(30.0))
        thread.ends.append("the heartbeat")

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(live)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        thread.ends.append("the test")
        thread.may_end.set()
    assert thread.ends == ["the test", "the thread", "the heartbeat"]


async def test_what_is_held_under_a_lost_registration_is_cut(
    db: Database, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs claimed under it are cut before anything is settled, and those claimed under another one are not."""
    registered, held = registration(30.0), HeldRuns(capacity=2)
    ours, other = make_attempt(nothing), make_attempt(nothing)
    ours.server_id = registered.id
    held.add(ours)
    held.add(other)
    settling: list[tuple[UUID, Cut | None]] = []

    async def settle(server_id: UUID) -> None:
        settling.append((server_id, ours.cut))

    answers = iter([False])
    monkeypatch.setattr(BlockingHeartbeat, "beat", lambda _: next(answers, True))
    returned = trio.Event()
    subject = member(db, registered, held, on_return=returned.set, settle=settle)
    await nursery.start(subject.run)
    with trio.fail_after(20):
        await returned.wait()
    assert settling == [(registered.id, Cut.LEASE_LOST)]
    assert ours.scope.cancel_called
    assert other.cut is None
    assert not other.scope.cancel_called
    assert subject.server_id != registered.id
    nursery.cancel_scope.cancel()


async def nothing(_: object) -> None:
    """Do nothing."""
