"""P5: a starting server ends what dead servers left, before its port opens, and never touches a living server's run."""

from uuid import uuid4

import trio

from owlrunner.job_run import RunStatus
from owlrunner.storage import attempts, servers
from owlrunner.storage.attempts import Offer
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
