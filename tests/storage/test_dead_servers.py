"""Who is taken for dead, what becomes of its runs, and of those that nobody could have executed."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from owlrunner.job_run import RunStatus
from owlrunner.storage import job_runs, servers
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_held, put_run, put_server, rings, runs, value

ENDED = {"status": "failed", "error": "x", "completed_at": now()}
DEAD = {"buried_at": now(-5)}


async def stale(session: Session) -> bool:
    """Whether there is anything to recover."""
    return await servers.anything_stale(session)


async def test_a_server_is_buried_when_its_lease_has_run_out(db: Database) -> None:
    """Neither one whose lease ends this moment, nor one that was buried before, nor one whose row is being renewed."""
    async with db.session() as session:
        expired = await put_server(session, name="expired", lease_expires_at=now(-1))
        buried = await put_server(session, name="buried", lease_expires_at=now(-9), **DEAD)
        renewed = await put_server(session, name="renewed", lease_expires_at=now(-9))
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from servers where id = %s for update", [renewed])
            async with session.transaction():
                await put_server(session, name="until now", lease_expires_at=now())
                assert await stale(session)
                assert await servers.bury_expired(session) == ["expired"]
                rows = {
                    row["id"]: row["buried_at"]
                    for row in await look(session, "select * from servers where buried_at is not null")
                }
                assert rows.keys() == {expired, buried}
                assert rows[expired] == await value(session, now())
                assert rows[buried] != rows[expired]


async def test_nothing_is_stale_while_everybody_lives(db: Database) -> None:
    """What there is to recover is a lease that has run out, or a running run whose server is buried or unknown."""
    async with db.session() as session, session.transaction():
        living = await put_server(session, lease_expires_at=now())
        buried = await put_server(session, lease_expires_at=now(-9), **DEAD)
        await put_held(session, living)
        await put_held(session, buried, **ENDED)
        await put_run(session)
        assert not await stale(session)
        for what in ("lease", "buried", "unknown"):
            async with session.connection.transaction(force_rollback=True):
                if what == "lease":
                    await put_server(session, lease_expires_at=now(-1))
                else:
                    await put_held(session, buried if what == "buried" else uuid4())
                assert await stale(session)


async def recovered(session: Session, **held: Any) -> tuple[UUID, dict[str, Any], dict[str, Any]]:
    """A run of a dead server before and after its recovery, beside another run."""
    await put_run(session)
    run_id = await put_held(session, await put_server(session, **DEAD), run_at=now(-300), **held)
    before = (await runs(session))[run_id]
    await job_runs.fail_stale(session, 100)
    return run_id, before, (await runs(session))[run_id]


async def test_a_run_of_a_dead_server_fails(db: Database) -> None:
    """It ends now, or when it began if that is later, with all that tells of the attempt; and nothing is written into its log."""
    async with db.session() as session, session.transaction():
        run_id, before, run = await recovered(session)
        assert (run["status"], run["error"]) == ("failed", "Server restarted during execution")
        assert (run["completed_at"], run["restarts"]) == (await value(session, now()), 1)
        kept = ("server_id", "started_at", "run_at", "max_attempts")
        assert {name: run[name] for name in kept} == {name: before[name] for name in kept}
        _, before, run = await recovered(session, started_at=now(3600))
        assert run["completed_at"] == before["started_at"]
        assert await look(session, "select * from job_run_logs where run_id = %s", run_id) == []


@pytest.mark.parametrize(
    ("held", "more"),
    [
        ({"requeue_on_restart": True}, 1),
        ({"requeue_on_restart": True, "restarts": 9}, 1),
        ({"max_attempts": 2}, 0),
        ({"requeue_on_restart": True, "max_attempts": 2}, 1),
    ],
)
async def test_a_run_of_a_dead_server_starts_again(db: Database, held: dict[str, Any], more: int) -> None:
    """Where its job type or its attempts allow it the run waits as if it was new, due now, and its log says why."""
    async with db.session() as session, session.transaction():
        run_id, before, run = await recovered(session, **held)
        assert (run["status"], run["server_id"], run["started_at"]) == ("pending", None, None)
        assert (run["completed_at"], run["error"], run["run_at"]) == (None, None, await value(session, now()))
        assert (run["restarts"], run["max_attempts"]) == (before["restarts"] + 1, before["max_attempts"] + more)
        (line,) = await look(session, "select * from job_run_logs")
        assert (line["run_id"], line["attempt"], line["seq"], line["level"]) == (run_id, 1, 1_000_000, "error")
        assert (line["message"], line["at"]) == ("Server restarted during execution", await value(session, now()))


@pytest.mark.parametrize(
    "held",
    [
        {"requeue_on_restart": True, "restarts": 10},
        {"requeue_on_restart": True, "cancel_requested_at": now(-1)},
        {"attempt": 2, "max_attempts": 2},
        {"attempt": 3, "max_attempts": 2},
    ],
)
async def test_a_run_of_a_dead_server_is_not_started_for_ever(db: Database, held: dict[str, Any]) -> None:
    """Not after ten servers, not when its cancel was requested, and not when all its attempts are used."""
    async with db.session() as session:
        _, before, run = await recovered(session, **held)
    assert (run["status"], run["max_attempts"]) == ("failed", before["max_attempts"])


async def test_the_reason_stands_behind_what_the_server_logged(db: Database) -> None:
    """The line of the recovery follows the last line of that attempt, whatever other attempts and runs have logged."""
    async with db.session() as session:
        server_id = await put_server(session, **DEAD)
        run_id, other = await put_held(session, server_id, attempt=2, max_attempts=5), await put_run(session)
        for owner, attempt, seq in ((run_id, 2, 3), (run_id, 2, 7), (run_id, 1, 50), (other, 2, 60)):
            line = {
                "run_id": owner,
                "attempt": attempt,
                "seq": seq,
                "at": now(),
                "level": "info",
                "logger": "x",
                "message": "y",
            }
            await put(session, "job_run_logs", **line)
        await job_runs.fail_stale(session, 10)
        lines = await look(
            session, "select seq from job_run_logs where message like 'Server%%' and run_id = %s", run_id
        )
    assert [line["seq"] for line in lines] == [1_000_007]


async def test_recovery_leaves_the_living_alone(db: Database) -> None:
    """Runs of living servers, ended and waiting runs, and those somebody else is ending stay as they are; so many at once."""
    async with db.session() as session:
        living, dead = await put_server(session), await put_server(session, **DEAD)
        await put_held(session, living)
        await put_held(session, dead, **ENDED)
        await put_run(session)
        locked = await put_held(session, dead)
        of_dead = {await put_held(session, dead), await put_held(session, uuid4())}
        before = await runs(session)
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from job_runs where id = %s for no key update", [locked])
            first = await job_runs.fail_stale(session, 1)
            second = await job_runs.fail_stale(session, 5)
        after = await runs(session)
        assert (len(first), {one.id for one in first + second}) == (1, of_dead)
        assert {one for one in after if after[one] != before[one]} == of_dead
        # A line of the dead server's log that is not committed yet does not keep the run.
        async with db.session() as other, other.transaction():
            line = {
                "run_id": locked,
                "attempt": 1,
                "seq": 1,
                "at": now(),
                "level": "info",
                "logger": "x",
                "message": "y",
            }
            await put(other, "job_run_logs", **line)
            assert [one.id for one in await job_runs.fail_stale(session, 5)] == [locked]


async def test_recovery_rings_for_what_it_ends(db: Database) -> None:
    """Workers hear of it, and of nothing where nothing was there to end."""
    async with db.session() as session:
        async with rings(db, "owlrunner_pending") as heard:
            assert await job_runs.fail_stale(session, 5) == []
        assert heard == []
        run_id = await put_held(session, uuid4(), requeue_on_restart=True)
        async with rings(db, "owlrunner_pending") as heard:
            assert await job_runs.fail_stale(session, 5) == [(run_id, "a", RunStatus.PENDING)]
        assert heard == ["owlrunner_pending"]


@pytest.mark.parametrize(
    ("server", "ends"),
    [
        (None, True),
        ({"lease_expires_at": now(-61)}, True),
        ({"lease_expires_at": now(-60)}, True),
        ({"lease_expires_at": now(-59)}, False),
        ({"lease_expires_at": now(30)}, False),
        ({"lease_expires_at": now(30), "buried_at": now(-61)}, True),
        ({"lease_expires_at": now(30), "buried_at": now(-59)}, False),
        ({"lease_expires_at": now(-61), "buried_at": now(-1)}, True),
    ],
)
async def test_what_waited_while_nobody_was_there_ends(db: Database, server: dict[str, Any] | None, ends: bool) -> None:
    """A due run fails at the start of a server only where no other one was alive for a minute."""
    async with db.session() as session, session.transaction():
        ours = await put_server(session)
        if server is not None:
            await put_server(session, **server)
        run_id = await put_run(session, run_at=now(-60))
        await job_runs.fail_waiting(session, ours, 60.0, 10)
        run = (await runs(session))[run_id]
        assert (run["status"] == "failed") is ends
        if ends:
            assert (run["error"], run["completed_at"]) == (
                "Server restarted during execution",
                await value(session, now()),
            )


async def test_what_waited_for_less_or_may_start_again_goes_on_waiting(db: Database) -> None:
    """Runs that are due for less than a minute, may start again anyway, are locked, or do not wait stay; so many end at once."""
    async with db.session() as session:
        ours = await put_server(session)
        due = {"run_at": now(-70)}
        forgotten = {await put_run(session, **due), await put_run(session, **due)}
        await put_run(session, run_at=now(-50))
        await put_run(session, **due, requeue_on_restart=True)
        await put_run(session, **due, max_attempts=2)
        await put_held(session, ours, **due)
        await put_run(session, **due, **ENDED)
        locked = await put_run(session, **due)
        before = await runs(session)
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from job_runs where id = %s for no key update", [locked])
            first = await job_runs.fail_waiting(session, ours, 60.0, 1)
            second = await job_runs.fail_waiting(session, ours, 60.0, 10)
        after = await runs(session)
        assert (len(first), {one.id for one in first + second}) == (1, forgotten)
        assert {one for one in after if after[one] != before[one]} == forgotten
        # A line of its log that is being written does not keep it.
        async with db.session() as other, other.transaction():
            line = {
                "run_id": locked,
                "attempt": 1,
                "seq": 1,
                "at": now(),
                "level": "info",
                "logger": "x",
                "message": "y",
            }
            await put(other, "job_run_logs", **line)
            assert [one.id for one in await job_runs.fail_waiting(session, ours, 60.0, 10)] == [locked]
