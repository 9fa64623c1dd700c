"""What is deployed and what is removed, by whom, and from when on it counts."""

from typing import Any

import pytest
from psycopg import sql

from owlrunner.cron import Cron
from owlrunner.schedule import Schedule
from owlrunner.storage import schedules
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.schedules import Deployed
from tests.storage.rows import look, now, put, put_run, value
from tests.storage.scheduled import put_fire, put_schedule

DAY = 24 * 3600.0


async def synced(session: Session, **values: Any) -> list[tuple[Any, ...]]:
    """Remove what is not wanted; nothing is, and this server offers the job type ``a``."""
    about = {"names": ["wanted"], "job_types": ["a"], "owns_file": True}
    return await session.rows("schedules/remove", about | values)


async def test_a_schedule_is_removed_by_those_who_speak_for_it(db: Database) -> None:
    """Those of a file by a server that has one, defaults by a server of their job type; never what is wanted."""
    async with db.session() as session, session.transaction():
        await put_schedule(session, "wanted")
        await put_schedule(session, "of a file", job_type="b")
        await put_schedule(session, "default", source="default")
        await put_schedule(session, "of others", source="default", job_type="b")
        for owns_file, gone in ((False, {"default"}), (True, {"default", "of a file"})):
            async with session.connection.transaction(force_rollback=True):
                removed = await synced(session, owns_file=owns_file)
                assert {row[0] for row in removed} == gone
                assert all(row[3] for row in removed)
                left = {row["name"] for row in await look(session, "select name from schedules")}
                assert left == {"wanted", "of a file", "default", "of others"} - gone


@pytest.mark.parametrize(
    ("updated", "looked", "gone"),
    [(-8.0, None, True), (-8.0, -8.0, True), (-8.0, -1.0, False), (-1.0, -8.0, False), (-7.0, None, False)],
)
@pytest.mark.parametrize(
    ("name", "source"), [("old", "default"), ("old", "file"), ("wanted", "file"), ("wanted", "default")]
)
async def test_what_nobody_has_looked_at_for_a_week_is_removed(
    db: Database, updated: float, looked: float | None, gone: bool, name: str, source: str
) -> None:
    """A schedule that servers look at, or that has changed within a week, stays; and a wanted default stays in any case."""
    async with db.session() as session, session.transaction():
        await put_schedule(session, name, source=source, job_type="b", updated_at=now(updated * DAY))
        if looked is not None:
            await put(session, "schedule_looks", schedule=name, since=now(-30 * DAY), last=now(looked * DAY))
        removed = await synced(session, owns_file=False)
    gone = gone and (name, source) != ("wanted", "default")
    assert removed == ([(name, "b", source, False)] if gone else [])


async def test_a_wanted_schedule_of_our_file_is_never_abandoned(db: Database) -> None:
    """What this server itself has in its file stays, however long nobody has looked."""
    async with db.session() as session, session.transaction():
        await put_schedule(session, "wanted", updated_at=now(-30 * DAY))
        assert await synced(session) == []


async def deployed(session: Session, **values: Any) -> dict[str, dict[str, Any]]:
    """Put in a schedule ``s`` as a server wants it, and return what is there."""
    about: dict[str, Any] = {
        "names": ["s"],
        "job_types": ["a"],
        "definitions": ['{"x": 2}'],
        "sources": ["file"],
        "owns_file": True,
    }
    await session.rows("schedules/put", about | values)
    return {row["name"]: row for row in await look(session, "select * from schedules")}


async def test_what_has_changed_counts_from_now_on(db: Database) -> None:
    """A new definition does not fire for the past, nor again for what is on record; what is unchanged goes on where it was."""
    async with db.session() as session, session.transaction():
        at = await value(session, now())
        there = await deployed(session)
        assert (there["s"]["decided_until"], there["s"]["definition"], there["s"]["source"]) == (at, {"x": 2}, "file")
        await put_schedule(session, "other")
        for decided, until in ((now(-60), at), (now(60), await value(session, now(60)))):
            await session.connection.execute(
                sql.SQL("update schedules set decided_until = {}, updated_at = {}").format(decided, now(-9))
            )
            async with session.connection.transaction(force_rollback=True):
                there = await deployed(session, definitions=['{"x": 3}'], job_types=["b"])
                row = there["s"]
                assert (row["decided_until"], row["definition"], row["job_type"], row["updated_at"]) == (
                    until,
                    {"x": 3},
                    "b",
                    at,
                )
                assert there["other"]["updated_at"] == await value(session, now(-9))
            same = (await deployed(session))["s"]
            assert (same["decided_until"], same["updated_at"]) == (
                await value(session, decided),
                await value(session, now(-9)),
            )
            async with session.connection.transaction(force_rollback=True):
                moved = (await deployed(session, sources=["default"]))["s"]
                assert (moved["decided_until"], moved["source"]) == (await value(session, decided), "default")


@pytest.mark.parametrize(
    ("owns_file", "source", "taken"), [(True, "file", True), (False, "default", True), (False, "file", False)]
)
async def test_a_default_does_not_take_the_place_of_anothers_file(
    db: Database, owns_file: bool, source: str, taken: bool
) -> None:
    """Only who has a file, or meets another default, changes what is deployed."""
    async with db.session() as session:
        await put_schedule(session, source=source)
        there = await deployed(session, sources=["default"], owns_file=owns_file)
    assert (there["s"]["definition"] == {"x": 2}) is taken


async def test_what_waits_for_a_schedule_that_is_gone_is_over(db: Database) -> None:
    """Its waiting fires are skipped and its looks forgotten; what has been decided, and what other schedules have, stays."""
    async with db.session() as session:
        await put_schedule(session)
        run_id = await put_run(session)
        gone = await put_fire(session, -1, "gone")
        await put_fire(session, -2, "gone", outcome="ran", run_id=run_id, reason=None)
        await put_fire(session, -1)
        for name in ("s", "gone"):
            await put(session, "schedule_looks", schedule=name, since=now(), last=now())
        await session.rows("schedules/forget_removed")
        skipped = await look(session, "select * from schedule_fires where outcome = 'skipped'")
        assert [(row["schedule"], row["fire_time"]) for row in skipped] == [("gone", gone)]
        assert [row["schedule"] for row in await look(session, "select * from schedule_looks")] == ["s"]


async def test_what_is_deployed_is_told_with_whether_it_is_ours(db: Database) -> None:
    """In the order of names, with the fingerprint; ours is what has our definition under our name."""
    async with db.session() as session:
        ours = await put_schedule(session, "b", definition='{"y": 2}')
        other = await put_schedule(session, "a", source="default")
        unknown = await put_schedule(session, "c", definition='{"y": 2}')
        told = await session.rows("schedules/deployed", {"names": ["a", "b"], "definitions": ['{"y": 2}', '{"y": 2}']})
    assert told == [
        ("a", "a", "default", other, False),
        ("b", "a", "file", ours, True),
        ("c", "a", "file", unknown, False),
    ]


@pytest.mark.parametrize("owns_file", [True, False])
async def test_what_comes_from_a_file_is_left_to_those_who_have_it(db: Database, owns_file: bool) -> None:
    """A server without a file is told which schedules of files are deployed, apart from defaults; who has a file keeps none."""
    async with db.session() as session:
        await put_schedule(session, "of a file", job_type="b", updated_at=now())
        await put_schedule(session, "default", source="default", job_type="b", updated_at=now())
        wanted = [Schedule("ours", "a", Cron.parse("@daily"), source="default")]
        synced = await schedules.sync(session, wanted, ["a"], owns_file=owns_file)
    assert list(synced.fingerprints) == ["ours"]
    assert synced.kept == ([] if owns_file else [Deployed("of a file", "b", "file")])
    assert [one.name for one in synced.removed] == (["of a file"] if owns_file else [])
