"""The application behind real sockets, with limits that a test need not wait for."""

import contextlib
from collections.abc import AsyncIterator

import attrs
import hypercorn
import trio
from hypercorn.typing import ASGIFramework

from owlrunner.web.client_connection import Limits, Service
from owlrunner.web.connections import Connections


@attrs.define
class Site:
    """Where it is served, and what is open there."""

    url: str
    connections: Connections
    _stop: trio.Event
    _stopped: trio.Event = attrs.field(factory=trio.Event)

    async def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stop.set()
        await self._stopped.wait()


def address(url: str) -> tuple[str, int]:
    """The host and the port."""
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


@contextlib.asynccontextmanager
async def served(
    app: ASGIFramework, nursery: trio.Nursery, *, most: int = 100, grace: float = 3.0, **limits: float
) -> AsyncIterator[Site]:
    """Serve it as long as the block lasts."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    settings = hypercorn.Config()
    settings.include_server_header = False
    stop = trio.Event()
    connections = Connections(Service(app, settings, Limits(**limits)), most)
    site = Site(f"http://127.0.0.1:{listener.socket.getsockname()[1]}", connections, stop)

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        await connections.serve(listener, stop, grace, task_status=task_status)
        site._stopped.set()

    await nursery.start(serve)
    yield site
    stop.set()
