"""Scenarios about what recurs: a fire time that is due makes one run, and is on record."""

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena
from tests.lab.firing import add_schedule, fires, make_due
from tests.lab.scenarios.registry import scenario
from tests.lab.scenarios.runs import LONG

NAME = "lab"


async def _begin(arena: Arena, overlap: str) -> None:
    await add_schedule(arena, NAME, "lab_system", overlap)
    await arena.begin()


async def _one_run_of_fire(arena: Arena) -> None:
    """However often it was tried to decide."""
    ((count,),) = await arena.observer.rows("select count(*) from job_runs where schedule = %s", NAME)
    if count != 1:
        arena.breaks(f"one fire time made {count} runs")


@scenario("schedule", "lab_system")
async def fire(arena: Arena) -> None:
    """A fire time that is due makes one run."""
    await _begin(arena, "skip")
    run_id = await make_due(arena, NAME, "ran")
    assert run_id is not None
    arena.acknowledged.add(run_id)
    await arena.expect(run_id, RunStatus.COMPLETED)
    await _one_run_of_fire(arena)


@scenario("overlap", "lab_system")
async def skip(arena: Arena) -> None:
    """A fire time that meets an active run is skipped, and the run goes on until it is cancelled."""
    await _begin(arena, "skip")
    active = await arena.trigger("lab_system", params={"seconds": LONG})
    await arena.until_executed(active)
    await make_due(arena, NAME, "skipped")
    await arena.cancel(active)
    await arena.expect(active, RunStatus.CANCELLED)


@scenario("queued", "lab_system")
async def queue(arena: Arena) -> None:
    """A fire time that meets an active run waits for its end, and then makes a run."""
    await _begin(arena, "queue")
    active = await arena.trigger("lab_system", params={"seconds": LONG})
    await arena.until_executed(active)
    await make_due(arena, NAME, "queued")
    await arena.cancel(active)
    await arena.expect(active, RunStatus.CANCELLED)

    async def started() -> bool:
        return bool(await fires(arena, NAME, "ran"))

    await arena.until("the queued fire makes its run", started)
    ((run_id,),) = await fires(arena, NAME, "ran")
    assert run_id is not None
    await arena.expect(run_id, RunStatus.COMPLETED)
    await _one_run_of_fire(arena)
