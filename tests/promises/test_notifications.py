"""P9: told in the transaction that ends the run, tried until sent or given up, and never in the way of a run."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio

import owlrunner
from owlrunner.config import NotificationsConfig
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.plugins import Catalog, build_catalog
from owlrunner.storage import attempts, job_runs, notifications
from owlrunner.storage.attempts import FinishedAttempt
from tests.hostile_errors import HOSTILE
from tests.promises import promise_jobs
from tests.promises.serving import PATIENCE, Door, LogEar, Serve

OWNER = "owner@example.com"
QUICK = NotificationsConfig(alert_email=OWNER, retry_delay=0.01)
SERVER = UUID(int=1)


class Ear:
    """A notifier that hears what it is sent, and behaves as a test wants it to."""

    def __init__(self, behave: Callable[[owlrunner.Notification], Exception | None] = lambda _: None) -> None:
        self.heard: list[owlrunner.Notification] = []
        self._behave = behave
        self._more = trio.Event()

    async def send(self, notification: owlrunner.Notification) -> None:
        """Hear it, then do as told."""
        self.heard.append(notification)
        self._more.set()
        self._more = trio.Event()
        failure = self._behave(notification)
        if failure is not None:
            raise failure

    async def heard_of(self, count: int) -> Sequence[owlrunner.Notification]:
        """Wait until so many were heard."""
        with trio.fail_after(PATIENCE):
            while len(self.heard) < count:
                await self._more.wait()
        return self.heard


class Deaf:
    """A notifier that never comes back."""

    async def send(self, notification: owlrunner.Notification) -> None:
        """Hang."""
        del notification
        await trio.sleep_forever()


def offering(**notifiers: Any) -> Catalog:
    """The promise's job types, and these notifiers."""

    class Plugin:
        @owlrunner.hookimpl
        def owlrunner_notifiers(self, settings: owlrunner.Settings) -> dict[str, owlrunner.Notifier]:
            """Offer them."""
            del settings
            return notifiers

    return build_catalog({"promise_jobs": ("tests", promise_jobs, {}), "ears": ("tests", Plugin(), {})})


async def rules(door: Door, *notifiers: str, **values: Any) -> None:
    """Set the rules as a starting server would."""
    async with door.db.session() as session:
        await notifications.set_rules(session, NotificationsConfig(**values), list(notifiers))


async def told(door: Door, run_id: UUID) -> list[str]:
    """Who is to be told of a run."""
    rows = await door.sql("select recipient from notifications where run_id = %s order by recipient", run_id)
    return [row[0] for row in rows]


async def running(door: Door, job_type: str, **columns: Any) -> UUID:
    """A running run in the name of a server that nobody runs."""
    names = "".join(f", {name}" for name in columns)
    (row,) = await door.sql(
        f"insert into job_runs (job_type, triggered_by, status, server_id, attempt, started_at, exclusive{names})"
        f" values (%s, 'schedule', 'running', %s, 1, now(), false{', %s' * len(columns)}) returning id",
        job_type,
        SERVER,
        *columns.values(),
    )
    run_id: UUID = row[0]
    return run_id


async def end(door: Door, run_id: UUID, status: RunStatus) -> None:
    """End it as its server would."""
    if status is RunStatus.CANCELLED:
        await door.sql("update job_runs set cancel_requested_at = now() where id = %s", run_id)
    error = "it broke" if status is RunStatus.FAILED else None
    async with door.db.session() as session:
        finished = FinishedAttempt(run_id, 1, Outcome(status, error=error), None, None)
        assert not await attempts.finish(session, SERVER, [finished])


async def by_finish(door: Door) -> UUID:
    run_id = await running(door, "polite")
    await end(door, run_id, RunStatus.COMPLETED)
    return run_id


async def by_recovery(door: Door) -> UUID:
    run_id = await running(door, "polite")
    async with door.db.session() as session:
        await job_runs.fail_stale(session, 10)
    return run_id


async def by_recovery_of_what_waited(door: Door) -> UUID:
    run_id = await door.trigger("polite")
    async with door.db.session() as session:
        await job_runs.fail_waiting(session, uuid4(), 0, 10)
    return run_id


async def by_cancel_while_pending(door: Door) -> UUID:
    run_id = await door.trigger("polite")
    await door.cancel(run_id)
    return run_id


async def by_release_after_cancel(door: Door) -> UUID:
    run_id = await running(door, "polite", cancel_requested_at="now")
    async with door.db.session() as session:
        assert await attempts.release_unstarted(session, SERVER, []) == [run_id]
    return run_id


@pytest.mark.parametrize(
    "way", [by_finish, by_recovery, by_recovery_of_what_waited, by_cancel_while_pending, by_release_after_cancel]
)
async def test_whatever_ends_a_run_tells(door: Door, way: Any) -> None:
    """There is no way for a run to end that forgets its notification."""
    await rules(door, "ear", alert_email=OWNER)
    run_id = await way(door)
    assert (await door.view(run_id)).completed_at is not None
    assert await told(door, run_id) == [OWNER]


async def test_what_goes_back_is_not_told(door: Door) -> None:
    """A run that will be tried again has not ended."""
    await rules(door, "ear", alert_email=OWNER)
    run_id = await running(door, "polite", max_attempts=2)
    await end(door, run_id, RunStatus.PENDING)
    assert (await door.view(run_id)).status is RunStatus.PENDING
    assert await told(door, run_id) == []


C, F, X = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED


@pytest.mark.parametrize(
    ("alerts", "ends", "alarms"),
    [
        ("all", [C, F, X], [True, True, True]),
        ("failures", [C, F, F, X, C], [False, True, True, False, False]),
        ("changes", [C, F, F, C, C], [False, True, False, True, False]),
        ("changes", [F, X, F, X, C], [True, False, False, False, True]),
    ],
)
async def test_alerts(door: Door, alerts: str, ends: list[RunStatus], alarms: list[bool]) -> None:
    """The owner hears of all ends, of failures, or of the first failure and of the recovery from it."""
    await rules(door, "ear", alert_email=OWNER, alerts=alerts)
    heard = []
    for status in ends:
        run_id = await running(door, "polite")
        await end(door, run_id, status)
        heard.append(await told(door, run_id) == [OWNER])
    assert heard == alarms


async def test_each_type_has_its_own_changes(door: Door) -> None:
    """That another job type failed before does not keep a failure quiet."""
    await rules(door, "ear", alert_email=OWNER, alerts="changes")
    for job_type in ("polite", "deaf"):
        run_id = await running(door, job_type)
        await end(door, run_id, RunStatus.FAILED)
        assert await told(door, run_id) == [OWNER]


@attrs.frozen
class People:
    """A user, and a key that the user made."""

    user: UUID
    key: UUID


@pytest.fixture
async def people(door: Door, project: tuple[UUID, UUID]) -> People:
    """An admin of the project's team, with a key that has been deleted since."""
    (user,) = await door.sql("insert into users (email, name) values ('ann@acme.test', 'Ann') returning id")
    await door.sql("insert into team_members (team_id, user_id, role) values (%s, %s, 'admin')", project[0], user[0])
    (key,) = await door.sql(
        "insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions, deleted_at)"
        " values ('hash', 'owl', 'agent', %s, 'Key', %s, '[]', now()) returning id",
        project[0],
        user[0],
    )
    return People(user[0], key[0])


@pytest.mark.parametrize(
    ("trigger", "notify", "expected"),
    [
        ("manual:user:{user}", True, ["ann@acme.test"]),
        ("manual:api_key:{key}", True, ["ann@acme.test"]),
        ("manual:user:{user}", False, []),
        ("operator", True, []),
        ("schedule", True, []),
    ],
)
async def test_notify(
    door: Door, people: People, project: tuple[UUID, UUID], trigger: str, *, notify: bool, expected: list[str]
) -> None:
    """Who asked to be told is: the user who triggered, or the one who made the key that did; and nobody is told of others' runs."""
    await rules(door, "ear", alert_email=OWNER)
    run_id = await running(door, "project_work", team_id=project[0], project_id=project[1], notify=notify)
    by = trigger.format(user=people.user, key=people.key)
    await door.sql("update job_runs set triggered_by = %s where id = %s", by, run_id)
    await end(door, run_id, RunStatus.COMPLETED)
    assert await told(door, run_id) == expected


@pytest.mark.parametrize(
    "leaving",
    [
        "delete from team_members",
        "update team_members set role = 'member'",
        "update teams set deleted_at = now()",
    ],
)
@pytest.mark.parametrize("before_the_end", [True, False])
async def test_who_may_not_read_a_run_is_not_told_of_it(
    door: Door, serve: Serve, people: People, project: tuple[UUID, UUID], leaving: str, *, before_the_end: bool
) -> None:
    """Who left the team, lost the role or whose team is gone gets nothing, also when that happened while the message waited."""
    await rules(door, "ear", alert_email="")
    run_id = await running(door, "project_work", team_id=project[0], project_id=project[1], notify=True)
    await door.sql("update job_runs set triggered_by = %s where id = %s", f"manual:user:{people.user}", run_id)
    if before_the_end:
        await door.sql(leaving)
        await end(door, run_id, RunStatus.COMPLETED)
        assert await told(door, run_id) == []
        return
    await end(door, run_id, RunStatus.COMPLETED)
    await door.sql(leaving)
    ear = Ear()
    await serve(offering(ear=ear), attrs.evolve(QUICK, alert_email=""))
    await settled(door, [("given_up", 0, "the recipient may not read the run any more")])
    assert ear.heard == []


async def test_runs_that_end_in_one_statement_are_one_change(door: Door) -> None:
    """Three runs of a job type that fail in one statement after a success give one alert about the change."""
    await rules(door, "ear", alert_email=OWNER, alerts="changes")
    await end(door, await running(door, "parallel"), RunStatus.COMPLETED)
    failed = [await running(door, "parallel") for _ in range(3)]
    async with door.db.session() as session:
        outcome = Outcome(RunStatus.FAILED, error="it broke")
        await attempts.finish(session, SERVER, [FinishedAttempt(run_id, 1, outcome, None, None) for run_id in failed])
    assert [await told(door, run_id) for run_id in sorted(failed)] == [[OWNER], [], []]


async def test_one_address_is_told_once(door: Door, people: People) -> None:
    """An owner who is both the alerts' recipient and the requester gets one notification by each notifier."""
    await rules(door, "ear", "other", alert_email="ann@acme.test")
    run_id = await running(door, "polite", notify=True)
    await door.sql("update job_runs set triggered_by = %s where id = %s", f"manual:user:{people.user}", run_id)
    await end(door, run_id, RunStatus.COMPLETED)
    assert await told(door, run_id) == ["ann@acme.test", "ann@acme.test"]


async def test_nobody_is_told_without_an_address(door: Door) -> None:
    """Without an address for alerts, system runs end quietly."""
    await rules(door, "ear", alert_email="")
    assert await told(door, await by_finish(door)) == []


async def test_delivered(door: Door, serve: Serve) -> None:
    """The notifier is handed the run as it ended, once, and the outbox says sent."""
    ear = Ear()
    await serve(offering(ear=ear), QUICK)
    run_id = await door.trigger("polite", params={"steps": 1})
    (heard,) = await ear.heard_of(1)
    assert heard.run is not None
    assert (heard.run.id, heard.run.status, heard.recipient) == (run_id, RunStatus.COMPLETED, OWNER)
    assert heard.run.result == {"done": 1}
    assert heard.title == "✅ Job completed: Polite"
    await settled(door, [("sent", 1, None)])
    assert len(ear.heard) == 1


async def settled(door: Door, expected: list[tuple[str, int, str | None]]) -> None:
    """Wait until so many notifications are sent or given up, and compare: (status, tries, last error)."""
    async with door.db.dedicated() as connection:
        await connection.execute("listen changed")
        with trio.fail_after(PATIENCE):
            async with contextlib.aclosing(connection.notifies()) as changes:
                while True:
                    rows = await door.sql("select status::text, attempt, last_error from notifications order by id")
                    if len(rows) == len(expected) and all(row[0] != "pending" for row in rows):
                        break
                    await anext(changes)
    assert rows == expected


async def test_tried_again(door: Door, serve: Serve) -> None:
    """A notifier that fails is asked again, with the same id, until it succeeds; groups and exits are failures like others."""
    failures = iter([ValueError("no owls"), ExceptionGroup("many", [OSError("1")]), SystemExit(3)])
    ear = Ear(lambda _: next(failures, None))  # type: ignore[arg-type, return-value]
    await serve(offering(ear=ear), QUICK)
    await door.trigger("polite", params={"steps": 1})
    heard = await ear.heard_of(4)
    assert {one.id for one in heard} == {heard[0].id}
    assert [one.attempt for one in heard] == [1, 2, 3, 4]
    await settled(door, [("sent", 4, None)])


async def test_given_up_at_once(door: Door, serve: Serve, log_ear: LogEar) -> None:
    """What can never be delivered is not tried again; the outbox and the log say why."""
    ear = Ear(lambda _: owlrunner.Undeliverable("550 no such owl"))
    await serve(offering(ear=ear), QUICK)
    await door.trigger("polite", params={"steps": 1})
    await log_ear.heard("given up at try 1: 550 no such owl")
    await settled(door, [("given_up", 1, "550 no such owl")])


async def test_given_up_in_the_end(door: Door, serve: Serve, log_ear: LogEar) -> None:
    """What cannot be delivered for long is given up, but never before five tries."""
    ear = Ear(lambda _: ValueError("no owls"))
    await serve(offering(ear=ear), attrs.evolve(QUICK, give_up_after=0.001))
    await door.trigger("polite", params={"steps": 1})
    await log_ear.heard("given up at try 5")
    await settled(door, [("given_up", 5, "ValueError: no owls")])


async def test_a_hanging_notifier_delays_nobody(door: Door, serve: Serve) -> None:
    """While one notifier hangs with all it can hold, runs end and the other notifier sends."""
    ear = Ear()
    await serve(offering(ear=ear, deaf=Deaf()), QUICK)
    for _ in range(20):
        await door.trigger("parallel", params={"steps": 1})
    await ear.heard_of(20)
    counts = await door.sql("select notifier, status::text, count(*) from notifications group by 1, 2 order by 1, 2")
    assert ("deaf", "pending", 20) in counts


async def test_a_hanging_try_is_cut_off(door: Door, serve: Serve) -> None:
    """A try that takes too long has failed, and the next one may succeed."""

    class SlowOnce(Ear):
        async def send(self, notification: owlrunner.Notification) -> None:
            """Hang the first time."""
            await super().send(notification)
            if notification.attempt == 1:
                await trio.sleep_forever()

    ear = SlowOnce()
    await serve(offering(ear=ear), attrs.evolve(QUICK, send_timeout=0.05))
    await door.trigger("polite", params={"steps": 1})
    await ear.heard_of(2)
    await settled(door, [("sent", 2, None)])


async def test_servers_share_the_outbox(door: Door, serve: Serve) -> None:
    """With two servers every notification is sent once."""
    ears = [Ear(), Ear()]
    for number, ear in enumerate(ears):
        await serve(offering(ear=ear), QUICK, name=f"server {number}")
    for _ in range(30):
        await door.trigger("parallel", params={"steps": 1})
    await settled(door, [("sent", 1, None)] * 30)
    heard = [one.run and one.run.id for ear in ears for one in ear.heard]
    assert len(heard) == len(set(heard)) == 30


async def test_a_dead_servers_try_is_taken_over(door: Door, serve: Serve) -> None:
    """What a dead server was about to send is sent at once by the next one, without waiting for the try's time to pass."""
    await rules(door, "ear", alert_email=OWNER)
    await by_finish(door)
    async with door.db.session() as session:
        assert len(await notifications.claim_due(session, SERVER, {"ear": 1}, patience=3600.0)) == 1
    ear = Ear()
    await serve(offering(ear=ear), QUICK)
    (heard,) = await ear.heard_of(1)
    assert heard.attempt == 2


async def test_a_late_word_is_not_heard(door: Door) -> None:
    """A server whose try was taken over cannot say any more how it ended."""
    await rules(door, "ear", alert_email=OWNER)
    await by_finish(door)
    async with door.db.session() as session:
        (first,) = await notifications.claim_due(session, SERVER, {"ear": 1}, patience=0.0)
        (second,) = await notifications.claim_due(session, UUID(int=2), {"ear": 1}, patience=60.0)
        ended: dict[str, Any] = {"for_good": True, "retry_in": 0.0, "give_up_after": 60.0}
        assert await notifications.settle(session, SERVER, first, error="too late", **ended) is None
        assert await notifications.settle(session, UUID(int=2), second, error=None, **ended) == "sent"


class Panic(BaseException):
    """As extension modules raise it."""


RAISED: dict[str, Callable[[], BaseException]] = {
    "panic": lambda: Panic("out of luck"),
    "interrupt": KeyboardInterrupt,
    "exit": GeneratorExit,
    **HOSTILE,
}


async def test_a_notifier_that_raises_anything_ends_its_own_try(door: Door, serve: Serve) -> None:
    """Whatever a notifier raises, the server goes on, and the notification is tried again."""
    ways = list(RAISED.values())
    raised: dict[UUID, BaseException] = {}

    class Rogue:
        async def send(self, notification: owlrunner.Notification) -> None:
            """Raise something else for each notification, once."""
            if notification.id not in raised:
                raised[notification.id] = ways.pop()()
                raise raised[notification.id]

    await serve(offering(ear=Rogue()), QUICK)
    for _ in RAISED:
        await door.trigger("parallel", params={"steps": 1, "seconds": 0})
    await settled(door, [("sent", 2, None)] * len(RAISED))
    assert ways == []


async def test_a_notification_that_ends_its_servers_is_given_up(door: Door) -> None:
    """Each try is counted before it can end the process: after ten dead servers nobody tries again."""
    await rules(door, "ear", alert_email=OWNER)
    await by_finish(door)
    for number in range(1, 11):
        await door.sql("update notifications set server_id = gen_random_uuid() where status = 'pending'")
        async with door.db.session() as session:
            await notifications.release_of_dead(session)
        [(status, restarts)] = await door.sql("select status::text, restarts from notifications")
        assert (status, restarts) == ("pending" if number < 10 else "given_up", number)
