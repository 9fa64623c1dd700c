"""The statements on notifications: who takes which, how a try is settled, and what becomes of those that a server leaves behind."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest

from owlrunner.missed_fires import MissedFires
from owlrunner.runtime.firing import NOBODY
from owlrunner.storage import notifications, overview
from owlrunner.storage.notifications import ClaimedNotification
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_run, put_server, rings, value

OWNER = "owner@acme.test"
ONE = datetime(2026, 1, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def put_notification(session: Session, run_id: UUID, **values: Any) -> UUID:
    """A notification that is due."""
    about = {"run_id": run_id, "notifier": "mail", "recipient": str(uuid4()), "due_at": now()} | values
    if about.get("status", "pending") != "pending":
        about = {"settled_at": now(-1), "last_error": "x"} | about
    notification_id: UUID = (await put(session, "notifications", **about))["id"]
    return notification_id


async def stored(session: Session) -> dict[UUID, dict[str, Any]]:
    """Every notification, by its id."""
    return {row["id"]: row for row in await look(session, "select * from notifications")}


async def claim(session: Session, server_id: UUID, **rooms: int) -> list[ClaimedNotification]:
    """Take what is due."""
    return await notifications.claim_due(session, server_id, rooms or {"mail": 9}, 60)


async def put_projects_run(session: Session, **values: Any) -> tuple[UUID, UUID]:
    """A run of a project that a user triggered, and the user."""
    team = (await put(session, "teams", name="Acme", slug="acme"))["id"]
    project = (await put(session, "projects", team_id=team, name="Site", slug="site"))["id"]
    user = (await put(session, "users", email="ann@acme.test", name="Ann"))["id"]
    await put(session, "team_members", team_id=team, user_id=user, role="admin")
    by = f"manual:user:{user}"
    return await put_run(session, team_id=team, project_id=project, triggered_by=by, **values), user


async def test_what_is_due_is_taken(db: Database) -> None:
    """Those that have waited longest, as many as there is room for with each notifier; nothing later, settled, or another's."""
    async with db.session() as session, session.transaction():
        server_id, run_id = await put_server(session), await put_run(session)
        mails = [await put_notification(session, run_id, due_at=now(seconds)) for seconds in (-1, -9, 0, -5)]
        hook = await put_notification(session, run_id, notifier="hook")
        for values in ({"due_at": now(0.001)}, {"status": "sent"}, {"status": "given_up"}, {"notifier": "other"}):
            await put_notification(session, run_id, **values)
        before = await stored(session)
        taken = await claim(session, server_id, mail=2, hook=5)
        assert {one.id for one in taken} == {mails[1], mails[3], hook}
        after, later = await stored(session), await value(session, now(60))
        assert {one for one in after if after[one] != before[one]} == {mails[1], mails[3], hook}
        for one in taken:
            row = after[one.id]
            assert one.run is not None
            assert (row["attempt"], row["server_id"], row["due_at"], row["status"]) == (1, server_id, later, "pending")
            assert (one.attempt, one.run.id, one.project, one.team, one.stranded) == (1, run_id, None, None, False)
        assert {one.id for one in await claim(session, server_id)} == {mails[0], mails[2]}


async def test_what_is_being_taken_is_left_alone(db: Database) -> None:
    """A notification that another server is taking this moment is not waited for."""
    async with db.session() as session:
        server_id, run_id = await put_server(session), await put_run(session)
        first, second = await put_notification(session, run_id), await put_notification(session, run_id)
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from notifications where id = %s for update", [first])
            assert [one.id for one in await claim(session, server_id)] == [second]


async def test_who_may_not_read_a_run_any_more_is_told_nothing(db: Database) -> None:
    """What somebody asked for is sent to them as long as they are a member, and given up afterwards."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        run_id, user = await put_projects_run(session)
        # Others' runs and teams are nothing to it.
        await put_run(session)
        await put(session, "teams", name="Rival", slug="rival")
        asked = await put_notification(session, run_id, recipient="ann@acme.test")
        other = await put_notification(session, run_id, recipient="bob@acme.test")
        (taken,) = await claim(session, server_id)
        assert (taken.id, taken.project, taken.team) == (asked, "Site", "Acme")
        row = (await stored(session))[other]
        assert (row["status"], row["settled_at"]) == ("given_up", await value(session, now()))
        assert row["last_error"] == "the recipient may not read the run any more"
        await session.connection.execute(b"update notifications set due_at = owl_now() where id = %s", [asked])
        await session.connection.execute(b"delete from team_members where user_id = %s", [user])
        assert await claim(session, server_id) == []
        assert (await stored(session))[asked]["status"] == "given_up"


async def settled(session: Session, server_id: UUID, claimed: ClaimedNotification, **values: Any) -> str | None:
    """Settle a try that failed, unless told otherwise."""
    about: dict[str, Any] = {"error": "busy", "for_good": False, "retry_in": 30.0, "give_up_after": 3600.0} | values
    return await notifications.settle(session, server_id, claimed, **about)


@pytest.mark.parametrize(
    ("attempt", "age", "values", "wanted"),
    [
        (1, 0, {"error": None}, "sent"),
        (1, 0, {"error": None, "for_good": True}, "sent"),
        (1, 0, {}, "pending"),
        (1, 0, {"for_good": True}, "given_up"),
        (4, 9999, {}, "pending"),
        (5, 3600, {}, "pending"),
        (5, 3600.001, {}, "given_up"),
        (9, 0, {}, "pending"),
    ],
)
async def test_how_tries_end(db: Database, attempt: int, age: float, values: dict[str, Any], wanted: str) -> None:
    """Sent without an error; given up for good, or when it is too old after five tries; else due again later."""
    async with db.session() as session, session.transaction():
        server_id, run_id = await put_server(session), await put_run(session)
        one = await put_notification(session, run_id, attempt=attempt - 1, created_at=now(-age))
        other = await put_notification(session, run_id, server_id=server_id, attempt=attempt, due_at=now(99))
        before = (await stored(session))[other]
        (taken,) = await claim(session, server_id)
        assert await settled(session, server_id, taken, **values) == wanted
        row, at = (await stored(session))[one], await value(session, now())
        assert (row["status"], row["server_id"]) == (wanted, None)
        assert row["last_error"] == (None if wanted == "sent" else "busy")
        assert row["settled_at"] == (None if wanted == "pending" else at)
        if wanted == "pending":
            assert row["due_at"] == await value(session, now(30))
        assert (await stored(session))[other] == before


async def test_only_who_holds_a_try_settles_it(db: Database) -> None:
    """Another server, an earlier try, and what is settled already get no answer and change nothing."""
    async with db.session() as session, session.transaction():
        server_id, run_id = await put_server(session), await put_run(session)
        await put_notification(session, run_id, attempt=1)
        (taken,) = await claim(session, server_id)
        assert taken.attempt == 2
        before = await stored(session)
        assert await settled(session, uuid4(), taken) is None
        assert await settled(session, server_id, taken._replace(attempt=1)) is None
        assert await settled(session, server_id, taken._replace(id=uuid4())) is None
        assert await stored(session) == before
        assert await settled(session, server_id, taken, error=None) == "sent"
        await session.connection.execute(b"update notifications set server_id = %s", [server_id])
        assert await settled(session, server_id, taken) is None


async def test_when_the_next_is_due(db: Database) -> None:
    """The earliest that waits, of those notifiers alone."""
    async with db.session() as session, session.transaction():
        run_id = await put_run(session)
        assert await notifications.next_due(session, ["mail"]) is None
        for values in (
            {"due_at": now(60)},
            {"due_at": now(30)},
            {"due_at": now(-5), "status": "sent"},
            {"due_at": now(-5), "notifier": "hook"},
        ):
            await put_notification(session, run_id, **values)
        assert await notifications.next_due(session, ["mail", "other"]) == 30
        assert await notifications.next_due(session, ["mail", "hook"]) == -5


async def test_a_server_that_leaves_gives_back_what_it_was_sending(db: Database) -> None:
    """Its own alone, due at once, and the others are woken; where it was sending nothing nobody is."""
    async with db.session() as session:
        ours, theirs, run_id = await put_server(session), await put_server(session), await put_run(session)
        held = {"server_id": ours, "due_at": now(60)}
        mine = await put_notification(session, run_id, **held)
        for values in (held | {"server_id": theirs}, held | {"status": "sent"}, {"due_at": now(60)}):
            await put_notification(session, run_id, **values)
        before = await stored(session)
        async with rings(db, "owlrunner_notifications") as heard:
            await notifications.release(session, ours)
        assert heard == ["owlrunner_notifications"]
        after = await stored(session)
        assert {one for one in after if after[one] != before[one]} == {mine}
        assert after[mine]["server_id"] is None
        assert after[mine]["due_at"] < before[mine]["due_at"]
        async with rings(db, "owlrunner_notifications") as heard:
            await notifications.release(session, ours)
        assert heard == []


async def test_what_dead_servers_were_sending_is_sent_by_others(db: Database) -> None:
    """Due at once, and given up with the tenth server that died of it; what the living send, and what is settled, stays."""
    async with db.session() as session, session.transaction():
        living, dead = await put_server(session), await put_server(session, buried_at=now(-1))
        run_id, at = await put_run(session), await value(session, now())
        held = {"server_id": dead, "due_at": now(60), "last_error": "busy"}
        again = [
            await put_notification(session, run_id, **held, restarts=8),
            await put_notification(session, run_id, **held | {"server_id": uuid4()}),
        ]
        over = await put_notification(session, run_id, **held, restarts=9)
        for values in (held | {"server_id": living}, held | {"status": "given_up"}, held | {"server_id": None}):
            await put_notification(session, run_id, **values)
        before = await stored(session)
        await notifications.release_of_dead(session)
        after = await stored(session)
        assert {one for one in after if after[one] != before[one]} == {*again, over}
        marks = ("server_id", "due_at", "status", "settled_at", "last_error")
        for one in again:
            assert [after[one][mark] for mark in marks] == [None, at, "pending", None, "busy"]
        assert [after[one]["restarts"] for one in again] == [9, 1]
        assert [after[over][mark] for mark in marks] == [
            None, at, "given_up", at, "ten servers have died while they were sending it",
        ]  # fmt: skip


@pytest.mark.parametrize("dead", [True, False])
async def test_what_dead_servers_were_sending_rings(db: Database, dead: bool) -> None:
    """Somebody is woken only where there is something to send."""
    async with db.session() as session:
        server_id, run_id = await put_server(session, buried_at=now(-1) if dead else None), await put_run(session)
        await put_notification(session, run_id, server_id=server_id)
        async with rings(db, "owlrunner_notifications") as heard:
            await notifications.release_of_dead(session)
        assert heard == ["owlrunner_notifications"] * dead


@pytest.mark.parametrize("recipient", [OWNER, ""])
async def test_the_owner_is_told_once_of_what_nobody_can_execute(db: Database, recipient: str) -> None:
    """Through each notifier of the rules, where there is an address; a second time changes nothing and wakes nobody."""
    async with db.session() as session:
        run_id = await put_run(session)
        await put(session, "notification_rules", alert_email=recipient, alerts="all", notifiers=["mail", "hook"])
        for wanted in (["owlrunner_notifications"] if recipient else [], []):
            async with rings(db, "owlrunner_notifications") as heard:
                await notifications.add_stranded(session, run_id)
            assert heard == wanted
        rows = (await stored(session)).values()
        told = {(row["run_id"], row["notifier"], row["recipient"], row["subject"]) for row in rows}
        assert told == ({(run_id, name, OWNER, "stranded") for name in ("mail", "hook")} if recipient else set())
        server_id = await put_server(session)
        assert all(one.stranded for one in await claim(session, server_id, mail=9, hook=9))


def missed(schedule: str = "nightly", **values: Any) -> MissedFires:
    """A schedule's alert about two fire times of the first of January."""
    return attrs.evolve(MissedFires(schedule, "tidy", 1, 1, ONE, ONE + HOUR, (NOBODY,)), **values)


@pytest.mark.parametrize(("recipient", "age", "alerts"), [(OWNER, 300, 0), (OWNER, 300.001, 2), ("", 900, 0)])
async def test_the_owner_is_told_of_what_was_missed(db: Database, recipient: str, age: float, alerts: int) -> None:
    """Through each notifier of the rules, where there is an address, once the first fire time is old enough."""
    async with db.session() as session:
        await put(session, "notification_rules", alert_email=recipient, alerts="all", notifiers=["mail", "hook"])
        async with rings(db, "owlrunner_notifications") as heard, session.transaction():
            await notifications.add_missed(session, missed(first=await value(session, now(-age))))
        assert heard == ["owlrunner_notifications"] * bool(alerts)
        told = [(row["notifier"], row["recipient"], row["subject"]) for row in (await stored(session)).values()]
        assert sorted(told) == [("hook", OWNER, "missed"), ("mail", OWNER, "missed")][:alerts]


async def test_an_outage_makes_one_alert(db: Database) -> None:
    """What several schedules have missed within half a minute is sent as one, those that missed twice with both added up."""
    async with db.session() as session, session.transaction():
        await put(session, "notification_rules", alert_email=OWNER, alerts="changes", notifiers=["mail"])
        later = missed(missed=3, late=0, first=ONE + 4 * HOUR, last=ONE + 6 * HOUR, reasons=("it hung",), at_least=True)
        for one in (missed(), missed("hourly"), later):
            await notifications.add_missed(session, one)
        server_id = await put_server(session)
        assert await claim(session, server_id) == []
        (row,) = (await stored(session)).values()
        assert row["due_at"] == await value(session, now(notifications.GATHER))
        await session.connection.execute("update notifications set due_at = owl_now()")
        (taken,) = await claim(session, server_id)
        assert (taken.run, taken.created_at, taken.stranded) == (None, row["created_at"], False)
        both = missed(missed=4, last=ONE + 6 * HOUR, reasons=("it hung", NOBODY), at_least=True)
        assert taken.missed_fires == (missed("hourly"), both)


async def test_an_alert_that_was_tried_says_the_same_at_the_next_try(db: Database) -> None:
    """What is missed after the first try makes an alert of its own."""
    async with db.session() as session, session.transaction():
        await put(session, "notification_rules", alert_email=OWNER, alerts="all", notifiers=["mail"])
        server_id = await put_server(session)
        for name in ("first", "second"):
            await notifications.add_missed(session, missed(name))
            await session.connection.execute("update notifications set due_at = owl_now() where attempt = 0")
            (taken,) = await claim(session, server_id)
            assert [one.schedule for one in taken.missed_fires] == [name]
        assert len(await stored(session)) == 2


async def test_old_alerts_about_schedules_are_forgotten(db: Database) -> None:
    """Those that were settled before the time that they are kept; never one that is still to be sent, nor one about a run."""
    async with db.session() as session, session.transaction():
        old, young = now(-10 * 86_400 - 1), now(-10 * 86_400)
        about = {"notifier": "mail", "subject": "missed", "missed_fires": "{}", "created_at": old}
        for recipient, settled_at in (("old", old), ("young", young), ("waits", None)):
            status = "pending" if settled_at is None else "sent"
            await put(session, "notifications", recipient=recipient, status=status, settled_at=settled_at, **about)
        await put_notification(session, await put_run(session), recipient="run", status="sent", settled_at=old)
        await notifications.forget_alerts(session, 10)
        assert {row["recipient"] for row in (await stored(session)).values()} == {"young", "waits", "run"}


async def test_notifications_are_listed(db: Database) -> None:
    """The newest first, of one run or of all, in one status or in any; a time to come only where it is still tried."""
    async with db.session() as session, session.transaction():
        run_id, other = await put_run(session), await put_run(session)
        first = await put_notification(session, run_id)
        sent = await put_notification(session, run_id, status="sent")
        last = await put_notification(session, other)
        listed = await overview.list_notifications(session, 9)
        assert [one.id for one in listed] == sorted((first, sent, last), reverse=True)
        assert {one.id: one.due_at is None for one in listed} == {first: False, sent: True, last: False}
        newest = sorted((first, sent, last), reverse=True)
        assert [one.id for one in await overview.list_notifications(session, 2)] == newest[:2]
        assert {one.id for one in await overview.list_notifications(session, 9, run_id=run_id)} == {first, sent}
        assert [one.id for one in await overview.list_notifications(session, 9, status="sent")] == [sent]
        assert {(one.subject, tuple(one.schedules)) for one in listed} == {("ended", ())}


async def test_alerts_about_schedules_are_listed(db: Database) -> None:
    """They belong to no run, and name their schedules."""
    async with db.session() as session, session.transaction():
        await put(session, "notification_rules", alert_email=OWNER, alerts="all", notifiers=["mail"])
        for name in ("b", "a"):
            await notifications.add_missed(session, missed(name))
        (listed,) = await overview.list_notifications(session, 9)
        assert (listed.run_id, listed.job_type, listed.subject, listed.schedules) == (None, None, "missed", ["a", "b"])
