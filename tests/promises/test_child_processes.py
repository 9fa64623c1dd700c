"""A handler may start other processes: they are not the server, and keep nothing of it."""

import os
import signal
import socket
from urllib.parse import urlsplit

import pytest

from owlrunner.forked_children import STRAYED
from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, StartProcess


@pytest.mark.parametrize("by", ["fork", "fork in a thread", "exec"])
async def test_a_child_does_not_keep_the_port(door: Door, server_process: StartProcess, by: str) -> None:
    """When the server was killed, its port can be opened again, whoever of its children still lives."""
    server = server_process("a")
    where = urlsplit(await server.ready())
    run_id = await door.trigger("child_process", params={"by": by})
    run = await door.until(run_id, lambda run: run.progress is not None)
    assert run.progress is not None
    child = int(run.progress["message"])
    try:
        server.signal(signal.SIGKILL)
        await server.ended()
        os.kill(child, 0)
        with socket.socket() as port:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port.bind((where.hostname, where.port))
            port.listen()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_forked_child_can_be_terminated(
    door: Door, server_process: StartProcess, number: signal.Signals
) -> None:
    """A signal ends a forked child, however early it comes, and neither stops nor reloads the server."""
    server = server_process("a")
    await server.ready()
    for by in ("fork", "fork in a thread"):
        run_id = await door.trigger("child_process", params={"by": by, "signal": number})
        assert (await door.until(run_id, RunStatus.COMPLETED)).result == {"exit_code": -number}
    assert not any("stopping" in line or "schedules were read again" in line for line in server.lines)


@pytest.mark.parametrize("way", ["return", "raise", "exit", "exec", "await"])
async def test_a_forked_child_is_no_second_server(door: Door, server_process: StartProcess, way: str) -> None:
    """A child that leaves the handler, or waits as if it were the server's task, ends; its parent's run and server go on."""
    server = server_process("a")
    await server.ready()
    run = await door.until(await door.trigger("stray_child", params={"way": way}), RunStatus.COMPLETED)
    assert (run.result, run.progress) == ({"exit_code": STRAYED}, None)
    await server.logged("a child that a handler forked")
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
