"""How the loops of a server are put together: what each is told, what they tell, and how they end."""

import math
import threading
from typing import Any, Literal
from uuid import UUID, uuid4

import attrs
import pytest
import trio
import trio.testing

from owlrunner.config import Config, ServerConfig, WebConfig
from owlrunner.plugins import Catalog
from owlrunner.runtime.execution import Attempt, Cut
from owlrunner.runtime.loop_health import LoopHealth
from owlrunner.runtime.loops import CUT_PATIENCE, SEND_PATIENCE, Loops
from owlrunner.runtime.run_logs import CaughtRunLogs
from owlrunner.storage import notifications, servers
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat, Registration
from tests.runtime.away import Away
from tests.runtime.stand_in import StandIn
from tests.storage.rows import look, put_held, put_run, put_server
from tests.storage.test_outbox import put_notification
from tests.test_execution import make_attempt, never_looks

LEASE = 6.0
CONFIG = Config(server=ServerConfig(lease=LEASE), web=WebConfig(enabled=False))


def assembled(db: Database, lease: float = LEASE, config: Config = CONFIG) -> Loops:
    """The loops of a server that offers nothing; none runs yet."""
    registration = Registration(uuid4(), "a", "1", [], 1, lease)
    return Loops.assemble(config, Catalog(), db, registration, {}, CaughtRunLogs())


async def test_every_loop_tells_when_it_must_have_come_round_again(
    db: Database, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is known to the health of the server, by its name, with the time that its pauses may take."""
    told: dict[str, float] = {}
    all_told = trio.Event()

    def came_round(_: LoopHealth, loop: str, next_within: float) -> None:
        told.setdefault(loop, next_within)
        if len(told) == 7:
            all_told.set()

    monkeypatch.setattr(LoopHealth, "came_round", came_round)
    loops = assembled(db)
    await loops.start_services(nursery, CONFIG)
    await nursery.start(loops.claim, nursery)
    await nursery.start(loops.fire)
    with trio.fail_after(20):
        await all_told.wait()
    # It sleeps until its next check.
    assert 0.0 <= told.pop("claim") <= LEASE / 2
    assert told == {
        "record": math.inf,
        "deliver": 30.0,
        "fire schedules": 30.0,
        "hear cancel requests": LEASE / 3,
        "recover": LEASE / 2,
        "listen": LEASE * 2 / 3,
    }
    nursery.cancel_scope.cancel()


async def test_a_server_without_a_lease_is_not_ready(db: Database, nursery: trio.Nursery) -> None:
    """It is told while there is no registration that holds, and not when there is one."""
    loops = assembled(db)
    assert loops.late() == ["heartbeat: the lease is lost"]
    await nursery.start(loops.heartbeat.run)
    assert loops.late() == []
    nursery.cancel_scope.cancel()


async def test_what_was_never_started_goes_back_before_a_server_starts_over(
    db: Database, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stands in the name of a lost registration, and that nobody executes, waits again; then everybody looks."""
    claimed = threading.Event()
    answers = iter([False])

    def beat(_: BlockingHeartbeat) -> bool:
        claimed.wait()
        return next(answers, True)

    monkeypatch.setattr(BlockingHeartbeat, "beat", beat)
    loops = assembled(db, lease=60.0)
    try:
        await nursery.start(loops.heartbeat.run)
        async with db.session() as session:
            run_id = await put_held(session, loops.heartbeat.server_id)
        workers, recovery = loops.wakeups.pending.listen(), loops.recovery.listen()
    finally:
        claimed.set()
    with trio.fail_after(20):
        await workers.wait()
        await recovery.wait()
    async with db.session() as session:
        (row,) = await look(session, "select status::text, server_id from job_runs where id = %s", run_id)
    assert row == {"status": "pending", "server_id": None}
    nursery.cancel_scope.cancel()


async def handler_of(attempt: Attempt, loops: Loops, takes: float, ends_after: float) -> None:
    """A handler that takes so long by itself, and so long to end when it is cut."""
    with attempt.scope:
        await trio.sleep(takes)
    if attempt.scope.cancelled_caught:
        with trio.CancelScope(shield=True):
            await trio.sleep(ends_after)
    loops.held.remove(attempt)


@pytest.mark.parametrize(
    ("takes", "ends_after", "until", "cut"),
    [(3.0, 0.0, 3.0, None), (math.inf, 2.0, 7.0, Cut.SHUTDOWN), (math.inf, 60.0, 5.0 + CUT_PATIENCE, Cut.SHUTDOWN)],
    ids=["ends in its grace", "ends when it is cut", "does not end"],
)
async def test_runs_have_their_grace_and_time_to_end_when_cut(
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    takes: float,
    ends_after: float,
    until: float,
    cut: Cut | None,
) -> None:
    """A run is cut when its grace is over, and one that has not ended a while later is named."""
    loops, attempt = assembled(Away()), make_attempt(never_looks)
    loops.held.add(attempt)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handler_of, attempt, loops, takes, ends_after)
        await loops.end_runs(5.0)
        assert (trio.current_time(), attempt.cut) == (until, cut)
        nursery.cancel_scope.cancel()
    is_named = any(f"run {attempt.ctx.run_id} of work does not end" in message for message in caplog.messages)
    assert is_named is (ends_after > CUT_PATIENCE)


async def test_a_server_that_leaves_gives_back_what_it_was_sending(db: Database) -> None:
    """Its notifications are free for others at once, and it is among the dead; those of others stay with them."""
    loops = assembled(db)
    ours = loops.heartbeat.server_id
    async with db.session() as session:
        other = await put_server(session)
        await put_server(session, id=ours)
        run_id = await put_run(session)
        sending = [await put_notification(session, run_id, server_id=one) for one in (ours, other)]
    await loops.end_services(LEASE)
    async with db.session() as session:
        held: dict[Any, Any] = {
            row["id"]: row["server_id"] for row in await look(session, "select * from notifications")
        }
        buried = await look(session, "select id from servers where buried_at is not null")
    assert held == {sending[0]: None, sending[1]: other}
    assert buried == [{"id": ours}]


async def test_a_server_that_cannot_leave_tries_until_its_lease_is_over(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While the database is away it tries twice a second, and then ends and says so."""
    db = Away()
    await assembled(db).end_services(LEASE)
    assert trio.current_time() == LEASE
    assert db.tries == pytest.approx(2 * LEASE, abs=1)
    assert "the database did not come back in time" in caplog.messages[-1]


@attrs.define(eq=False)
class Left(StandIn):
    """Stands for a database, and notes when a server has left."""

    at: list[float] = attrs.field(factory=list)

    async def release(self, _session: Any, _server: UUID) -> None:
        """Give notifications back."""

    async def leave(self, _session: Any, _server: UUID) -> None:
        """Note when."""
        self.at.append(trio.current_time())


@pytest.mark.parametrize(("lease", "until"), [(6.0, 3.0), (4 * SEND_PATIENCE, SEND_PATIENCE)])
async def test_what_is_being_sent_has_its_time_before_a_server_leaves(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, lease: float, until: float
) -> None:
    """A server that leaves waits five seconds for a notification that hangs, and never longer than half of its lease."""
    db = Left()
    db.answer_for(monkeypatch, notifications, "release")
    db.answer_for(monkeypatch, servers, "leave")
    loops = assembled(db)
    loops.delivery._sending["ear"] = 1
    await loops.end_services(lease)
    assert db.at == [until]


@pytest.mark.parametrize(("wakeups", "pooled"), [("listen", False), ("poll", True)])
def test_a_server_that_polls_may_be_behind_a_pooler(wakeups: Literal["listen", "poll"], pooled: bool) -> None:
    """Its heartbeat does not rely on a session of its own; where it can listen there is no pooler in between."""
    config = Config(server=ServerConfig(lease=LEASE, wakeups=wakeups), web=WebConfig(enabled=False))
    assert assembled(Away(), config=config).heartbeat._pooled is pooled
