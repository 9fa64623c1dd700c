"""Serve the application on a bound socket until the server stops."""

import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import hypercorn
import trio
from hypercorn.trio.lifespan import Lifespan
from hypercorn.utils import wrap_app
from quart_trio import QuartTrio

from owlrunner.config import WebConfig
from owlrunner.web.client_connection import Service
from owlrunner.web.connections import Connections, affordable

_BACKLOG = 100


async def serve_web(
    app: QuartTrio,
    web: WebConfig,
    port: socket.socket,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP until ``stop``, then let open requests end within the graceful timeout. Ready with the URL once it listens."""
    settings = hypercorn.Config()
    settings.loglevel = "WARNING"
    settings.errorlog = logging.getLogger("owlrunner.web.hypercorn")
    settings.include_server_header = False
    host, number, *_ = port.getsockname()
    port.listen(_BACKLOG)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(port))
    connections = Connections(Service(app, settings), affordable(web.max_connections))
    async with _started(app, settings), trio.open_nursery() as nursery:
        await nursery.start(connections.serve, listener, stop, web.graceful_timeout)
        task_status.started(f"http://{f'[{host}]' if ':' in host else host}:{number}")


@contextlib.asynccontextmanager
async def _started(app: QuartTrio, settings: hypercorn.Config) -> AsyncIterator[None]:
    """Let the application prepare for its requests, and clean up after them."""
    lifespan = Lifespan(wrap_app(app, settings.wsgi_max_body_size, None), settings, {})
    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        yield
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel()
