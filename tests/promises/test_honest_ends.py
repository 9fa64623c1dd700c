"""P4 and P8: the status that is stored is how the run ended, and its progress is the last that was told."""

import pytest
import trio
import trio.testing

from owlrunner.job_run import RunStatus
from owlrunner.run_log import LAST_LOG_LINES, MAX_LOG_LINES
from tests.pooler import needs_listen
from tests.promises.serving import OPERATOR, PATIENCE, Door, Serve


async def test_completed_with_result_and_full_progress(door: Door, serve: Serve) -> None:
    """A handler that returns completes; its progress is raised to the total."""
    await serve()
    run = await door.until(await door.trigger("polite", params={"steps": 5}), RunStatus.COMPLETED)
    assert run.result == {"done": 5}
    assert run.progress == {"processed": 5, "total": 5, "message": "step 4"}
    assert run.started_at is not None
    assert run.completed_at is not None
    assert run.created_at <= run.started_at <= run.completed_at


async def test_attempts_go_on_until_one_succeeds(door: Door, serve: Serve) -> None:
    """Failed attempts stand in the log with their traceback; the run completes on the third."""
    await serve()
    run_id = await door.trigger("third_time_lucky")
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert (run.result, run.attempt, run.error) == ({"attempt": 3}, 3, None)
    lines = await door.jobs.logs(OPERATOR, run_id, (0, 0), 20_000)
    assert [line.attempt for line in lines] == [1, 2]
    assert all("Traceback" in line.message for line in lines)


async def test_a_cancel_that_came_too_late_leaves_completed(door: Door, serve: Serve) -> None:
    """A request that the handler never noticed before it returned does not change how it ended."""
    await serve()
    run_id = await door.trigger("unseeing", params={"seconds": 0.5})
    await door.until(run_id, RunStatus.RUNNING)
    await door.cancel(run_id)
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert run.cancel_requested_at is not None


@pytest.mark.parametrize("job_type", ["odd_result", "trapped_result"])
async def test_a_result_that_no_json_can_hold_does_not_fail_the_run(door: Door, serve: Serve, job_type: str) -> None:
    """The work is done, so the run is completed, and the result says why it is not there."""
    await serve()
    run = await door.until(await door.trigger(job_type), RunStatus.COMPLETED)
    assert "unsupported" in run.result["unstorable"]


async def test_text_that_postgresql_refuses_blocks_nobody(door: Door, serve: Serve) -> None:
    """Progress and log lines with NUL characters, lone surrogates or absurd numbers are stored as well as they can be."""
    await serve()
    run_id = await door.trigger("odd_progress")
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert run.progress["message"] == "NUL \N{REPLACEMENT CHARACTER} and half a pair ?"
    assert run.progress["processed"] == run.progress["total"] == 2**53 - 1
    assert [line.message for line in await door.jobs.logs(OPERATOR, run_id, (0, 0), 10)] == [
        "odd \N{REPLACEMENT CHARACTER} line"
    ]


@needs_listen
async def test_a_run_that_is_due_later_starts_when_it_is(door: Door, serve: Serve) -> None:
    """An idle server that would sleep for ten minutes learns of a run that is due in a second, and starts it then."""
    await serve(poll_interval=600)
    run = await door.until(await door.trigger("polite", run_at="1s"), RunStatus.COMPLETED)
    assert run.started_at is not None
    assert run.started_at >= run.run_at


async def test_progress_costs_few_writes(door: Door, serve: Serve) -> None:
    """A handler that tells progress 50,000 times causes a handful of row writes, and the last value is stored."""
    await serve()
    await door.sql("create table writes (n int)")
    await door.sql("""
        create function count_writes() returns trigger language plpgsql as
            $$ begin insert into writes values (1); return null; end $$
    """)
    await door.sql(
        "create trigger count_writes after update of progress on job_runs for each row execute function count_writes()"
    )
    run = await door.until(await door.trigger("chatty", params={"steps": 50_000}), RunStatus.COMPLETED)
    assert run.progress == {"processed": 50_000, "total": 50_000, "message": "talking"}
    [(writes,)] = await door.sql("select count(*) from writes")
    assert run.started_at is not None
    assert run.completed_at is not None
    # One at the claim, one at the end, and at most four a second between them.
    assert writes <= 3 + 4 * (run.completed_at - run.started_at).total_seconds()


async def test_a_log_is_there_when_its_run_has_ended(door: Door, serve: Serve) -> None:
    """What a run says at its very end is stored, though it ends while progress of another is just being written."""
    await serve()
    talker = await door.trigger("polite", params={"steps": 1000, "seconds": 0.05})
    await door.until(talker, lambda run: run.progress is not None)
    async with door.db.session() as session, session.transaction():
        # The next write of progress has to wait for us, and what ends meanwhile is written after it.
        await session.connection.execute("select from job_runs where id = %s for update", (talker,))
        waiting = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        with trio.fail_after(PATIENCE):
            while await door.sql(waiting) == []:
                await trio.sleep(0.01)
        said = await door.trigger("logs_a_lot", params={"steps": 1})
        await door.until(said, lambda run: run.started_at is not None)
        await trio.testing.wait_all_tasks_blocked(0.02)
    await door.until(said, RunStatus.COMPLETED)
    lines = await door.jobs.logs(OPERATOR, said, (0, 0), 10)
    assert lines[0].message == "through ctx.log"


async def test_a_handlers_statement_may_take_its_time(door: Door, serve: Serve) -> None:
    """A statement of a handler that takes longer than the whole lease is waited for."""
    await serve(lease=1.5)
    run_id = await door.trigger("long_query", params={"seconds": 3.0})
    await door.until(run_id, RunStatus.COMPLETED)


async def test_logs_are_kept_and_capped(door: Door, serve: Serve) -> None:
    """Lines of ctx.log, other loggers and threads are stored in order; past the cap the last ones are, and a line says so."""
    await serve()
    run_id = await door.trigger("logs_a_lot", params={"steps": MAX_LOG_LINES + LAST_LOG_LINES + 47})
    await door.until(run_id, RunStatus.COMPLETED)
    lines = await door.jobs.logs(OPERATOR, run_id, (0, 0), 20_000)
    assert [line.message for line in lines[:3]] == ["through ctx.log", "through any logger", "from a thread"]
    assert len(lines) == MAX_LOG_LINES + 1 + LAST_LOG_LINES
    assert [line.seq for line in lines[:MAX_LOG_LINES]] == list(range(1, MAX_LOG_LINES + 1))
    assert lines[MAX_LOG_LINES].message == "Log full: 47 lines are left out here."
    assert [line.seq for line in lines[MAX_LOG_LINES:]] == list(
        range(MAX_LOG_LINES + 47, MAX_LOG_LINES + LAST_LOG_LINES + 48)
    )


@pytest.mark.parametrize("job_type", ["exits", "raises_group"])
async def test_a_handler_ends_nothing_but_its_run(door: Door, serve: Serve, job_type: str) -> None:
    """P12: sys.exit(), or a group of exceptions, fails that run; the server goes on with the next."""
    await serve()
    run = await door.until(await door.trigger(job_type), RunStatus.FAILED)
    assert run.error is not None
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
