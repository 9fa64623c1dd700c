"""P1: at most one pending-or-running run per job type, or per job type and project, for every way to start one."""

import sys
from uuid import UUID

import pytest
import trio

from owlrunner.actor import ApiKeyActor
from owlrunner.errors import Refused, RunAlreadyActive
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.trigger_request import TriggerRequest
from tests.promises.serving import OPERATOR, Door, Serve, StartProcess


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


CALLER = """
import sys, httpx, trio

async def main(url, key, body, count):
    answers = []
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as http:
        async def call():
            answer = await http.post(url, json=body)
            answers.append((answer.status_code, answer.json()))
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(call)
    for status, answer in answers:
        print(status, answer["job_run"]["id"] if status == 201 else answer.get("existing_run_id"))

trio.run(main, sys.argv[1], sys.argv[2], {"job_type": "project_work", "project_id": sys.argv[3], "params": {"steps": 10000}}, 50)
"""


async def test_two_hundred_triggers_from_four_processes(
    door: Door, project: tuple[UUID, UUID], server_process: StartProcess
) -> None:
    """Of 200 HTTP triggers at once from 4 processes, one gets 201 and 199 get 409 with that run's id."""
    team, project_id = project
    raw_key = f"owl_agent_{'a' * 48}"
    await door.sql(
        "with u as (insert into users (email, name) values ('a@example.org', 'A') returning id)"
        " insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions)"
        " select encode(sha256(%s::bytea), 'hex'), 'owl_agent_aaaaaa', 'agent', %s, 'key', u.id, '[\"jobs:write\"]' from u",
        raw_key,
        team,
    )
    url = f"{await server_process('a').ready()}/v1/teams/{team}/jobs/trigger"
    outputs: list[str] = []

    async def caller() -> None:
        done = await trio.run_process(
            [sys.executable, "-c", CALLER, url, raw_key, str(project_id)], capture_stdout=True
        )
        outputs.extend(done.stdout.decode().splitlines())

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(caller)
    created = [line.split()[1] for line in outputs if line.startswith("201 ")]
    assert len(created) == 1
    assert sorted(outputs) == sorted([f"201 {created[0]}"] + [f"409 {created[0]}"] * 199)


async def test_batches_at_the_same_instant(door: Door, project: tuple[UUID, UUID]) -> None:
    """Of many batches that name the same slots in different orders each slot gets one run, all are told it, and none dies."""
    team, _ = project
    rows = await door.sql(
        "insert into projects (team_id, name, slug) select %s, 'P', 'p' || n from generate_series(1, 40) n returning id",
        team,
    )
    projects = [str(row[0]) for row in rows]
    answers: list[dict[str, UUID | Refused]] = []

    async def send(order: list[str]) -> None:
        wanted = [TriggerRequest("project_work", project_id=one) for one in order]
        told = await door.jobs.trigger_many(OPERATOR, team, wanted)
        answers.append(dict(zip(order, told, strict=True)))

    async with trio.open_nursery() as nursery:
        for turn in range(8):
            nursery.start_soon(send, projects[turn:] + projects[:turn] if turn % 2 else projects[::-1])
    for one in projects:
        told = [answer[one] for answer in answers]
        created = [answer for answer in told if isinstance(answer, UUID)]
        assert len(created) == 1
        existing = [answer.existing_run_id for answer in told if isinstance(answer, RunAlreadyActive)]
        assert existing == created * 7


INSERT = (
    "insert into job_runs (job_type, team_id, project_id, triggered_by) values ('project_work', %s, %s, 'elsewhere')"
)
WAITING = (
    "select count(*) = 1 from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'"
)


async def test_a_batch_that_dies_in_a_deadlock_is_sent_again(door: Door, project: tuple[UUID, UUID]) -> None:
    """PostgreSQL undoes a batch that waits in a circle with somebody else; the caller hears of what holds afterwards."""
    team, _ = project
    rows = await door.sql(
        "insert into projects (team_id, name, slug) select %s, 'P', 'p' || n from generate_series(1, 2) n returning id",
        team,
    )
    first, second = sorted(row[0] for row in rows)
    told: list[UUID | Refused] = []

    async def send() -> None:
        wanted = [TriggerRequest("project_work", project_id=str(one)) for one in (first, second)]
        told.extend(await door.jobs.trigger_many(OPERATOR, team, wanted))

    async with trio.open_nursery() as nursery, door.db.session() as session, session.transaction():
        # Of the two it is the batch that finds out and dies.
        await session.connection.execute("set local deadlock_timeout = '1min'")
        await session.connection.execute(INSERT, (team, second))
        nursery.start_soon(send)
        while await door.sql(WAITING) != [(True,)]:
            await trio.sleep(0.01)
        await session.connection.execute(INSERT, (team, first))
    assert [type(one) for one in told] == [RunAlreadyActive, RunAlreadyActive]


async def test_a_batch_without_the_guard(door: Door) -> None:
    """A job type with overlap="allow" gets a run for every item, each with its params and its due time."""
    wanted = [TriggerRequest("parallel", params={"steps": number}, run_at=f"{number}h") for number in range(1, 4)]
    told = await door.jobs.trigger_many(OPERATOR, None, wanted)
    rows = await door.sql(
        "select id, params, extract(epoch from run_at - created_at)::int from job_runs order by run_at"
    )
    assert rows == [(run_id, {"steps": number}, number * 3600) for number, run_id in enumerate(told, 1)]
