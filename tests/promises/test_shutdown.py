"""P13: SIGTERM stops the intake, gives runs their grace, then cuts them; a deploy never looks like a user's cancel."""

import signal

import trio.testing

from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, Serve, StartProcess


async def test_runs_that_end_within_the_grace_complete(door: Door, serve: Serve) -> None:
    """A run that needs a moment more gets it."""
    server = await serve(shutdown_grace=10)
    run_id = await door.trigger("polite", params={"steps": 5, "seconds": 0.1})
    await door.until(run_id, RunStatus.RUNNING)
    await server.stop()
    assert (await door.view(run_id)).result == {"done": 5}


async def test_runs_that_do_not_are_failed_and_say_why(door: Door, serve: Serve) -> None:
    """Past the grace a run is cut, also one that looks at is_cancelled(), and fails with the server's reason."""
    server = await serve(shutdown_grace=0.1)
    deaf = await door.trigger("deaf")
    polite = await door.trigger("polite", params={"steps": 1000, "seconds": 0.01})
    await door.until_told(deaf, "sleeping")
    await door.until(polite, RunStatus.RUNNING)
    await server.stop()
    for run_id in (deaf, polite):
        run = await door.view(run_id)
        assert (run.status, run.error) == (RunStatus.FAILED, "Server shut down during execution")


async def test_requeueing_runs_go_back_and_are_run_again(door: Door, serve: Serve) -> None:
    """With on_restart="requeue" the run is pending after the shutdown, and the next server completes it."""
    server = await serve(shutdown_grace=0.0)
    run_id = await door.trigger("requeued", params={"steps": 10, "seconds": 0.1})
    await door.until(run_id, RunStatus.RUNNING)
    await server.stop()
    run = await door.view(run_id)
    assert (run.status, run.attempt, run.max_attempts) == (RunStatus.PENDING, 1, 2)
    await serve()
    assert (await door.until(run_id, RunStatus.COMPLETED)).result == {"attempt": 2}


async def test_a_stopping_server_claims_nothing_more(door: Door, serve: Serve) -> None:
    """What is triggered while the last run gets its grace stays pending."""
    server = await serve(shutdown_grace=10)
    running = await door.trigger("polite", params={"steps": 10, "seconds": 0.1})
    await door.until(running, RunStatus.RUNNING)
    server.request_stop()
    await trio.testing.wait_all_tasks_blocked(0.05)
    late = await door.trigger("parallel")
    await server.stop()
    assert (await door.view(running)).status is RunStatus.COMPLETED
    assert (await door.view(late)).status is RunStatus.PENDING


async def test_sigterm_ends_the_process_in_order(door: Door, server_process: StartProcess) -> None:
    """The process ends with 0, its run has its outcome, and it has left the register of the living."""
    server = server_process("a", shutdown_grace=0.1)
    await server.ready()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    assert (await door.view(run_id)).error == "Server shut down during execution"
    assert await door.sql("select count(*) from servers where buried_at is null") == [(0,)]
