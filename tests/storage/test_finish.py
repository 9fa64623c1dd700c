"""An outcome changes the run that its server holds in that attempt, in every column as it should, and no other."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from owlrunner.job_run import Outcome, RunStatus
from owlrunner.storage import attempts
from owlrunner.storage.attempts import FinishedAttempt
from owlrunner.storage.postgres import Database
from tests.storage.rows import now, put_held, put_run, put_server, rings, runs, value

AGAIN = Outcome(RunStatus.PENDING, error="boom", retry_in=90.0)
RELINQUISHED = Outcome(RunStatus.PENDING, error="stopped", relinquished=True)
COMPLETED = Outcome(RunStatus.COMPLETED)


def finished(run_id: UUID, outcome: Outcome, progress: str | None = None, attempt: int = 1) -> FinishedAttempt:
    """An attempt that has ended."""
    return FinishedAttempt(run_id, attempt, outcome, '{"made": 1}', progress)


async def after(
    db: Database, outcome: Outcome, progress: str | None = None, **held: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A held run before and after an outcome; ``now`` is when."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        run_id = await put_held(
            session, server_id, run_at=now(-300), max_attempts=5, progress='{"processed": 1}', **held
        )
        before = (await runs(session))[run_id]
        assert await attempts.finish(session, server_id, [finished(run_id, outcome, progress)]) == set()
        return before, (await runs(session))[run_id] | {
            "now": await value(session, now()),
            "later": await value(session, now(90)),
        }


async def test_an_attempt_that_is_repeated_leaves_the_run_as_one_that_waits(db: Database) -> None:
    """Nothing tells of the attempt but its result and progress, and the run is due after the delay."""
    before, run = await after(db, AGAIN)
    assert (run["status"], run["run_at"]) == ("pending", run["later"])
    assert (run["server_id"], run["started_at"], run["completed_at"], run["error"]) == (None, None, None, None)
    assert (run["max_attempts"], run["progress"]) == (before["max_attempts"], before["progress"])


async def test_an_attempt_that_is_repeated_at_once_is_due_now(db: Database) -> None:
    """Without a delay the run is due at the time of the statement, and an attempt that was not its fault does not count."""
    before, run = await after(db, RELINQUISHED)
    assert (run["status"], run["run_at"]) == ("pending", run["now"])
    assert run["max_attempts"] == before["max_attempts"] + 1


@pytest.mark.parametrize("outcome", [AGAIN, RELINQUISHED])
async def test_a_cancel_request_goes_before_a_retry(db: Database, outcome: Outcome) -> None:
    """A run that would be tried again ends as failed where a cancel was requested meanwhile, with all that tells of the attempt."""
    before, run = await after(db, outcome, cancel_requested_at=now(-1))
    assert (run["status"], run["error"], run["completed_at"]) == ("failed", outcome.error, run["now"])
    kept = ("server_id", "started_at", "run_at", "max_attempts", "cancel_requested_at", "progress")
    assert {name: run[name] for name in kept} == {name: before[name] for name in kept}


async def test_an_end_keeps_what_tells_of_the_attempt(db: Database) -> None:
    """A run that has completed says when, where and for how long, with its result and its last progress."""
    before, run = await after(db, COMPLETED, progress='{"processed": 7}')
    assert (run["status"], run["error"], run["completed_at"]) == ("completed", None, run["now"])
    assert (run["result"], run["progress"]) == ({"made": 1}, {"processed": 7})
    kept = ("server_id", "started_at", "run_at", "max_attempts")
    assert {name: run[name] for name in kept} == {name: before[name] for name in kept}


async def test_only_what_is_repeated_gets_another_attempt(db: Database) -> None:
    """A run that ends has no attempt more, whoever is to blame for its last one."""
    before, run = await after(db, Outcome(RunStatus.FAILED, error="x", relinquished=True))
    assert (run["status"], run["max_attempts"]) == ("failed", before["max_attempts"])


async def test_what_an_outcome_does_not_say_is_nothing(db: Database) -> None:
    """Without a delay the run is due at once, and without a word about whose fault it was the attempt counts."""
    async with db.session() as session, session.transaction():
        run_id = await put_held(session, server_id := await put_server(session))
        outcome = f'[{{"id": "{run_id}", "attempt": 1, "status": "pending"}}]'
        await session.rows("job_runs/finish", {"server_id": server_id, "outcomes": outcome, "ring": False})
        run = (await runs(session))[run_id]
        assert (run["run_at"], run["max_attempts"]) == (await value(session, now()), 1)


async def test_no_run_ends_before_it_began(db: Database) -> None:
    """Where the clock was put back meanwhile, a run ends when it began."""
    before, run = await after(db, COMPLETED, started_at=now(3600))
    assert run["completed_at"] == before["started_at"]


async def test_an_outcome_touches_no_other_run(db: Database) -> None:
    """Runs of other servers and attempts, our other runs, and those that have ended stay as they are; those asked for are named."""
    async with db.session() as session:
        ours, theirs = await put_server(session), await put_server(session)
        run_id = await put_held(session, ours)
        not_ours = await put_held(session, theirs)
        later = await put_held(session, ours, attempt=2)
        ended = await put_held(session, ours, status="failed", error="x", completed_at=now())
        waiting = await put_run(session, attempt=1)
        await put_held(session, ours)
        before = await runs(session)
        lost = [not_ours, later, ended, waiting]
        outcomes = [finished(one, COMPLETED) for one in [run_id, *lost]]
        assert await attempts.finish(session, ours, outcomes) == set(lost)
        changed = {one for one, row in (await runs(session)).items() if row != before[one]}
    assert changed == {run_id}


async def test_outcomes_ring_for_nobody_unless_told(db: Database) -> None:
    """No worker is woken by an outcome that makes no room for others, nor by one that was not written."""
    async with db.session() as session:
        server_id = await put_server(session)
        run_id = await put_held(session, server_id)
        async with rings(db, "owlrunner_pending") as heard:
            await attempts.finish(session, server_id, [finished(run_id, COMPLETED), finished(uuid4(), COMPLETED)])
            await attempts.finish(session, server_id, [finished(uuid4(), COMPLETED)], ring=True)
        assert heard == []


async def test_outcomes_ring_when_told(db: Database) -> None:
    """Workers of all servers are woken by an outcome that makes room for others."""
    async with db.session() as session:
        server_id = await put_server(session)
        run_id = await put_held(session, server_id)
        async with rings(db, "owlrunner_pending") as heard:
            await attempts.finish(session, server_id, [finished(run_id, COMPLETED)], ring=True)
        assert heard == ["owlrunner_pending"]


async def test_what_an_earlier_statement_wrote_is_ours(db: Database) -> None:
    """An outcome that stands in the table already is not lost; one that differs in any way is."""
    async with db.session() as session:
        ours, theirs = await put_server(session), await put_server(session)
        failed = {"status": "failed", "error": "x", "completed_at": now()}
        same = await put_held(session, ours, **failed)
        other_error = await put_held(session, ours, **failed | {"error": "y"})
        other_status = await put_held(session, ours, **failed | {"status": "completed"})
        other_server = await put_held(session, theirs, **failed)
        other_attempt = await put_held(session, ours, **failed, attempt=2)
        waits, not_again = await put_run(session, attempt=1), await put_run(session, attempt=1)
        waits_later = await put_run(session, attempt=2)
        completed = await put_held(session, ours, **failed | {"status": "completed", "error": None})
        outcome = Outcome(RunStatus.FAILED, error="x")
        outcomes = [
            finished(one, outcome) for one in (same, other_error, other_status, other_server, other_attempt, not_again)
        ]
        outcomes += [
            finished(waits, AGAIN),
            finished(waits_later, AGAIN),
            finished(completed, COMPLETED),
            finished(uuid4(), outcome),
        ]
        lost = await attempts.finish(session, ours, outcomes)
    assert lost == {one.id for one in outcomes} - {same, waits, completed}
