"""P12: what a handler changes about the process does not keep the server from stopping, or from telling the truth."""

import os
import signal
from pathlib import Path

import pytest

from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, StartProcess


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("thread", "thread left behind (Condition.wait) is still at work"),
        ("atexit", "a function registered with atexit"),
    ],
)
async def test_what_goes_on_at_the_end_does_not_keep_the_process(
    door: Door, server_process: StartProcess, what: str, told: str
) -> None:
    """A stopped server ends, with its exit status, although a handler left a thread behind or registered a function that hangs."""
    server = server_process("a")
    await server.ready()
    await door.until(await door.trigger("meddle", params={"what": what}), RunStatus.COMPLETED)
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    assert told in await server.logged("the process ends although")


@pytest.mark.parametrize("what", ["ignored signals", "default signals", "blocked signals"])
async def test_a_server_stays_stoppable(door: Door, server_process: StartProcess, what: str) -> None:
    """A handler that changes how SIGTERM is handled has it put back within a second, and runs get their time to end."""
    server = server_process("a")
    await server.ready()
    await door.trigger("meddle", params={"what": what})
    await server.logged("a handler has changed how signals are handled")
    run_id = await door.trigger("polite", params={"steps": 2, "seconds": 0.2})
    await door.until(run_id, RunStatus.RUNNING)
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    await server.logged("stopped")
    assert (await door.view(run_id)).status is RunStatus.COMPLETED


async def test_a_server_connects_as_before(door: Door, server_process: StartProcess) -> None:
    """A handler that sets variables that libpq reads does not keep the server from connecting again."""
    server = server_process("a", environ={"PGTZ": "Europe/Berlin"})
    await server.ready()
    await door.trigger("meddle", params={"what": "environment"})
    assert (await server.logged("put back: PGSERVICE, PGTZ")).count("PGSERVICE") == 1
    await door.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and application_name like %s",
        "owlrunner%",
    )
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)


async def test_a_server_finds_its_files(door: Door, server_process: StartProcess, tmp_path: Path) -> None:
    """A handler that changes the working folder does not change which file of schedules is read again."""
    (tmp_path / "schedules.toml").touch()
    path = os.path.relpath(tmp_path / "schedules.toml")  # noqa: ASYNC240 - only computes
    server = server_process("a", schedules=path)
    await server.ready()
    await door.until(await door.trigger("meddle", params={"what": "folder"}), RunStatus.COMPLETED)
    server.signal(signal.SIGHUP)
    await server.logged("the schedules were read again")


async def test_a_server_whose_runs_are_cancelled_from_inside_ends(door: Door, server_process: StartProcess) -> None:
    """A handler that cancels the server's own nursery ends it: outcomes are written, and the exit status says that it failed."""
    server = server_process("a")
    await server.ready()
    beside = await door.trigger("unseeing", params={"steps": 600, "seconds": 1})
    await door.until(beside, RunStatus.RUNNING)
    await door.trigger("meddle", params={"what": "nursery"})
    assert await server.ended() == 1
    await server.logged("a handler has cancelled the nursery of all runs")
    run = await door.view(beside)
    assert (run.status, run.error) == (RunStatus.FAILED, "Server shut down during execution")
