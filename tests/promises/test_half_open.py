"""P15 and P16: connections that fall silent without being closed stop nothing, and an answer that never came is looked up."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import trio

from owlrunner.errors import RunAlreadyActive
from owlrunner.job_run import RunStatus
from owlrunner.jobs import Jobs
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.pooler import Pooled, needs_listen
from tests.promises.serving import OPERATOR, Door, LogEar, Serve
from tests.relay import Relay

LEASE = 3.0

# The relay stands where the pooler would. Behind one each statement has a transaction of its own, and what is lost is its commit.
pytestmark = needs_listen


@pytest.fixture
def pooled(relay: Relay) -> Pooled:
    """Servers reach the database through the relay."""
    return lambda _: relay.conninfo


async def test_a_held_runs_outcome_is_written(door: Door, serve: Serve, relay: Relay) -> None:
    """A run that ends while every connection is silent has its outcome as soon as a new connection stands."""
    await serve(lease=LEASE)
    run_id = await door.trigger("polite", params={"steps": 20, "seconds": 0.1})
    await door.until(run_id, lambda run: run.progress is not None)
    relay.silence()
    run = await door.until(run_id, lambda run: run.completed_at is not None)
    assert (run.status, run.result) == (RunStatus.COMPLETED, {"done": 20})


async def test_a_new_run_starts_and_a_cancel_is_heard(door: Door, serve: Serve, relay: Relay) -> None:
    """After every connection has fallen silent a new run is claimed, and a cancel request reaches its handler."""
    await serve(lease=LEASE, poll_interval=600)
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    relay.silence()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    relay.silence()
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)


async def test_a_handlers_statement_ends(door: Door, serve: Serve, relay: Relay) -> None:
    """A handler whose connection has fallen silent gets an error from its statement, however long that might have taken."""
    await serve(lease=LEASE)
    run_id = await door.trigger("in_a_query")
    await door.until_told(run_id, "asking")
    relay.silence()
    # It is at work in the server, so it is waited for.
    await door.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%%in_a_query */'")
    run = await door.until(run_id, lambda run: run.completed_at is not None)
    assert run.status is RunStatus.FAILED
    assert "the answer was lost" in (run.error or "")


async def test_the_server_stops(door: Door, serve: Serve, relay: Relay) -> None:
    """A server whose connections are silent stops in order when it is told to."""
    server = await serve(lease=LEASE, shutdown_grace=0.0)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    relay.silence()
    await server.stop()
    run = await door.until(run_id, RunStatus.FAILED)
    assert run.error == "Server shut down during execution"


async def test_a_heartbeat_that_hangs_is_one_that_failed(door: Door, serve: Serve, relay: Relay) -> None:
    """A beat whose answer never comes does not end the membership: the next one goes by a new connection."""
    server = await serve(lease=LEASE)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    [[before]] = await door.sql("select lease_expires_at from servers where id = %s", server.started.server_id)
    relay.silence()
    with trio.fail_after(30):
        while True:
            [[after, dead]] = await door.sql(
                "select lease_expires_at, buried_at from servers where id = %s", server.started.server_id
            )
            assert dead is None
            if after > before + timedelta(seconds=LEASE):
                break
            await trio.sleep(0.1)
    assert (await door.view(run_id)).status is RunStatus.RUNNING


async def test_a_claim_whose_answer_never_comes_leaves_no_run_behind(
    door: Door, serve: Serve, relay: Relay, log_ear: LogEar
) -> None:
    """A claim takes effect and its answer is lost: the run that nobody executes goes back, and is executed once."""
    run_id = await door.trigger("polite")
    relay.lose_answer_to(b"set status = 'running'")
    await serve(lease=LEASE)
    await log_ear.heard("goes back")
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert run.attempt == 2


async def test_an_outcome_whose_answer_never_comes_is_written_once(
    door: Door, serve: Serve, relay: Relay, log_ear: LogEar
) -> None:
    """An outcome takes effect and its answer is lost: it is sent again, recognised as written, and nothing is said to be lost."""
    await serve(lease=LEASE)
    relay.lose_answer_to(b"-- Write the outcomes")
    run_id = await door.trigger("polite")
    await log_ear.heard("outcomes and progress wait for the database")
    # Its outcome stands behind the other one.
    await door.until(await door.trigger("parallel"), RunStatus.COMPLETED)
    run = await door.view(run_id)
    assert (run.status, run.attempt) == (RunStatus.COMPLETED, 1)
    assert not log_ear.has_heard("not ours any more")


@pytest.fixture
async def far_door(relay: Relay, door: Door) -> AsyncIterator[Door]:
    """A door that goes through the relay, and gives up soon."""
    async with Database(relay.conninfo, answer_within=0.5) as db:
        yield Door(Jobs(db, door.jobs.catalog), db)


@pytest.mark.parametrize("job_type", ["polite", "parallel"])
async def test_a_trigger_whose_answer_never_comes_is_looked_up(
    door: Door, far_door: Door, relay: Relay, job_type: str
) -> None:
    """A trigger takes effect and its answer is lost: the caller is told of that run, and there is no other."""
    relay.lose_answer_to(b"-- Create a pending run")
    run_id = await far_door.trigger(job_type)
    assert await door.sql("select id from job_runs") == [(run_id,)]


async def test_a_batch_whose_answer_never_comes_is_looked_up(door: Door, far_door: Door, relay: Relay) -> None:
    """A batch takes effect and its answer is lost: each caller is told what the lost answer said."""
    taken = await door.trigger("deaf")
    relay.lose_answer_to(b"-- Create many pending runs")
    wanted = [TriggerRequest(name) for name in ("parallel", "deaf", "polite", "parallel")]
    answers = await far_door.jobs.trigger_many(OPERATOR, None, wanted)
    assert isinstance(answers[1], RunAlreadyActive)
    assert answers[1].existing_run_id == taken
    created = {answer for answer in answers if isinstance(answer, UUID)}
    assert created | {taken} == {run_id for (run_id,) in await door.sql("select id from job_runs")}
    assert len(created) == 3


async def test_a_cancel_whose_answer_never_comes_is_looked_up(door: Door, far_door: Door, relay: Relay) -> None:
    """A cancel takes effect and its answer is lost: the caller is told that the run is cancelled, not that it has ended already."""
    run_id = await door.trigger("polite", run_at="1h")
    relay.lose_answer_to(b"-- Ask for a run to be cancelled")
    assert await far_door.cancel(run_id) is RunStatus.CANCELLED
