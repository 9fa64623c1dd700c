"""P5: a starting server ends what dead servers left, before its port opens, and never touches a living server's run."""

from uuid import uuid4

import trio

from owlrunner.job_run import RunStatus
from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import Offer
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import Registration
from owlrunner.trigger_request import TriggerRequest
from tests.promises.serving import OPERATOR, Door, Serve, StartProcess

RESTARTED = "Server restarted during execution"


async def test_a_killed_servers_run_is_failed_at_the_restart(door: Door, server_process: StartProcess) -> None:
    """After SIGKILL the restarted server of the same name fails the run at once, and the slot is free."""
    server = server_process("a")
    await server.ready()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    server.kill()
    await server_process("a").ready()
    run = await door.view(run_id)
    assert (run.status, run.error) == (RunStatus.FAILED, RESTARTED)
    assert await door.trigger("deaf") != run_id


async def test_a_living_servers_run_is_left_alone(door: Door, server_process: StartProcess) -> None:
    """Another server that starts beside it changes nothing of a run in progress, or of one that waits for its turn."""
    await server_process("a", capacity=1).ready()
    running = await door.trigger("deaf")
    await door.until_told(running, "sleeping")
    waiting = await door.trigger("parallel", run_at="1h")
    await server_process("b").ready()
    assert (await door.view(running)).status is RunStatus.RUNNING
    assert (await door.view(waiting)).status is RunStatus.PENDING


async def test_another_server_takes_over_when_the_lease_runs_out(door: Door, server_process: StartProcess) -> None:
    """Nobody has to restart anything: a living server finds the dead one by its lease."""
    dead = server_process("dead", lease=2)
    await dead.ready()
    failing = await door.trigger("deaf")
    requeued = await door.trigger("second_start")
    await door.until_told(failing, "sleeping")
    await door.until(requeued, RunStatus.RUNNING)
    await server_process("living", lease=2).ready()
    dead.kill()
    assert (await door.until(failing, RunStatus.FAILED)).error == RESTARTED
    assert (await door.until(requeued, RunStatus.COMPLETED)).result == {"attempt": 2}
    assert [line.message for line in await door.jobs.logs(OPERATOR, requeued, (0, 0), 10)] == [RESTARTED]


async def test_what_waited_while_nobody_was_there_is_failed(door: Door, serve: Serve) -> None:
    """Due pending runs end at the start of the only server; later ones, requeueing ones and those with retries stay."""
    due = await door.trigger("deaf")
    later = await door.trigger("polite", run_at="1h")
    requeued = await door.trigger("requeued")
    retrying = await door.trigger("third_time_lucky")
    await serve(fail_waiting_after=0)
    assert (await door.view(due)).error == RESTARTED
    assert (await door.view(later)).status is RunStatus.PENDING
    await door.until(requeued, RunStatus.COMPLETED)
    await door.until(retrying, RunStatus.COMPLETED)


async def test_the_backlog_of_servers_that_were_alive_a_moment_ago_stays(door: Door, serve: Serve) -> None:
    """A starting server fails nothing that waits for servers whose lease has just run out, or that have just left in order."""
    waiting = await door.trigger("parallel", run_at="2020-01-01T00:00:00Z")
    await door.sql("update job_runs set run_at = now() - interval '1 hour'")
    for number, (lease, dead) in enumerate([("-1 second", None), ("1 hour", "-1 second")]):
        await door.sql(
            "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at, buried_at)"
            " values (gen_random_uuid(), %s, '1', '{}', 1, now(), now() + %s::interval, now() + %s::interval)",
            f"gone {number}",
            lease,
            dead,
        )
        await door.sql(
            "update servers set lease_expires_at = now() - interval '1 day', buried_at = now() - interval '1 day' where name <> %s",
            f"gone {number}",
        )
        server = await serve(fail_waiting_after=60, capacity=1, name=f"new {number}")
        await door.until(waiting, RunStatus.COMPLETED)
        await server.stop()
        waiting = await door.trigger("parallel")
        await door.sql("update job_runs set run_at = now() - interval '1 hour' where status = 'pending'")


async def test_what_waited_for_too_long_is_failed(door: Door, serve: Serve) -> None:
    """When no server was alive for the configured time, what had been due for as long fails, and what came later is run."""
    old, young = await door.trigger("deaf"), await door.trigger("parallel")
    await door.sql("update job_runs set run_at = now() - interval '61 seconds' where id = %s", old)
    await door.sql("update job_runs set run_at = now() - interval '30 seconds' where id = %s", young)
    await serve(fail_waiting_after=60)
    assert (await door.view(old)).error == RESTARTED
    await door.until(young, RunStatus.COMPLETED)


async def test_thousands_of_stale_runs_are_ended_step_by_step(door: Door, serve: Serve) -> None:
    """A dead server's runs are all ended before the next one is ready, though one statement takes only so many."""
    await door.sql(
        "insert into job_runs (job_type, triggered_by, exclusive, status, server_id, started_at, attempt)"
        " select 'parallel', 'operator', false, 'running', gen_random_uuid(), now(), 1 from generate_series(1, 1234)"
    )
    await serve()
    assert await door.sql("select status::text, count(*) from job_runs group by status") == [("failed", 1234)]


async def test_a_dead_servers_uncommitted_line_does_not_stop_recovery(door: Door, database_url: str) -> None:
    """Recovery notes why a run goes back though the dead server still holds a line of its log that is not committed."""
    run_id = await door.trigger("requeued")
    await door.sql(
        "update job_runs set status = 'running', server_id = gen_random_uuid(), started_at = now(), attempt = 1"
    )
    line = "insert into job_run_logs values (%s, 1, 1, now(), 'info', 'x', 'late')"
    async with Database(database_url) as other, other.session() as session, session.transaction():
        await session.connection.execute(line.encode(), (run_id,))
        with trio.fail_after(10):
            async with door.db.session() as recovering:
                await recovering.rows("job_runs/fail_stale", {"limit": 10})
    assert [line.message for line in await door.jobs.logs(OPERATOR, run_id, (0, 0), 10)] == ["late", RESTARTED]


async def test_attempts_that_end_their_server_are_counted(door: Door) -> None:
    """A run with a thousand retries whose every attempt takes the server with it is not started an eleventh time."""
    run_id = await door.trigger("third_time_lucky")
    await door.sql("update job_runs set max_attempts = 1000")
    for number in range(1, 12):
        await door.sql(
            "update job_runs set status = 'running', server_id = gen_random_uuid(), started_at = now(), attempt = attempt + 1"
        )
        async with door.db.session() as session:
            await session.rows("job_runs/fail_stale", {"limit": 10})
        expected = RunStatus.PENDING if number <= 10 else RunStatus.FAILED
        assert (await door.view(run_id)).status is expected


async def test_recovery_has_happened_when_the_port_opens(door: Door, server_process: StartProcess) -> None:
    """Nobody can trigger a run through a server whose recovery is still to come: ready means recovered."""
    first = server_process("a")
    await first.ready()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    first.kill()
    second = server_process("a")
    await second.ready()
    recovered = next(number for number, line in enumerate(second.lines) if "recovered" in line)
    ready = next(number for number, line in enumerate(second.lines) if "is ready at" in line)
    assert recovered < ready


async def test_a_run_that_kills_its_servers_is_not_started_for_ever(door: Door) -> None:
    """A requeueing run goes back ten times, and then it fails."""
    run_id = await door.trigger("requeued")
    for number in range(1, 12):
        await door.sql(
            "update job_runs set status = 'running', server_id = gen_random_uuid(), started_at = now(), attempt = attempt + 1"
        )
        async with door.db.session() as session:
            await session.rows("job_runs/fail_stale", {"limit": 10})
        expected = RunStatus.PENDING if number <= 10 else RunStatus.FAILED
        assert (await door.view(run_id)).status is expected


async def test_a_lost_answer_to_a_claim_loses_no_run(door: Door) -> None:
    """A run that was claimed in our name by a statement whose answer never came goes back; those we know of stay."""
    lost, known = await door.trigger("parallel"), await door.trigger("parallel")
    server_id = uuid4()
    async with door.db.session() as session:
        await servers.register(session, Registration(server_id, "a", "1", ["parallel"], 5, 30.0))
        assert len(await attempts.claim_pending(session, server_id, [Offer("parallel", "f")], 5)) == 2
        assert await attempts.release_unstarted(session, server_id, [(known, 1)]) == [lost]
    assert (await door.view(lost)).status is RunStatus.PENDING
    assert (await door.view(known)).status is RunStatus.RUNNING


async def test_cancel_requests_survive_the_restart(door: Door, server_process: StartProcess) -> None:
    """A run whose cancel was requested is not started again by recovery, though it could be requeued."""
    server = server_process("a")
    await server.ready()
    run_id = await door.trigger("requeued", params={"steps": 1000, "seconds": 0.05})
    await door.until(run_id, RunStatus.RUNNING)
    await door.sql("update job_runs set cancel_requested_at = now() where id = %s", run_id)
    server.kill()
    await server_process("a").ready()
    assert (await door.view(run_id)).status is RunStatus.FAILED


async def test_trigger_during_recovery(door: Door) -> None:
    """A trigger that meets a recovering server gets either the old run's id or a run of its own, never neither."""
    run_id = await door.trigger("deaf")
    await door.sql(
        "update job_runs set status = 'running', server_id = gen_random_uuid(), started_at = now(), attempt = 1"
    )
    answers: list[object] = []

    async def trigger() -> None:
        try:
            answers.append((await door.jobs.trigger(OPERATOR, None, TriggerRequest("deaf"))).id)
        except Exception as error:  # noqa: BLE001 - collected and judged below
            answers.append(getattr(error, "existing_run_id", error))

    async def recover() -> None:
        async with door.db.session() as session:
            await session.rows("job_runs/fail_stale", {"limit": 10})

    async with trio.open_nursery() as nursery:
        for action in (trigger, recover, trigger, trigger):
            nursery.start_soon(action)
    new = {answer for answer in answers if answer != run_id}
    assert len(answers) == 3
    assert len(new) <= 1
    assert all(type(answer) is type(run_id) for answer in new)
