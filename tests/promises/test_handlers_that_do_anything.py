"""P12 and P4: whatever a handler raises, returns, logs or leaves open, its run ends with a sentence and the server goes on."""

import logging
from collections.abc import Iterator
from uuid import UUID

import pytest

from owlrunner.job_run import JobRun, RunStatus
from owlrunner.plugins import Catalog, build_catalog
from tests.promises import rogue_jobs
from tests.promises.serving import OPERATOR, Door, Serve


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The job types of rogue_jobs."""
    return build_catalog({"rogue_jobs": ("tests", rogue_jobs, {})})


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What handlers do to logging ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.disable(logging.NOTSET)
    root.handlers[:], root.level = handlers, level
    for existing in root.manager.loggerDict.values():
        if isinstance(existing, logging.Logger):
            existing.disabled = False


async def outcome_of(door: Door, serve: Serve, deed: str) -> JobRun:
    """Start a server, let it run the deed beside others, and see that it still works afterwards."""
    await serve()
    beside = await door.trigger("rogue", params={"name": "null"})
    run_id = await door.trigger("rogue", params={"name": deed})
    run = await door.until(run_id, lambda run: run.completed_at is not None)
    for other in (beside, await door.trigger("rogue", params={"name": "null"})):
        await door.until(other, RunStatus.COMPLETED)
    return run


# A generator that nobody closes is reported by Trio in its own way when it is collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("deed", rogue_jobs.RAISING)
async def test_whatever_is_raised_fails_its_run_alone(door: Door, serve: Serve, deed: str) -> None:
    """Any BaseException, a stray Cancelled, an open nursery or scope, a wrong type: the run fails, the server lives."""
    run = await outcome_of(door, serve, deed)
    assert run.status is RunStatus.FAILED
    assert run.error


async def test_an_exception_that_fights_back_fails_its_run_alone(door: Door, serve: Serve) -> None:
    """However an exception behaves when somebody looks at it, its run has failed with a sentence, and the next one runs."""
    await serve()
    beside = await door.trigger("endless")
    for deed in rogue_jobs.RAISING_HOSTILE:
        run_id = await door.trigger("rogue", params={"name": deed})
        run = await door.until(run_id, lambda run: run.completed_at is not None)
        assert (run.status, bool(run.error)) == (RunStatus.FAILED, True), deed
    assert (await door.view(beside)).status is RunStatus.RUNNING


@pytest.mark.parametrize("deed", rogue_jobs.UNSTORABLE)
async def test_what_cannot_be_stored_does_not_undo_the_work(door: Door, serve: Serve, deed: str) -> None:
    """A result that is no JSON, or none that PostgreSQL takes, completes the run and says why it is not there."""
    run = await outcome_of(door, serve, deed)
    assert run.status is RunStatus.COMPLETED
    assert list(run.result) == ["unstorable"]


@pytest.mark.parametrize("deed", rogue_jobs.STORED)
async def test_what_can_be_stored_is(door: Door, serve: Serve, deed: str) -> None:
    """Tuples, nulls and texts with NUL characters in them are results like others; an odd log level is a level."""
    run = await outcome_of(door, serve, deed)
    assert (run.status, run.result) == (RunStatus.COMPLETED, rogue_jobs.STORED[deed][1])


@pytest.mark.parametrize("way", ["dictConfig", "basicConfig", "disable"])
async def test_a_run_cannot_silence_the_logs_of_later_ones(door: Door, serve: Serve, way: str) -> None:
    """After a handler has reconfigured logging its own log and that of the next run are stored, the traceback included."""
    await serve()
    await said(door, await door.trigger("quiet", params={"name": way}), "said all the same")
    run_id = await door.trigger("rogue", params={"name": "panic"})
    await said(door, run_id, "Traceback")


async def said(door: Door, run_id: UUID, text: str) -> None:
    """The run's log has this text, once it has ended."""
    await door.until(run_id, lambda run: run.completed_at is not None)
    lines = await door.jobs.logs(OPERATOR, run_id, (0, 0), 100)
    assert any(text in line.message for line in lines), lines


async def test_who_threw_the_servers_logging_away_is_told(door: Door, serve: Serve) -> None:
    """The log of a run that reconfigured logging says that lines of other loggers may be missing."""
    await serve()
    await said(door, await door.trigger("quiet", params={"name": "basicConfig"}), "has reconfigured logging")


@pytest.mark.parametrize("after", ["cancel", "shutdown"])
async def test_a_timeout_stays_the_reason(door: Door, serve: Serve, after: str) -> None:
    """A run that timed out has timed out, though somebody cancels it or the server stops while it cleans up."""
    server = await serve(shutdown_grace=0.0)
    run_id = await door.trigger("overtime")
    await door.until_told(run_id, "cleaning up")
    if after == "cancel":
        await door.cancel(run_id)
    else:
        await server.stop()
    run = await door.until(run_id, lambda run: run.completed_at is not None)
    assert (run.status, run.error) == (RunStatus.FAILED, "Timed out after 0.2 seconds")


async def test_one_run_opens_two_connections_side_by_side(door: Door, serve: Serve) -> None:
    """With connections for one run at a time, a run that opens two at once gets both."""
    await serve(database={"handler_connections": 1})
    for run_id in [await door.trigger("two_connections") for _ in range(3)]:
        await door.until(run_id, RunStatus.COMPLETED)
