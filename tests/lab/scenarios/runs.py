"""Scenarios about one run, from its trigger to its end."""

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena, lost_its_lease
from tests.lab.http_client import cancel_over_http, trigger_over_http
from tests.lab.scenarios.registry import scenario

STEPS = 5
LONG = 3600.0


@scenario("trigger")
async def trigger(arena: Arena) -> None:
    """A run that is triggered over HTTP is there, and is executed; a client that was told 503 asks again."""
    await arena.begin()
    run_id = await trigger_over_http(arena)
    await arena.expect(run_id, RunStatus.COMPLETED)


@scenario("finish", "lab_system")
async def finish(arena: Arena) -> None:
    """A run is claimed and executed, and its outcome is written."""
    await arena.begin()
    await arena.expect(await arena.trigger("lab_system"), RunStatus.COMPLETED)


@scenario(
    "limited", "lab_limited", environ={"OWLRUNNER_SERVER__PLUGINS": '["tests.lab.lab_jobs", "tests.lab.limited_jobs"]'}
)
async def limited(arena: Arena) -> None:
    """A run of a job type of which one may run at a time is claimed and executed."""
    await arena.begin()
    await arena.expect(await arena.trigger("lab_limited"), RunStatus.COMPLETED)


@scenario("progress", "lab_system")
async def progress(arena: Arena) -> None:
    """What a handler tells is stored: its last progress, and each line of its log once."""
    await arena.begin()
    run_id = await arena.trigger("lab_system", params={"seconds": 1.0, "steps": STEPS})
    run = await arena.expect(run_id, RunStatus.COMPLETED, nominal=1.0)
    if run.status is not RunStatus.COMPLETED:
        return
    if (run.progress or {}).get("processed") != STEPS:
        arena.breaks(f"the last progress was not stored: {run.progress}")
    lines = await arena.observer.rows(
        "select message from job_run_logs where run_id = %s and message like 'line %%' order by message", run_id
    )
    if [line for (line,) in lines] != [f"line {step}" for step in range(1, STEPS + 1)]:
        arena.breaks(f"the log has {[line for (line,) in lines]}")


@scenario("retry", "lab_retried")
async def retry(arena: Arena) -> None:
    """A run that fails twice is executed three times."""
    await arena.begin()
    run = await arena.expect(await arena.trigger("lab_retried"), RunStatus.COMPLETED, nominal=1.0)
    if lost_its_lease(run):
        arena.breaks("attempts were left, and the run failed")


@scenario("timeout", "lab_timed")
async def timeout(arena: Arena) -> None:
    """A run that takes too long fails, and says so."""
    await arena.begin()
    run = await arena.expect(await arena.trigger("lab_timed", params={"seconds": LONG}), RunStatus.FAILED, nominal=0.5)
    if not lost_its_lease(run) and "Timed out" not in (run.error or ""):
        arena.breaks(f"the run timed out and says {run.error!r}")


@scenario("cancel")
async def cancel(arena: Arena) -> None:
    """A cancel request over HTTP reaches the handler."""
    await arena.begin()
    run_id = await arena.trigger_for_project(params={"seconds": LONG})
    await arena.until_executed(run_id)
    await cancel_over_http(arena, run_id)
    await arena.expect(run_id, RunStatus.CANCELLED)


@scenario("cancel-pending")
async def cancel_pending(arena: Arena) -> None:
    """A run that waits is cancelled at once, and never executed."""
    await arena.begin()
    run_id = await arena.trigger_for_project(run_at="1h")
    await cancel_over_http(arena, run_id)
    await arena.expect(run_id, RunStatus.CANCELLED)
    if arena.diary.of(run_id):
        arena.breaks("a run that was cancelled while it waited was executed")


@scenario("idle", "lab_system")
async def idle(arena: Arena) -> None:
    """A run goes on for two leases while the server keeps itself alive."""
    await arena.begin()
    seconds = 2 * arena.setting.lease
    run_id = await arena.trigger("lab_system", params={"seconds": seconds})
    await arena.expect(run_id, RunStatus.COMPLETED, nominal=seconds)
