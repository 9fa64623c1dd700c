"""Clients that hold connections and do nothing with them keep a server from nothing: not from others, not from its end."""

import resource
import signal

import httpx
import psutil
import pytest
import trio

from owlrunner.job_run import RunStatus
from tests.hostile_clients import crowd
from tests.promises.serving import PATIENCE, Door, ServerProcess, StartProcess

CLIENTS = 200
OPEN_FILES = 256


def connected(server: ServerProcess, url: str) -> int:
    """How many connections of clients the process has, of whatever state."""
    port = int(url.rpartition(":")[2])
    sockets = psutil.Process(server.pid).net_connections(kind="tcp")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in sockets)


@pytest.fixture
async def server(server_process: StartProcess) -> ServerProcess:
    """A server that may open few files."""
    server = server_process("a", environ={"OWLRUNNER_WEB__GRACEFUL_TIMEOUT": "0.3"}, shutdown_grace=0.1)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    return server


async def test_an_honest_client_is_served_beside_a_crowd(door: Door, server: ServerProcess) -> None:
    """Beside clients that hold more connections than there is room for, requests are answered and runs are executed."""
    url = await server.ready()
    with crowd(url, CLIENTS):
        for _ in range(20):
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
                assert (await client.get("/ready")).status_code == 200
        await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    with trio.fail_after(PATIENCE):
        while connected(server, url):
            await trio.lowlevel.checkpoint()


async def test_clients_do_not_keep_a_server_from_its_end(door: Door, server: ServerProcess) -> None:
    """SIGTERM ends a server whose clients neither read nor hang up, and its run is stopped in its own time."""
    url = await server.ready()
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    with crowd(url, 30):
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
    assert (await door.view(run_id)).status is RunStatus.FAILED
