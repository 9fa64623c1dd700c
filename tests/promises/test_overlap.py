"""P1: at most one pending-or-running run per job type, or per job type and project, for every way to start one."""

from uuid import UUID

import pytest
import trio
from serving import OPERATOR, Door, Serve, StartProcess

from owlrunner.actor import ApiKeyActor
from owlrunner.errors import RunAlreadyActive
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.jobs import TriggerRequest


async def trigger_many(
    door: Door, count: int, team: UUID | None, wanted: TriggerRequest
) -> tuple[list[JobRun], list[UUID]]:
    """Trigger at the same instant; returns the runs created and the ids that duplicates were told."""
    created: list[JobRun] = []
    told: list[UUID] = []

    async def one() -> None:
        try:
            created.append(await door.jobs.trigger(OPERATOR, team, wanted))
        except RunAlreadyActive as error:
            told.append(error.existing_run_id)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return created, told


async def test_one_of_many_creates_and_all_are_told(door: Door) -> None:
    """Of 50 triggers at once exactly one creates a run, and the 49 others are told its id."""
    created, told = await trigger_many(door, 50, None, TriggerRequest("polite"))
    assert len(created) == 1
    assert told == [created[0].id] * 49


async def test_projects_do_not_block_each_other(door: Door, project: tuple[UUID, UUID]) -> None:
    """The slot is the job type's and the project's: another project of the team has its own."""
    team, first = project
    [(second,)] = await door.sql("insert into projects (team_id, name, slug) values (%s, 'B', 'b') returning id", team)
    actor = ApiKeyActor(UUID(int=1), "agent", team, frozenset({"jobs:write"}))
    runs = [
        await door.jobs.trigger(actor, team, TriggerRequest("project_work", project_id=str(project_id)))
        for project_id in (first, second)
    ]
    assert runs[0].project_id != runs[1].project_id
    with pytest.raises(RunAlreadyActive) as refused:
        await door.jobs.trigger(actor, team, TriggerRequest("project_work", project_id=str(first)))
    assert refused.value.existing_run_id == runs[0].id


async def test_overlap_allow_is_not_guarded(door: Door) -> None:
    """A job type with overlap="allow" runs beside itself."""
    created, told = await trigger_many(door, 5, None, TriggerRequest("parallel"))
    assert len(created) == 5
    assert told == []


async def test_the_slot_is_free_only_when_the_work_has_ended(door: Door, serve: Serve) -> None:
    """A cancelled run that is still cleaning up keeps its slot; the moment it has ended the next may start."""
    await serve()
    run_id = await door.trigger("slow_to_leave")
    await door.until_told(run_id, "sleeping")
    await door.cancel(run_id)
    await door.until_told(run_id, "cleaning up")
    with pytest.raises(RunAlreadyActive) as refused:
        await door.trigger("slow_to_leave")
    assert refused.value.existing_run_id == run_id
    await door.until(run_id, RunStatus.CANCELLED)
    assert await door.trigger("slow_to_leave") != run_id


async def test_a_run_that_waits_for_its_retry_keeps_its_slot(door: Door, serve: Serve) -> None:
    """Between two attempts the run is pending, and a second one is refused."""
    await serve()
    run_id = await door.trigger("long_wait")
    await door.until(run_id, lambda run: run.attempt == 1 and run.status is RunStatus.PENDING)
    with pytest.raises(RunAlreadyActive) as refused:
        await door.trigger("long_wait")
    assert refused.value.existing_run_id == run_id


async def test_max_running_holds_over_all_servers(door: Door, server_process: StartProcess) -> None:
    """With max_running=2, two servers with room for many never run three at once, and all runs get their turn."""
    for name in ("a", "b"):
        await server_process(name).ready()
    await door.sql("create table seen (running bigint)")
    await door.sql("""
        create function count_running() returns trigger language plpgsql as $$ begin
            insert into seen select count(*) from job_runs where status = 'running'; return null; end $$
    """)
    await door.sql(
        "create trigger count_running after update on job_runs for each statement execute function count_running()"
    )
    runs = [await door.trigger("at_most_two", params={"steps": 2, "seconds": 0.02}) for _ in range(12)]
    for run_id in runs:
        await door.until(run_id, RunStatus.COMPLETED)
    [(most,)] = await door.sql("select max(running) from seen")
    assert most == 2
