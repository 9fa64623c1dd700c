"""The loop that sends notifications, in virtual time; the outbox is a list, the notifier does what a test says."""

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio
import trio.testing

import owlrunner
from owlrunner.config import NotificationsConfig
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.runtime.delivery import MAX_SENDING, OUTAGE_DELAY, SETTLE_PATIENCE, Deliverer, Delivery
from owlrunner.storage import notifications
from owlrunner.storage.notifications import ClaimedNotification
from owlrunner.storage.wakeups import Bell
from tests.runtime.stand_in import StandIn
from tests.test_execution import never_looks

SERVER = uuid4()
CONFIG = NotificationsConfig(send_timeout=30.0, retry_delay=10.0)
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def run_of(job_type: str = "night_watch", team_id: UUID | None = None) -> JobRun:
    """A run that has completed."""
    fields: dict[str, Any] = dict.fromkeys(field.name for field in attrs.fields(JobRun))
    return JobRun(
        **fields
        | {
            "id": UUID(int=7),
            "job_type": job_type,
            "status": RunStatus.COMPLETED,
            "team_id": team_id,
            "created_at": THEN,
        }
    )


def claimed(notifier: str = "ear", **values: Any) -> ClaimedNotification:
    """A notification that has just been taken."""
    one = ClaimedNotification(uuid4(), notifier, "ada@acme.test", 1, None, None, False, THEN, run_of())
    return one._replace(**values)


@attrs.define(eq=False)
class Outbox(StandIn):
    """Stands for the database and its outbox."""

    waiting: list[ClaimedNotification] = attrs.field(factory=list)
    due: float | None = None
    looks: list[tuple[float, Mapping[str, int]]] = attrs.field(factory=list)
    """When it was looked at, and how many each notifier had room for."""
    patience: set[float] = attrs.field(factory=set)
    settled: list[tuple[float, UUID, str | None, bool, float]] = attrs.field(factory=list)
    slow: float = 0.0

    async def claim_due(
        self, _: Any, server: UUID, rooms: Mapping[str, int], patience: float
    ) -> list[ClaimedNotification]:
        """Hand out what there is room for."""
        assert server == SERVER
        self.looks.append((trio.current_time(), dict(rooms)))
        self.patience.add(patience)
        taken = [one for name in rooms for one in [one for one in self.waiting if one.notifier == name][: rooms[name]]]
        self.waiting = [one for one in self.waiting if one not in taken]
        return taken

    async def next_due(self, _: Any, names: list[str]) -> float | None:
        """Tell when there is something."""
        assert names
        return self.due

    async def settle(self, _: Any, server: UUID, one: ClaimedNotification, **about: Any) -> str | None:
        """Note how a try ended."""
        assert server == SERVER
        await trio.sleep(self.slow)
        self.settled.append((trio.current_time(), one.id, about["error"], about["for_good"], about["retry_in"]))
        return "sent" if about["error"] is None else "given_up" if about["for_good"] else "pending"


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """In the place of the database."""
    outbox = Outbox()
    outbox.answer_for(monkeypatch, notifications, "claim_due", "next_due", "settle")
    return outbox


@attrs.frozen
class Ear:
    """A notifier that does what a test says."""

    do: Callable[[owlrunner.Notification], Awaitable[None]]

    async def send(self, notification: owlrunner.Notification) -> None:
        """Do it."""
        await self.do(notification)


async def nothing(_: owlrunner.Notification) -> None:
    """Be done at once."""


@contextlib.asynccontextmanager
async def delivering(
    outbox: Outbox,
    bell: Bell | None = None,
    rounds: list[float] | None = None,
    config: NotificationsConfig = CONFIG,
    **does: Any,
) -> AsyncIterator[Delivery]:
    """Let the loop run, with these notifiers, as long as the block lasts."""

    async def joined() -> UUID:
        return SERVER

    delivery = Delivery(
        outbox,
        Deliverer({name: Ear(do) for name, do in does.items()}, {}, ""),
        config,
        bell=bell or Bell(),
        joined=joined,
        longest_sleep=100.0,
        on_round=(rounds if rounds is not None else []).append,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delivery.run)
        await trio.testing.wait_all_tasks_blocked()
        yield delivery
        nursery.cancel_scope.cancel()


async def test_the_outbox_is_looked_at_when_something_may_be_due(
    outbox: Outbox, autojump_clock: trio.testing.MockClock
) -> None:
    """At each ring, when the next one is due, a second later where another server has it in its hands, and now and then."""
    bell = Bell()
    rounds: list[float] = []
    async with delivering(outbox, bell, rounds, ear=nothing):
        start = trio.current_time()
        await trio.sleep(150)
        outbox.due = 30.0
        bell.ring()
        await trio.sleep(40)
        outbox.due = -5.0
        bell.ring()
        await trio.sleep(2.5)
    looks = [round(at - start) for at, _ in outbox.looks]
    assert looks == [0, 100, 150, 180, 190, 191, 192]
    assert rounds == [100.0, 100.0, 30.0, 30.0, OUTAGE_DELAY, OUTAGE_DELAY, OUTAGE_DELAY]
    assert outbox.patience == {2 * CONFIG.send_timeout}


async def test_each_notifier_sends_so_many_at_once(outbox: Outbox, autojump_clock: trio.testing.MockClock) -> None:
    """One that is full is not asked for more until one of its own has ended; another one goes on."""
    gate = trio.Event()

    async def wait(_: owlrunner.Notification) -> None:
        await gate.wait()

    outbox.waiting = [claimed("slow") for _ in range(MAX_SENDING + 2)]
    async with delivering(outbox, slow=wait, quick=nothing) as delivery:
        assert outbox.looks[0][1] == {"slow": MAX_SENDING, "quick": MAX_SENDING}
        assert outbox.looks[-1][1] == {"quick": MAX_SENDING}
        assert len(outbox.waiting) == 2
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.waiting == []
        await delivery.all_settled()
        assert outbox.looks[-1][1] == {"slow": MAX_SENDING, "quick": MAX_SENDING}
    assert len(outbox.settled) == MAX_SENDING + 2


async def test_the_last_place_is_offered(outbox: Outbox, autojump_clock: trio.testing.MockClock) -> None:
    """A notifier that sends all but one of as many as it may is asked for one more."""

    async def wait(_: owlrunner.Notification) -> None:
        await trio.sleep_forever()

    outbox.waiting = [claimed() for _ in range(MAX_SENDING - 1)]
    async with delivering(outbox, ear=wait):
        assert outbox.looks[-1][1] == {"ear": 1}


async def test_one_that_is_full_alone_asks_for_nothing(outbox: Outbox, autojump_clock: trio.testing.MockClock) -> None:
    """With every notifier busy nothing is asked of the database until one has ended."""
    outbox.waiting = [claimed() for _ in range(MAX_SENDING)]
    outbox.due = 0.0

    async def wait(_: owlrunner.Notification) -> None:
        await trio.sleep(20)

    async with delivering(outbox, ear=wait):
        looks = len(outbox.looks)
        await trio.sleep(19)
        assert len(outbox.looks) == looks
        await trio.sleep(2)
        assert len(outbox.looks) > looks


async def test_how_a_try_ended_is_written_down(
    outbox: Outbox, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Sent, given up, or to be tried again later and later; what hangs is cut off."""
    first, again, never, hangs = claimed(), claimed(attempt=3), claimed(), claimed()

    async def do(notification: owlrunner.Notification) -> None:
        if notification.id == again.id:
            raise ValueError("not now")
        if notification.id == never.id:
            raise owlrunner.Undeliverable("no such owl")
        if notification.id == hangs.id:
            await trio.sleep_forever()

    outbox.waiting = [first, again, never, hangs]
    with caplog.at_level(logging.INFO):
        async with delivering(outbox, ear=do) as delivery:
            start = trio.current_time()
            await delivery.all_settled()
            assert trio.current_time() - start == pytest.approx(CONFIG.send_timeout)
    ends = {which: (error, for_good) for _, which, error, for_good, _ in outbox.settled}
    assert ends == {
        first.id: (None, False),
        again.id: ("ValueError: not now", False),
        never.id: ("no such owl", True),
        hangs.id: ("TimeoutError: not sent within 30 seconds", False),
    }
    pauses = {which: retry_in for _, which, _, _, retry_in in outbox.settled}
    assert 30 < pauses[again.id] < 50
    assert 7 < pauses[hangs.id] < 13
    lines = {
        record.getMessage().partition(" about ")[0].removeprefix("notification "): record for record in caplog.records
    }
    assert {
        which: (lines[str(which)].levelname, lines[str(which)].getMessage().rpartition(" by ear: ")[2])
        for which in ends
    } == {
        first.id: ("INFO", "sent"),
        again.id: ("WARNING", "try 3 failed, to be tried again: ValueError: not now"),
        never.id: ("ERROR", "given up at try 1: no such owl"),
        hangs.id: ("WARNING", "try 1 failed, to be tried again: TimeoutError: not sent within 30 seconds"),
    }


async def test_the_end_of_a_try_waits_for_the_database(outbox: Outbox, autojump_clock: trio.testing.MockClock) -> None:
    """It was sent, so that is written down when the database is back, each second a try, and it is not sent again."""
    sent: list[float] = []

    async def do(_: owlrunner.Notification) -> None:
        sent.append(trio.current_time())
        outbox.away = 3

    outbox.waiting = [claimed()]
    async with delivering(outbox, ear=do) as delivery:
        await delivery.all_settled()
    assert len(sent) == 1
    ((at, _, error, _, _),) = outbox.settled
    assert error is None
    # The loop that looks has met the outage, too.
    assert OUTAGE_DELAY <= at - sent[0] <= 3 * OUTAGE_DELAY


async def test_an_end_that_takes_too_long_to_write_down_is_written_again(
    outbox: Outbox, autojump_clock: trio.testing.MockClock
) -> None:
    """A statement that hangs is given up after a while and sent again, as long as it takes; the notification is sent once."""
    sent: list[float] = []

    async def do(_: owlrunner.Notification) -> None:
        sent.append(trio.current_time())

    outbox.slow = math.inf
    outbox.waiting = [claimed()]
    async with delivering(outbox, ear=do) as delivery:
        await trio.sleep(3 * SETTLE_PATIENCE)
        assert outbox.settled == []
        outbox.slow = 0.0
        await delivery.all_settled()
    assert (len(sent), len(outbox.settled)) == (1, 1)


async def test_a_long_first_pause_is_kept(outbox: Outbox, autojump_clock: trio.testing.MockClock) -> None:
    """Who wants two hours between the tries gets them at every try, though pauses do not grow beyond one hour otherwise."""

    async def fail(_: owlrunner.Notification) -> None:
        raise ValueError("not now")

    hours = NotificationsConfig(send_timeout=30.0, retry_delay=7200.0)
    for config, longest in ((hours, 7200), (CONFIG, 3600)):
        outbox.waiting = [claimed(attempt=1000)]
        async with delivering(outbox, config=config, ear=fail) as delivery:
            await delivery.all_settled()
        pause = outbox.settled[-1][-1]
        assert longest * 0.75 <= pause <= longest


async def test_a_stopping_server_writes_down_what_it_has_sent(
    outbox: Outbox, autojump_clock: trio.testing.MockClock
) -> None:
    """When the loop is cancelled a try that has ended is settled all the same, within a limit; one under way is not."""
    outbox.slow = SETTLE_PATIENCE - 1
    outbox.waiting = [claimed(), claimed("hangs")]

    async def hang(_: owlrunner.Notification) -> None:
        await trio.sleep_forever()

    async with delivering(outbox, ear=nothing, hangs=hang):
        assert outbox.settled == []
        start = trio.current_time()
    assert [round(at - start) for at, *_ in outbox.settled] == [SETTLE_PATIENCE - 1]
    outbox.slow = SETTLE_PATIENCE + 1
    outbox.waiting = [claimed()]
    async with delivering(outbox, ear=nothing):
        start = trio.current_time()
    assert trio.current_time() - start == pytest.approx(SETTLE_PATIENCE)
    assert len(outbox.settled) == 1


def test_what_a_notifier_is_handed() -> None:
    """The facts of the run, what people call it, and where it can be looked at, if that is anywhere."""
    job_type = owlrunner.job_type(scope="system", name="night_watch", label="Watch")(never_looks)
    deliverer = Deliverer({}, {"night_watch": job_type}, "https://owl.example/")
    of_team = run_of("acme_sync", UUID(int=9))
    one = claimed(run=of_team, attempt=4, project="Site", team="Acme", stranded=True)
    told = deliverer.compose(one)
    assert (told.id, told.recipient, told.run, told.label, told.attempt) == (
        one.id,
        "ada@acme.test",
        of_team,
        "Acme Sync",
        4,
    )
    assert (told.project, told.team, told.stranded) == ("Site", "Acme", True)
    assert told.link == f"https://owl.example/dashboard/jobs/{of_team.id}"
    of_system = deliverer.compose(claimed())
    assert (of_system.label, of_system.link) == ("Watch", None)
    assert Deliverer({}, {}, "").compose(one).link is None
