"""A run that a server could not read goes back as if it was never claimed, and waits out of the way where nobody can read it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from owlrunner.job_run import Outcome, RunStatus
from owlrunner.storage import attempts, job_runs
from owlrunner.storage.attempts import FinishedAttempt
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import now, put_held, put_run, put_server, rings, runs, value


def unread(run_id: UUID, attempt: int = 1) -> FinishedAttempt:
    """An attempt whose server could not read the params."""
    return FinishedAttempt(run_id, attempt, Outcome(RunStatus.PENDING, unreadable_by="f"), None, None)


async def given_back(session: Session, **held: Any) -> dict[str, Any]:
    """A run after a server with the fingerprint ``f`` could not read it."""
    server_id = await put_server(session)
    run_id = await put_held(session, server_id, **{"max_attempts": 3} | held)
    assert await attempts.finish(session, server_id, [unread(run_id)]) == set()
    return (await runs(session))[run_id]


async def test_what_could_not_be_read_was_never_started(db: Database) -> None:
    """The run waits again, with one attempt more, and who could not read it is on record."""
    async with db.session() as session:
        run = await given_back(session, unreadable_by=["e"])
    assert (run["status"], run["server_id"], run["started_at"], run["completed_at"]) == ("pending", None, None, None)
    assert (run["max_attempts"], run["unreadable_by"]) == (4, ["e", "f"])


async def test_what_could_not_be_read_is_cancelled_if_asked(db: Database) -> None:
    """A run that was to be cancelled ends, with all that tells of its attempt, and is not set aside."""
    async with db.session() as session, session.transaction():
        run = await given_back(session, cancel_requested_at=now(-1))
        assert (run["status"], run["completed_at"], run["set_aside"]) == (
            "cancelled",
            await value(session, now()),
            False,
        )
        assert run["server_id"] is not None
        assert run["started_at"] == await value(session, now(-60))
        later = await given_back(session, cancel_requested_at=now(-1), started_at=now(3600))
        assert later["completed_at"] == later["started_at"]


@pytest.mark.parametrize(
    ("server", "aside"),
    [
        ({"fingerprints": ["g"]}, False),
        ({"fingerprints": ["e"]}, True),
        ({"fingerprints": ["f"]}, True),
        ({"fingerprints": ["g"], "job_types": ["b"]}, True),
        ({"fingerprints": ["g"], "buried_at": now()}, True),
        ({"fingerprints": ["g"], "lease_expires_at": now()}, True),
        ({"fingerprints": ["g", "f"], "job_types": ["b", "a"]}, True),
    ],
)
async def test_it_is_set_aside_where_nobody_else_may_read_it(db: Database, server: dict[str, Any], aside: bool) -> None:
    """Only a living server of the job type whose fingerprint has not been tried keeps it among those that are claimed."""
    async with db.session() as session, session.transaction():
        await put_server(session, **server)
        run = await given_back(session, unreadable_by=["e"])
    assert run["set_aside"] is aside


async def test_giving_back_touches_no_other_run(db: Database) -> None:
    """Runs of other servers and attempts, and those that have ended, stay as they are and are named."""
    async with db.session() as session:
        ours, theirs = await put_server(session), await put_server(session)
        run_id, not_ours = await put_held(session, ours), await put_held(session, theirs)
        later = await put_held(session, ours, attempt=2)
        ended = await put_held(session, ours, status="failed", error="x", completed_at=now())
        await put_held(session, ours)
        before = await runs(session)
        lost = [not_ours, later, ended]
        assert await attempts.finish(session, ours, [unread(one) for one in [run_id, *lost]]) == set(lost)
        changed = {one for one, row in (await runs(session)).items() if row != before[one]}
    assert changed == {run_id}


async def test_what_is_given_back_rings_for_other_servers(db: Database) -> None:
    """Servers that may be able to read it hear of it at once, and of nothing where nothing was given back."""
    async with db.session() as session:
        server_id = await put_server(session)
        run_ids = [await put_held(session, server_id) for _ in range(2)]
        async with rings(db, "owlrunner_pending") as heard:
            await attempts.finish(session, server_id, [unread(run_id) for run_id in run_ids])
        assert heard == ["owlrunner_pending"]
        async with rings(db, "owlrunner_pending") as heard:
            await attempts.finish(session, server_id, [unread(uuid4())])
        assert heard == []


async def test_what_was_set_aside_returns_for_those_who_have_not_tried(db: Database) -> None:
    """A server that joins lets the runs of its job types be claimed again whose params it has not tried to read."""
    async with db.session() as session:
        aside = {"set_aside": True, "unreadable_by": ["f"]}
        mine = await put_run(session, **aside)
        await put_run(session, **aside | {"unreadable_by": ["f", "g"]})
        await put_run(session, **aside, job_type="b")
        await put_run(session, **aside, status="failed", error="x", completed_at=now())
        assert await job_runs.release_set_aside(session, ["a", "c"], ["g", "h"]) == 1
        assert [one for one, row in (await runs(session)).items() if not row["set_aside"]] == [mine]
        # One that is being cancelled this moment is left alone, and not waited for.
        locked, free = await put_run(session, **aside), await put_run(session, **aside)
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from job_runs where id = %s for update", [locked])
            assert await job_runs.release_set_aside(session, ["a"], ["g"]) == 1
        assert not (await runs(session))[free]["set_aside"]
        await session.connection.execute(
            b"insert into job_runs (job_type, triggered_by, exclusive, set_aside, unreadable_by)"
            b" select 'a', 'operator', false, true, '{f}' from generate_series(1, 1000)"
        )
        # With the one that was locked there are 1001: what one statement does has a bound.
        assert await job_runs.release_set_aside(session, ["a"], ["g"]) == 1000
        # Somebody who only looks at a run that has not been set aside does not count it.
        assert await job_runs.release_set_aside(session, ["a"], ["f"]) == 0
