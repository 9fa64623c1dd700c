"""The lease is one rule: who has lost it claims nothing, who was replaced ends, and one name is one server."""

import threading
from uuid import UUID, uuid4

import pytest
import trio

from owlrunner.context import JobContext
from owlrunner.errors import DatabaseUnavailable, Superseded
from owlrunner.job_run import RunStatus
from owlrunner.runtime.execution import Attempt
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.runtime.heartbeat import Heartbeat
from owlrunner.runtime.held_runs import HeldRuns
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration
from tests.promises.promise_jobs import deaf
from tests.promises.serving import Door, LogEar, Serve, StartProcess


async def nothing(_: UUID) -> None:
    """There is nothing to settle."""


def heartbeat(db: Database, lease: float, name: str = "a") -> Heartbeat:
    """A server's heartbeat, without the server."""
    registration = Registration(uuid4(), name, "1", [], 1, lease)
    return Heartbeat(
        db,
        registration,
        held=HeldRuns(capacity=1),
        stall_limit=60,
        exit_when_stalled=False,
        pooled=False,
        on_return=lambda: None,
        settle=nothing,
    )


async def test_a_superseded_server_ends(door: Door, server_process: StartProcess) -> None:
    """The older of two servers of one name ends with a sentence and exit status 1, and the newer one stays."""
    first = server_process("twin", lease=2)
    await first.ready()
    second = server_process("twin", lease=2)
    await second.ready()
    line = await first.logged("another server has started under the name 'twin'")
    assert "server.name" in line
    assert await first.ended() == 1
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    assert await door.sql("select count(*) from servers") == [(2,)]


async def test_a_superseded_heartbeat_says_so(db: Database, nursery: trio.Nursery) -> None:
    """A server that finds a living one of its name in its place raises Superseded instead of superseding it."""
    first, second = heartbeat(db, 1.0), heartbeat(db, 1.0)
    caught: list[Superseded] = []
    started, ended = trio.Event(), trio.Event()

    async def run_first() -> None:
        async def watch(*, task_status: trio.TaskStatus[None]) -> None:
            await first.run(task_status=task_status)

        try:
            async with trio.open_nursery() as inner:
                await inner.start(watch)
                started.set()
        except* Superseded as group:
            caught.extend(error for error in group.exceptions if isinstance(error, Superseded))
        ended.set()

    nursery.start_soon(run_first)
    with trio.fail_after(20):
        await started.wait()
        await nursery.start(second.run)
        await ended.wait()
    assert len(caught) == 1
    assert not first.is_member
    assert second.is_member


@pytest.mark.parametrize("way", ["fails", "hangs", "dies"])
async def test_without_an_answered_beat_the_membership_is_lost_in_time(
    db: Database, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, log_ear: LogEar, way: str
) -> None:
    """Beats that fail, hang, or whose thread is gone: before the lease is over the server knows it is no member any more."""
    release = threading.Event()
    beat = BlockingHeartbeat.beat
    broken = threading.Event()

    def misbehave(self: BlockingHeartbeat) -> bool:
        if not broken.is_set():
            return beat(self)
        if way == "hangs":
            release.wait()
        raise (ValueError if way == "dies" else DatabaseUnavailable)("out of order")

    monkeypatch.setattr(BlockingHeartbeat, "beat", misbehave)
    subject = heartbeat(db, 2.0)
    await nursery.start(subject.run)
    first = await subject.joined()
    broken.set()
    await log_ear.heard("(lease lost)")
    broken.clear()
    release.set()
    with trio.fail_after(20):
        while (again := await subject.joined()) == first:
            await trio.sleep(0.01)
    assert again != first
    nursery.cancel_scope.cancel()


async def test_a_server_that_lost_its_lease_claims_nothing(
    door: Door, serve: Serve, monkeypatch: pytest.MonkeyPatch, log_ear: LogEar
) -> None:
    """When only the heartbeat cannot reach the database, the runs are cut and none is claimed until there is a new registration."""
    server = await serve(lease=2)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    beat = BlockingHeartbeat.beat
    broken = threading.Event()
    broken.set()

    def unreachable(self: BlockingHeartbeat) -> bool:
        if broken.is_set():
            raise DatabaseUnavailable("out of order")
        return beat(self)

    monkeypatch.setattr(BlockingHeartbeat, "beat", unreachable)
    await log_ear.heard("(lease lost)")
    broken.clear()
    new = await door.trigger("polite")
    run = await door.until(new, RunStatus.COMPLETED)
    assert run.server_id != server.started.server_id
    assert (await door.view(run_id)).status is RunStatus.FAILED


def attempt_of(run_id: UUID, db: Database) -> Attempt:
    """An attempt that nobody executes."""
    ctx = JobContext(
        run_id=run_id,
        job_type="deaf",
        project_id=None,
        team_id=None,
        attempt=1,
        connect=HandlerConnections(db, 1).open,
        on_news=lambda _: None,
    )
    return Attempt(deaf, ctx, UUID(int=2))


async def test_a_run_claimed_twice_is_executed_once(db: Database) -> None:
    """A second claim of the very same attempt, after a failover, ends the first handler and starts no second one."""
    held = HeldRuns(capacity=2)
    first, second = (attempt_of(UUID(int=1), db) for _ in range(2))
    assert held.add(first)
    assert not held.add(second)
    assert first.scope.cancel_called
    assert list(held) == [first]
