"""The test kit: a plugin author's tests see what a server would do."""

import attrs
import pytest
import trio
import trio.testing

import owlrunner
import owlrunner.testing
from owlrunner.errors import InvalidParams


@attrs.frozen
class Steps:
    """How many."""

    steps: int = 5


@owlrunner.job_type(scope="project")
async def counting(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Count, and leave politely."""
    for step in range(params.steps):
        if ctx.is_cancelled():
            return {"counted": step}
        ctx.log.info("step %d", step)
        ctx.progress(step, params.steps)
        await trio.sleep(1)
    return {"counted": params.steps}


@owlrunner.job_type(scope="system", on_restart="requeue")
async def asking(ctx: owlrunner.JobContext) -> dict[str, int]:
    """Ask the database."""
    ctx.progress(0, 1)
    async with ctx.connect() as connection:
        cursor = await connection.execute("select 42")
        row = await cursor.fetchone()
    assert row is not None
    return {"answer": row[0]}


async def test_a_run_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    """Status, result, progress and log lines are reported; time is virtual where the test wants it."""
    report = await owlrunner.testing.run(counting, {"steps": "3"})
    assert (report.status, report.result) == ("completed", {"counted": 3})
    assert report.progress[-1] == owlrunner.Progress(3, 3)
    assert report.logs == ("step 0", "step 1", "step 2")


async def test_a_cancel_request(autojump_clock: trio.testing.MockClock) -> None:
    """cancel_when turns one progress into the moment of a cancel request."""
    report = await owlrunner.testing.run(counting, cancel_when=lambda progress: progress.processed == 2)
    assert (report.status, report.result) == ("cancelled", {"counted": 3})


@owlrunner.job_type(scope="system")
async def in_a_thread(ctx: owlrunner.JobContext) -> int:
    """Tell progress from a thread until cancelled."""

    def work() -> int:
        step = 0
        while not ctx.is_cancelled():
            step += 1
            ctx.progress(step, 0)
        return step

    return await trio.to_thread.run_sync(work)


async def test_progress_from_a_thread_may_be_the_moment_of_a_cancel() -> None:
    """cancel_when works for handlers that tell their progress from threads."""
    report = await owlrunner.testing.run(in_a_thread, cancel_when=lambda progress: progress.processed == 3)
    assert (report.status, report.result) == ("cancelled", 3)


async def test_a_stopping_server() -> None:
    """shut_down_when is the end of a stopping server's patience; a requeueing run goes back."""
    report = await owlrunner.testing.run(asking, shut_down_when=lambda _: True)
    assert report.status == "pending"


async def test_params_that_do_not_fit() -> None:
    """Params are refused as the API refuses them."""
    with pytest.raises(InvalidParams, match=r"params\.step: unknown key"):
        await owlrunner.testing.run(counting, {"step": 3})


async def test_a_database(database_url: str) -> None:
    """ctx.connect() goes where the test says, and without that the mistake is told."""
    assert (await owlrunner.testing.run(asking, database_url=database_url)).result == {"answer": 42}
    assert "pass database_url" in str((await owlrunner.testing.run(asking)).error)
