"""P3: a cancel request reaches the handler on any server, and what it waits for in PostgreSQL ends too."""

from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, Serve, StartProcess


async def test_a_pending_run_is_cancelled_at_once(door: Door) -> None:
    """Without any server a pending run ends by the request itself."""
    run_id = await door.trigger("polite")
    assert await door.cancel(run_id) is RunStatus.CANCELLED
    run = await door.view(run_id)
    assert (run.status, run.cancelled_by) == (RunStatus.CANCELLED, "operator")
    assert run.completed_at is not None


async def test_a_polite_handler_leaves_with_its_partial_result(door: Door, serve: Serve) -> None:
    """is_cancelled() tells true at once, long before the grace is over, and what the handler returns is kept."""
    await serve()
    run_id = await door.trigger("polite", params={"steps": 10_000, "seconds": 0.01})
    await door.until(run_id, lambda run: run.progress is not None and run.progress["processed"] >= 3)
    assert await door.cancel(run_id) is RunStatus.RUNNING
    run = await door.until(run_id, RunStatus.CANCELLED)
    assert 3 <= run.result["done"] < 10_000


async def test_a_deaf_handler_is_cut(door: Door, serve: Serve) -> None:
    """A handler that never looks is ended by Trio's Cancelled."""
    await serve()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)


async def test_the_request_crosses_servers(door: Door, server_process: StartProcess) -> None:
    """A request made here reaches the handler in another process."""
    await server_process("other").ready()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)


async def test_polling_hears_it_too(door: Door, serve: Serve) -> None:
    """Without the doorbell a claim and a cancel request are found by looking."""
    await serve(wakeups="poll", poll_interval=0.05)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)


async def test_the_query_is_cancelled_in_postgresql(door: Door, serve: Serve) -> None:
    """A statement that the handler waits for has ended in the server when the run is cancelled."""
    running = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and query like '%%in_a_query%%' and state = 'active' and pid <> pg_backend_pid()"
    )
    await serve()
    run_id = await door.trigger("in_a_query")
    await door.until_told(run_id, "asking")
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)
    assert await door.sql(running) == [(0,)]


async def test_a_run_between_two_attempts_is_cancelled_at_once(door: Door, serve: Serve) -> None:
    """A run that waits for its retry is pending, so nothing has to end first."""
    await serve()
    run_id = await door.trigger("long_wait")
    await door.until(run_id, lambda run: run.attempt == 1 and run.status is RunStatus.PENDING)
    assert await door.cancel(run_id) is RunStatus.CANCELLED
