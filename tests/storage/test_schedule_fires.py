"""Who decides for a schedule, what is told of its fires, and what becomes of those that wait."""

from typing import Any
from uuid import UUID, uuid4

from owlrunner.schedule import ON_TIME, FireOutcome
from owlrunner.storage import schedules
from owlrunner.storage.postgres import Database
from owlrunner.storage.schedules import Fire
from tests.storage.rows import look, now, put, put_held, put_run, put_server, value
from tests.storage.scheduled import put_fire, put_schedule


async def test_one_server_decides_for_a_schedule_that_it_knows(db: Database) -> None:
    """Nobody gets a schedule that another one is deciding for, or whose definition is another one; others are free."""
    async with db.session() as session, db.session() as other:
        fingerprint = await put_schedule(session)
        await put_schedule(session, "free")
        await put(session, "schedule_looks", schedule="s", since=now(), last=now())
        assert await schedules.lock(session, "s", "another") is None
        assert await schedules.lock(session, "unknown", fingerprint) is None
        async with other.transaction():
            assert await schedules.lock(other, "s", fingerprint) is not None
            assert await schedules.lock(session, "s", fingerprint) is None
            assert await schedules.lock(session, "free", fingerprint) is not None
            # Looking is for everybody.
            assert [seen.name for seen in await schedules.look(session, {"s": fingerprint})] == ["s"]


async def test_who_decides_is_told_what_waits(db: Database) -> None:
    """Whether a fire waits, whether one of them was decided when it was due, and for which run the first of them does."""
    on_time = ON_TIME.total_seconds()
    async with db.session() as session, session.transaction():
        fingerprint = await put_schedule(session)
        await put_schedule(session, "other")
        await put_fire(session, -9, "other", active_run_id=uuid4(), decided_at=now())
        await put_fire(session, -8, outcome="skipped")
        await put(session, "schedule_looks", schedule="other", since=now(-7), last=now())
        await put(session, "schedule_looks", schedule="s", since=now(-77), last=now())

        async def locked() -> tuple[Any, ...]:
            row = await schedules.lock(session, "s", fingerprint)
            assert row is not None
            return row

        assert await locked() == (
            await value(session, now()),
            await value(session, now(-60)),
            await value(session, now(-77)),
            False,
            False,
            None,
        )
        first, second = uuid4(), uuid4()
        await put_fire(session, -50, active_run_id=second, decided_at=now(-50 + on_time + 1))
        await put_fire(session, -100, active_run_id=first, decided_at=now(-100 + on_time + 1))
        assert (await locked())[3:] == (True, False, first)
        await put_fire(session, -20, active_run_id=second, decided_at=now(-20 + on_time))
        assert (await locked())[3:] == (True, True, first)


async def test_a_look_is_written_down_now_and_then(db: Database) -> None:
    """Not sooner than ten seconds after the last, at once where the clock went back, and anew where there was a gap."""
    gap, every = ON_TIME.total_seconds(), schedules.WRITE_EVERY.total_seconds()
    cases = {
        "never": (None, None, (0.0, 0.0)),
        "just": (-500.0, -every, (-500.0, -every)),
        "again": (-500.0, -every - 1, (-500.0, 0.0)),
        "ahead": (500.0, 1.0, (0.0, 0.0)),
        "at the gap": (-500.0, -gap, (-500.0, 0.0)),
        "past the gap": (-500.0, -gap - 1, (0.0, 0.0)),
    }
    async with db.session() as session, session.transaction():
        fingerprints = {name: await put_schedule(session, name) for name in cases}
        for name, (since, last, _) in cases.items():
            if since is not None and last is not None:
                await put(session, "schedule_looks", schedule=name, since=now(since), last=now(last))
        await put(session, "schedule_looks", schedule="unknown", since=now(-900), last=now(-900))
        seen = await schedules.look(session, {**fingerprints, "gone": "x"})
        rows = {
            row["schedule"]: (row["since"], row["last"]) for row in await look(session, "select * from schedule_looks")
        }
        for name, (_, _, (since, last)) in cases.items():
            assert rows[name] == (await value(session, now(since)), await value(session, now(last))), name
        assert rows["unknown"][1] == await value(session, now(-900))
        assert [one.name for one in seen] == sorted(cases)
        assert {one.name: one.watched_since for one in seen} == {name: rows[name][0] for name in cases}
        assert {one.decided_until for one in seen} == {await value(session, now(-60))}
        assert await schedules.look(session, {"just": "another"}) == []


async def test_a_look_tells_what_can_start(db: Database) -> None:
    """The first fire that waits, and whether the run has ended that one of them waits for."""
    ended = {"status": "failed", "error": "x", "completed_at": now()}
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        waiting, running, over = (
            await put_run(session),
            await put_held(session, server_id),
            await put_run(session, **ended),
        )
        told: dict[str, tuple[list[tuple[float, UUID | None]], tuple[float | None, bool]]] = {
            "nothing": ([], (None, False)),
            "waiting": ([(-3.0, waiting), (-2.0, running)], (-3.0, False)),
            "one over": ([(-3.0, running), (-5.0, over)], (-5.0, True)),
            "forgotten": ([(-4.0, uuid4())], (-4.0, True)),
        }
        fingerprints = {name: await put_schedule(session, name) for name in told}
        for name, (fires, _) in told.items():
            for seconds, run_id in fires:
                await put_fire(session, seconds, name, active_run_id=run_id)
            await put_fire(session, -50, name, outcome="skipped", active_run_id=over)
        for seen in await schedules.look(session, fingerprints):
            first, startable = told[seen.name][1]
            assert seen.first_queued == (None if first is None else await value(session, now(first))), seen.name
            assert seen.startable is startable, seen.name


async def test_decisions_never_go_back(db: Database) -> None:
    """Fire times up to the later of two times are on record, of this schedule alone."""
    async with db.session() as session, session.transaction():
        await put_schedule(session)
        await put_schedule(session, "other")
        for seconds, until in ((-90.0, -60.0), (-30.0, -30.0)):
            await schedules.decided(session, "s", await value(session, now(seconds)))
            rows = {row["name"]: row["decided_until"] for row in await look(session, "select * from schedules")}
            assert rows == {"s": await value(session, now(until)), "other": await value(session, now(-60))}


async def test_a_fire_that_waits_is_settled_once(db: Database) -> None:
    """Of its schedule and time, and only while it waits; what it waited for stays on record where it got no run."""
    async with db.session() as session, session.transaction():
        active, run_id = uuid4(), await put_run(session)
        times = [await put_fire(session, seconds, active_run_id=active) for seconds in (-3, -1, -2)]
        other = await put_fire(session, -3, "other", active_run_id=active)
        assert [time for time, _ in await schedules.queued(session, "s")] == sorted(times)
        await schedules.settle_queued(session, Fire("s", times[0], FireOutcome.RAN, None, run_id))
        await schedules.settle_queued(session, Fire("s", times[0], FireOutcome.SKIPPED, "too late"))
        await schedules.settle_queued(session, Fire("s", times[1], FireOutcome.SKIPPED, "given up"))
        rows = {
            (row["schedule"], row["fire_time"]): (row["outcome"], row["run_id"], row["reason"], row["active_run_id"])
            for row in await look(session, "select * from schedule_fires")
        }
        assert rows == {
            ("s", times[0]): ("ran", run_id, None, None),
            ("s", times[1]): ("skipped", None, "given up", active),
            ("s", times[2]): ("queued", None, "waits", active),
            ("other", other): ("queued", None, "waits", active),
        }
        new = uuid4()
        await schedules.wait_for(session, "s", new)
        rows = {
            (row["schedule"], row["fire_time"]): row["active_run_id"]
            for row in await look(session, "select * from schedule_fires")
        }
        assert rows == {("s", times[0]): None, ("s", times[1]): active, ("s", times[2]): new, ("other", other): active}


async def test_who_was_alive_at_a_missed_time_is_on_record(db: Database) -> None:
    """From its start until it was buried or its lease ran out, whichever came first; and whether it offered the job type."""
    async with db.session() as session, session.transaction():
        await put_server(session, started_at=now(-100), lease_expires_at=now(-50), job_types=["b", "a"])
        await put_server(session, started_at=now(-80), lease_expires_at=now(-20), buried_at=now(-30), job_types=["b"])
        times = [await value(session, now(seconds)) for seconds in (-101, -100, -60, -50, -31, -30, -25)]
        told = await schedules.why_missed(session, "a", times)
        assert [told[time] for time in times] == [
            (False, False),
            (True, True),
            (True, True),
            (True, False),
            (True, False),
            (False, False),
            (False, False),
        ]


async def test_the_overview_tells_each_schedules_last_fire(db: Database) -> None:
    """In the order of names, with what has become of its run."""
    async with db.session() as session, session.transaction():
        for name in ("b", "a"):
            await put_schedule(session, name)
        run_id = await put_run(session)
        await put_fire(session, -9, "a", outcome="skipped")
        last = await put_fire(session, -1, "a", outcome="ran", reason=None, run_id=run_id)
        await put_fire(session, -5, "a", outcome="missed")
        told = await session.rows("schedules/overview")
        assert [(row[1], *row[4:]) for row in told] == [
            ("a", last, "ran", None, run_id, None, "pending"),
            ("b", None, None, None, None, None, None),
        ]
