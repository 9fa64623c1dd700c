"""The loop's side of the heartbeat: what it takes for lost, and what it does then; time passes as the tests want it."""

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from owlrunner.runtime import heartbeat
from owlrunner.runtime.execution import Cut
from owlrunner.runtime.heartbeat import Heartbeat
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration
from tests.test_execution import make_attempt


def registration(lease: float) -> Registration:
    """A server's."""
    return Registration(uuid4(), "a", "1", [], 1, lease)


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
        self.is_daemon: bool | None = None

    @property
    def marked_dead(self) -> bool:
        """The loop asks this first."""
        self.age = next(self._times)
        return False

    def run(self) -> None:
        """Do nothing until told to stop."""
        self.is_daemon = threading.current_thread().daemon
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


async def test_a_heartbeat_that_hangs_keeps_no_process_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its thread waits for a database that does not answer, the process can end without it."""
    thread = Thread([0.0, 100.0])
    monkeypatch.setattr(heartbeat, "_Beat", lambda *_, **__: thread)
    await member(Database(""), registration(30.0), HeldRuns(capacity=1))._live(registration(30.0))
    assert thread.is_daemon is True


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
