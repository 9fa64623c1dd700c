"""Scenarios about what recurs: a fire time that is due makes one run, and is on record."""

from uuid import UUID

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena, lost_its_lease
from tests.lab.broken import Broken
from tests.lab.firing import Fire, add_schedule, fire_of, make_due
from tests.lab.scenarios.registry import scenario
from tests.lab.scenarios.runs import LONG

NAME = "lab"


async def _begin(arena: Arena, overlap: str) -> None:
    await add_schedule(arena, NAME, "lab_system", overlap)
    await arena.begin()


async def _meet_active_run(arena: Arena, outcome: str) -> Fire:
    """Let the schedule fire while a run is active, which is then cancelled."""
    active = await arena.trigger("lab_system", params={"seconds": LONG})
    await arena.until_executed(active)
    fire = await make_due(arena, NAME)
    await arena.cancel(active)
    run = await arena.expect(active, RunStatus.CANCELLED)
    # Where the run has lost its lease, nothing may have been active any more.
    if fire.outcome != outcome and not lost_its_lease(run):
        arena.breaks(f"the fire is {fire.outcome}, expected {outcome}")
    return fire


async def _completes(arena: Arena, run_id: UUID | None) -> None:
    """The fire has made one run, however often it was tried to decide, and that completes."""
    if run_id is None:
        raise Broken("the fire has no run")
    arena.acknowledged.add(run_id)
    await arena.expect(run_id, RunStatus.COMPLETED)
    ((count,),) = await arena.observer.rows("select count(*) from job_runs where schedule = %s", NAME)
    if count != 1:
        arena.breaks(f"one fire time made {count} runs")


@scenario("schedule", "lab_system")
async def fire(arena: Arena) -> None:
    """A fire time that is due makes one run."""
    await _begin(arena, "skip")
    await _completes(arena, (await make_due(arena, NAME)).run_id)


@scenario("overlap", "lab_system")
async def skip(arena: Arena) -> None:
    """A fire time that meets an active run is skipped, and the run goes on until it is cancelled."""
    await _begin(arena, "skip")
    await _meet_active_run(arena, "skipped")


@scenario("queued", "lab_system")
async def queue(arena: Arena) -> None:
    """A fire time that meets an active run waits for its end, and then makes a run."""
    await _begin(arena, "queue")
    await _meet_active_run(arena, "queued")

    async def started() -> bool:
        fire = await fire_of(arena, NAME)
        return fire is not None and fire.outcome == "ran"

    await arena.until("the queued fire makes its run", started)
    fire = await fire_of(arena, NAME)
    await _completes(arena, fire.run_id if fire is not None else None)
