"""P13: whoever asks twice to stop gets it, whatever the event loop does; and a server that can reach nobody still stops."""

import signal
from pathlib import Path

import trio

from owlrunner.job_run import RunStatus
from owlrunner.plugins import load_catalog
from owlrunner.storage.embedded import prepare_cluster
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.promises.serving import Door, ServerProcess, StartProcess


async def test_a_second_sigterm_ends_a_server_whose_loop_is_blocked(door: Door, server_process: StartProcess) -> None:
    """While a handler spins in Python the first SIGTERM cannot be acted upon, and the second one ends the process at once."""
    server = server_process("a")
    await server.ready()
    run_id = await door.trigger("spinning")
    await door.until(run_id, RunStatus.RUNNING)
    await server.logged("has been blocking the event loop")
    # Two of one kind could arrive as one.
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    assert await server.ended() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    await server.logged("told twice to stop")


async def test_a_hopelessly_blocked_server_ends_itself(door: Door, server_process: StartProcess) -> None:
    """Past stall_limit a server with exit_when_stalled ends, so that its supervisor can start it anew."""
    server = server_process("a", lease=2, stall_limit=2, exit_when_stalled="true")
    await server.ready()
    await door.until(await door.trigger("spinning"), RunStatus.RUNNING)
    assert await server.ended() == 70
    await server.logged("exit_when_stalled")


async def test_sigterm_during_an_outage_ends_the_process_in_order(postgres_folder: Path) -> None:
    """A server whose database is away stops when it is told to, with exit status 0."""
    cluster = prepare_cluster(postgres_folder)
    url = await trio.to_thread.run_sync(cluster.ensure_running)
    try:
        async with Database(url) as db:
            await migrate(db, wanted_migrations(load_catalog({})))
        server = ServerProcess(url, "a", lease=2, shutdown_grace=0)
        try:
            await server.ready()
            await trio.to_thread.run_sync(cluster.stop, "immediate")
            server.signal(signal.SIGTERM)
            assert await server.ended() == 0
        finally:
            server.kill()
    finally:
        await trio.to_thread.run_sync(cluster.stop, "immediate")
