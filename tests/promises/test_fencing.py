"""P2: only the server that holds a run, in the attempt that it holds, writes its outcome, progress and logs."""

import signal
from uuid import UUID, uuid4

import pytest

from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import FinishedAttempt, Offer
from owlrunner.storage.servers import Registration
from tests.promises.serving import Door, StartProcess


async def claim_as(door: Door, server_id: UUID, name: str, job_type: str) -> None:
    """Register a server and let it claim."""
    async with door.db.session() as session:
        await servers.register(session, Registration(server_id, name, "1", [job_type], 1, 30.0))
        assert len(await attempts.claim_pending(session, server_id, [Offer(job_type, "f")], 1)) == 1


@pytest.mark.parametrize(("wrong_server", "wrong_attempt"), [(True, False), (False, True)])
async def test_a_late_write_changes_nothing(door: Door, wrong_server: bool, wrong_attempt: bool) -> None:
    """An outcome, progress or log line of another server, or of an earlier attempt, is not written."""
    run_id = await door.trigger("polite")
    holder = uuid4()
    await claim_as(door, holder, "holder", "polite")
    writer = uuid4() if wrong_server else holder
    attempt = 7 if wrong_attempt else 1
    async with door.db.session() as session:
        late = FinishedAttempt(run_id, attempt, Outcome(RunStatus.COMPLETED), '{"late": true}', None)
        assert await attempts.finish(session, writer, [late]) == {run_id}
        await attempts.save_progress(session, writer, [(run_id, attempt, Progress(1, 2), True)])
        await attempts.append_logs(session, writer, [(run_id, attempt, LogLine(1, 0.0, "info", "x", "late"))], 0.0)
    run = await door.view(run_id)
    assert (run.status, run.result, run.progress) == (RunStatus.RUNNING, None, None)
    assert await door.sql("select count(*) from job_run_logs") == [(0,)]


async def test_a_buried_server_claims_nothing(door: Door) -> None:
    """A server that was taken for dead cannot take runs under its old id."""
    await door.trigger("polite")
    server_id = uuid4()
    async with door.db.session() as session:
        await servers.register(session, Registration(server_id, "a", "1", ["polite"], 1, 30.0))
        await servers.leave(session, server_id)
        assert await attempts.claim_pending(session, server_id, [Offer("polite", "f")], 1) == []


async def test_a_server_that_was_away_too_long_loses_its_run(door: Door, server_process: StartProcess) -> None:
    """Stopped past its lease, a server returns to a run failed by another: it writes nothing, and goes on."""
    first = server_process("first", lease=2)
    await first.ready()
    run_id = await door.trigger("polite", params={"steps": 100_000, "seconds": 0.01})
    await door.until(run_id, lambda run: run.progress is not None)
    second = server_process("second", lease=2)
    await second.ready()
    first.signal(signal.SIGSTOP)
    failed = await door.until(run_id, RunStatus.FAILED)
    assert failed.error == "Server restarted during execution"
    first.signal(signal.SIGCONT)
    await first.logged("lease lost")
    await first.logged(f"the outcome of run {run_id}")
    assert await door.view(run_id) == failed
    # It takes part again, under a new id: without the second server it is the one to run this.
    second.kill()
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
