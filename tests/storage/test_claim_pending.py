"""A claim takes what is due, for whom it may, by priority and time; and what is asked around it answers for the same runs."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from owlrunner.storage import attempts
from owlrunner.storage.attempts import Offer
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import PATIENCE, look, now, put, put_held, put_run, put_server, runs, value

A, B = Offer("a", "f"), Offer("b", "g")
NOT_WAITING: dict[str, dict[str, Any]] = {
    "set aside": {"set_aside": True, "unreadable_by": ["x"]},
    "another job type": {"job_type": "c"},
    "not due": {"run_at": now(1)},
    "ended": {"status": "failed", "error": "x", "completed_at": now()},
    "unreadable": {"unreadable_by": ["e", "f"]},
}


def ids(*numbers: int) -> Iterable[UUID]:
    """Ids in this order."""
    return (UUID(int=number) for number in numbers)


async def taken(session: Session, server_id: UUID, offers: Sequence[Offer], room: int = 100) -> set[UUID]:
    """What a claim takes."""
    return {run.id for run in await attempts.claim_pending(session, server_id, offers, room)}


async def test_a_claimed_run_is_the_servers(db: Database) -> None:
    """It is running in one attempt more, since now, without what the last one told; the answer says what executing it needs."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        about = {"attempt": 2, "max_attempts": 4, "params": '{"x": 1}', "progress": '{"processed": 1}'}
        run_id = await put_run(session, **about, unreadable_by=["e"])
        other = await put_run(session, job_type="c")
        before = (await runs(session))[other]
        (claimed,) = await attempts.claim_pending(session, server_id, [A], 5)
        assert claimed == (run_id, "a", None, None, {"x": 1}, 3, 4)
        run = (await runs(session))[run_id]
        assert (run["status"], run["server_id"], run["attempt"], run["progress"]) == ("running", server_id, 3, None)
        assert run["started_at"] == await value(session, now())
        assert (await runs(session))[other] == before


@pytest.mark.parametrize("why", NOT_WAITING)
async def test_a_claim_takes_only_what_waits_for_it(db: Database, why: str) -> None:
    """What is not due, not ours to read, or not waiting at all is left alone, and hides nothing that is due now."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        await put_run(session, priority=5, **{"run_at": now(-9)} | NOT_WAITING[why])
        await put_run(session, **{"run_at": now(-9)} | NOT_WAITING[why])
        await put_held(session, server_id, priority=5)
        ranks = [(0, 0.0), (3, 0.0), (5, 0.0), (0, -20.0), (5, -20.0)]
        due = [await put_run(session, run_at=now(seconds), priority=priority) for priority, seconds in ranks]
        assert await taken(session, server_id, [A, B]) == set(due)


@pytest.mark.parametrize(
    "server",
    [{"buried_at": now()}, {"lease_expires_at": now()}, {"id": UUID(int=1)}],
    ids=["buried", "expired", "unknown"],
)
async def test_a_server_that_is_not_alive_takes_nothing(db: Database, server: dict[str, Any]) -> None:
    """A claim in the name of a server that is buried, whose lease has run out, or that is not there changes nothing."""
    async with db.session() as session, session.transaction():
        ours = UUID(int=2)
        await put_server(session, **{"id": ours} | server)
        await put_server(session)
        await put_run(session)
        assert await taken(session, ours, [A]) == set()


async def test_a_claim_takes_by_priority_then_time_then_id(db: Database) -> None:
    """Over all job types those with the highest priority, of these the longest waiting, of these the smallest id."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        ranks = [(5, -1), (5, 0), (1, -9), (1, -5), (1, -5), (0, -99), (-1, -999)]
        order = []
        for rank, (run_id, (priority, run_at)) in enumerate(zip(ids(7, 1, 6, 3, 5, 2, 4), ranks, strict=True)):
            job_type = "ab"[rank % 2]
            order.append(await put_run(session, id=run_id, job_type=job_type, priority=priority, run_at=now(run_at)))
        # A room of each size, so that the last one that has room is the one in question.
        for room in range(1, len(order) + 1):
            async with session.transaction():
                got = await taken(session, server_id, [A, B], room)
                assert got == set(order[:room])
                await session.connection.execute(
                    b"update job_runs set status = 'pending', server_id = null, started_at = null"
                )


async def test_within_a_job_type_a_claim_goes_in_the_same_order(db: Database) -> None:
    """Of one job type with a limit the first are taken, though others of the same priority and time come first in the table."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        late, second, first = [await put_run(session, id=run_id, run_at=now(-5)) for run_id in ids(9, 5, 1)]
        latest = await put_run(session, id=UUID(int=0), run_at=now(-1))
        assert await taken(session, server_id, [Offer("a", "f", 1)]) == {first}
        assert await taken(session, server_id, [Offer("a", "f", 3)]) == {second, late}
        assert await taken(session, server_id, [Offer("a", "f", 3)]) == set()
        assert await taken(session, server_id, [A, Offer("b", "f", 1)]) == {latest}
        # At a lower priority than others.
        await put_run(session, priority=9)
        low = [await put_run(session, id=run_id, run_at=now(-5)) for run_id in ids(13, 11)]
        assert len(await taken(session, server_id, [A])) == 1 + len(low)


async def test_a_claim_locks_no_more_than_it_takes(db: Database) -> None:
    """While a claim is under way, what it has no room for, in all or of that job type, is free for others."""
    async with db.session() as session, db.session() as other:
        server_id = await put_server(session)
        for room, limit in ((1, None), (9, 3)):
            first, second = await put_run(session, priority=1), await put_run(session)
            async with other.transaction():
                assert await taken(other, server_id, [Offer("a", "f", limit)], room) == {first}
                assert await taken(session, server_id, [A]) == {second}


async def test_a_claim_passes_over_what_somebody_else_is_taking(db: Database) -> None:
    """A run that another transaction has locked is neither waited for nor taken; the next is."""
    async with db.session() as session, db.session() as other, other.transaction():
        server_id = await put_server(session)
        locked, free = await put_run(session, priority=1), await put_run(session)
        await other.connection.execute(b"select from job_runs where id = %s for update", [locked])
        assert await taken(session, server_id, [A], 1) == {free}


async def test_what_belongs_to_something_deleted_is_not_claimed(db: Database) -> None:
    """A run is claimed only where neither its project nor its team is deleted, whatever became of others."""
    async with db.session() as session:
        server_id = await put_server(session)
        await session.connection.execute(
            b"alter table projects disable trigger user; alter table teams disable trigger user"
        )
        team = await put(session, "teams", name="Team", slug="team")
        gone = await put(session, "teams", name="Gone", slug="gone", deleted_at=now())
        about = [(team, None), (gone, None), (team, now())]
        projects = [
            await put(session, "projects", team_id=owner["id"], name=str(number), slug=str(number), deleted_at=deleted)
            for number, (owner, deleted) in enumerate(about)
        ]
        of_projects = [await put_run(session, team_id=one["team_id"], project_id=one["id"]) for one in projects]
        system = await put_run(session)
        assert await taken(session, server_id, [A]) == {of_projects[0], system}


async def test_the_next_due_time_is_that_of_the_first_that_waits(db: Database) -> None:
    """Over all priorities of the offered job types, whatever else there is; and none where nothing waits."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        assert await attempts.next_due(session, ["a", "b"]) is None
        for why in ("set aside", "another job type", "ended"):
            await put_run(session, **{"run_at": now(-9)} | NOT_WAITING[why])
        await put_held(session, server_id, run_at=now(-9))
        assert await attempts.next_due(session, ["a", "b"]) is None
        for priority, seconds in ((5, 70.0), (5, 60.0), (4, 55.0), (4, 65.0), (-1, 80.0)):
            await put_run(session, run_at=now(seconds), priority=priority)
        assert await attempts.next_due(session, ["a", "b"]) == 55.0
        await put_run(session, run_at=now(40.0), priority=5)
        assert await attempts.next_due(session, ["a", "b"]) == 40.0
        await put_run(session, job_type="b", run_at=now(-3))
        assert await attempts.next_due(session, ["a", "b"]) == -3.0
        assert await attempts.next_due(session, ["a"]) == 40.0


async def test_a_limited_job_type_is_looked_at_only_when_a_run_is_due(db: Database) -> None:
    """Due is what waits at or before now, at any priority; other runs of these job types and other job types do not count."""

    async def due(session: Session) -> set[str]:
        return {name for (name,) in await session.rows("job_runs/due_job_types", {"job_types": ["a", "b", "d"]})}

    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        for why in ("set aside", "another job type", "not due", "ended"):
            await put_run(session, **{"run_at": now(-9)} | NOT_WAITING[why])
        await put_held(session, server_id, run_at=now(-9))
        assert await due(session) == set()
        for priority in (9, 7, 5):
            for seconds in (2.0, 1.0, 3.0):
                await put_run(session, job_type="b", priority=priority, run_at=now(seconds))
        for why in ("set aside", "another job type", "ended"):
            await put_run(session, **{"job_type": "b", "priority": 6, "run_at": now(-9)} | NOT_WAITING[why])
        await put_held(session, server_id, job_type="b", priority=6, run_at=now(-9))
        assert await due(session) == set()
        for priority in (9, 7, 5):
            async with session.connection.transaction(force_rollback=True):
                await put_run(session, job_type="b", priority=priority, run_at=now())
                assert await due(session) == {"b"}


async def test_only_runs_that_run_count_against_a_limit(db: Database) -> None:
    """A limit is over all servers, of the job type alone, and what waits or has ended takes nothing of it."""
    async with db.session() as session:
        mine, other = await put_server(session), await put_server(session)
        await put_held(session, mine)
        await put_held(session, other)
        await put_held(session, other, job_type="b")
        await put_held(session, other, status="failed", error="x", completed_at=now())
        waiting = [await put_run(session) for _ in range(3)]
        assert len(await taken(session, mine, [Offer("a", "f", 4)])) == 2
        assert await taken(session, mine, [Offer("a", "f", 4), Offer("b", "g", 1)]) == set()
        assert (
            len({one for one, row in (await runs(session)).items() if row["status"] == "pending"} & set(waiting)) == 1
        )


async def test_two_servers_that_claim_under_a_limit_wait_for_each_other(db: Database) -> None:
    """While one claims runs of a limited job type nobody else counts them; other job types are not waited for."""
    async with db.session() as session, db.session() as other, other.transaction():
        await other.rows("job_runs/lock_limited", {"job_types": ["a", "b"]})
        free = {name: await value_of_lock(session, name) for name in ("a", "b", "c")}
    assert free == {"a": False, "b": False, "c": True}


async def test_locks_of_limits_are_taken_in_one_order(db: Database) -> None:
    """Two servers that name the same limited job types in different orders do not wait for each other."""
    names = [f"type {number}" for number in range(12)]
    keys = "select hashtext(name) as key from unnest(%s::text[]) as name order by key"
    # Of this database alone: other workers' tests take locks in theirs.
    held = (
        "select objid::int4 as key, granted from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid() and pid <> %s"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    async with db.session() as session, db.session() as last, db.session() as waiting, trio.open_nursery() as nursery:
        ordered = [row["key"] for row in await look(session, keys, names)]
        async with last.transaction():
            await last.connection.execute(
                b"select pg_advisory_xact_lock(hashtext('owlrunner max_running'), %s)", [ordered[-1]]
            )
            nursery.start_soon(waiting.rows, "job_runs/lock_limited", {"job_types": names})
            with trio.fail_after(PATIENCE):
                while True:
                    locks = await look(session, held, last.connection.info.backend_pid)
                    if any(not lock["granted"] for lock in locks):
                        break
        assert sorted(lock["key"] for lock in locks if lock["granted"]) == ordered[:-1]


async def value_of_lock(session: Session, job_type: str) -> bool:
    """Whether the lock of a job type's limit could be had."""
    cursor = await session.connection.execute(
        b"select pg_try_advisory_xact_lock(hashtext('owlrunner max_running'), hashtext(%s))", [job_type]
    )
    row = await cursor.fetchone()
    assert row is not None
    return bool(row[0])


async def test_claims_that_were_never_heard_of_go_back(db: Database) -> None:
    """What stands in our name and we do not know goes back as if it was never started; what we know, and what is others', stays."""
    async with db.session() as session, session.transaction():
        ours, theirs = await put_server(session), await put_server(session)
        known, lost = await put_held(session, ours), await put_held(session, ours, max_attempts=2)
        earlier = await put_held(session, ours, attempt=2)
        cancelled = await put_held(session, ours, cancel_requested_at=now(-1))
        stay = [
            known,
            await put_held(session, theirs),
            await put_held(session, ours, status="failed", error="x", completed_at=now()),
        ]
        before = await runs(session)
        released = await attempts.release_unstarted(session, ours, [(known, 1), (earlier, 1), (uuid4(), 1)])
        assert set(released) == {lost, earlier, cancelled}
        after = await runs(session)
        assert {one: after[one] for one in stay} == {one: before[one] for one in stay}
        run = after[lost]
        assert (run["status"], run["server_id"], run["started_at"], run["completed_at"], run["max_attempts"]) == (
            *("pending", None, None, None),
            3,
        )
        run = after[cancelled]
        assert (run["status"], run["completed_at"], run["max_attempts"]) == (
            "cancelled",
            await value(session, now()),
            2,
        )
        assert (run["server_id"], run["started_at"]) == (ours, before[cancelled]["started_at"])
