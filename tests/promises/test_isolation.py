"""P12: one handler's misbehaviour is its own; one that blocks the event loop is named, and lapses nobody's lease."""

from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, StartProcess


async def test_a_blocking_handler_lapses_no_lease_and_is_named(door: Door, server_process: StartProcess) -> None:
    """With a lease of 2 s a handler blocks the loop for 7: no run is lost, and the log names job type, file, line and duration."""
    blocked = server_process("blocked", lease=2)
    await blocked.ready()
    beside = await door.trigger("polite", params={"steps": 100, "seconds": 0.1})
    await door.until(beside, RunStatus.RUNNING)
    blocking = await door.trigger("blocking", params={"seconds": 7})
    await door.until(blocking, RunStatus.RUNNING)
    # This one would take the runs over if the lease lapsed.
    await server_process("other", lease=2).ready()
    line = await blocked.logged("has been blocking the event loop")
    assert "blocking" in line
    assert str(blocking) in line
    assert "promise_jobs.py:" in line
    assert (await door.until(blocking, RunStatus.COMPLETED)).attempt == 1
    assert (await door.until(beside, RunStatus.COMPLETED)).attempt == 1
    await blocked.logged("blocked the event loop for")


async def test_a_hopelessly_blocked_server_gives_up_its_runs(door: Door, server_process: StartProcess) -> None:
    """Past stall_limit the heartbeat stops, and another server takes over."""
    blocked = server_process("blocked", lease=2, stall_limit=2)
    await blocked.ready()
    run_id = await door.trigger("blocking", params={"seconds": 60})
    await door.until(run_id, RunStatus.RUNNING)
    await server_process("other", lease=2).ready()
    run = await door.until(run_id, RunStatus.FAILED)
    assert run.error == "Server restarted during execution"
