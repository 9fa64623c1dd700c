"""Accept clients' connections, as many as the process can afford, and end each of them.

When all places are taken, a newcomer gets the place of the connection that can be spared best: of the client that has most, one
that does nothing, or else one that waits for its client. A connection whose request is being worked on is never taken away; where
there is nothing else, the newcomer is told 503.
"""

import contextlib
import errno
import logging
import resource
from collections import Counter

import trio

from owlrunner.web.client_connection import Activity, ClientConnection, Service

RESERVED_DESCRIPTORS = 100
"""File descriptors that connections leave to the database, to handlers, and to files."""
FEWEST = 8
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""accept() fails for want of something that others may give back."""
_TELL_EVERY = 60.0
"""Seconds between two lines in the log that say the same."""
_MOMENT = 1.0
"""Seconds that a client is given for its body, or for its answer, however many wait for a place."""
_MOST_REFUSALS = 20
"""How many clients are told at once that there is no place; further ones are only disconnected."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"

logger = logging.getLogger(__name__)


def affordable(wanted: int) -> int:
    """Return how many connections the limit on open files leaves room for, ``wanted`` at most."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or wanted <= limit - RESERVED_DESCRIPTORS:
        return wanted
    most = min(wanted, max(FEWEST, limit - RESERVED_DESCRIPTORS))
    logger.warning(
        "at most %d connections instead of web.max_connections = %d: the process may open %d files (ulimit -n, LimitNOFILE)",
        most,
        wanted,
        limit,
    )
    return most


class Connections:
    """The connections of one server, ``most`` at once."""

    def __init__(self, service: Service, most: int) -> None:
        self._service = service
        self._most = most
        self._open: set[ClientConnection] = set()
        self._by_host: Counter[str] = Counter()
        self._told_at = -_TELL_EVERY

    async def serve(
        self,
        listener: trio.SocketListener,
        stop: trio.Event,
        grace: float,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until ``stop``; then give requests that are being answered ``grace`` seconds, and end everything."""
        async with trio.open_nursery() as serving:
            async with listener, trio.open_nursery() as accepting:
                accepting.start_soon(self._accept, listener, serving)
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            # From now on a connection is closed after its answer.
            await self._service.context.terminated.set()
            for connection in self._open:
                connection.end_if_idle()
            serving.cancel_scope.deadline = trio.current_time() + grace

    async def _accept(self, listener: trio.SocketListener, serving: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._tell(f"no connection can be accepted: {error.strerror}")
                self._spare_one()
                await trio.sleep(0.1)
                continue
            try:
                client, server = stream.socket.getpeername(), stream.socket.getsockname()
            except OSError:
                # It has gone already.
                stream.socket.close()
                continue
            if len(self._open) >= self._most and not self._spare_one():
                self._tell(f"all {self._most} connections (web.max_connections) are at work, and a client was refused")
                if len(serving.child_tasks) < self._most + _MOST_REFUSALS:
                    serving.start_soon(_refuse, stream)
                else:
                    stream.socket.close()
                continue
            serving.start_soon(
                self._serve,
                ClientConnection(self._service, stream, client[:2], server[:2]),
            )

    async def _serve(self, connection: ClientConnection) -> None:
        self._open.add(connection)
        self._by_host[connection.host] += 1
        try:
            await connection.run()
        finally:
            self._forget(connection)

    def _forget(self, connection: ClientConnection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._by_host[connection.host] -= 1
            if not self._by_host[connection.host]:
                del self._by_host[connection.host]

    def _spare_one(self) -> bool:
        """End the connection that can be spared best; False where there is none."""
        now = trio.current_time()
        dispensable = [
            one
            for one in self._open
            if one.activity is Activity.IDLE or (one.activity is not Activity.WORKING and now - one.since > _MOMENT)
        ]
        if not dispensable:
            return False
        victim = min(dispensable, key=lambda one: (-self._by_host[one.host], one.activity, one.since))
        self._tell(f"all {self._most} connections (web.max_connections) are taken, and the idle ones are closed first")
        self._forget(victim)
        victim.end()
        return True

    def _tell(self, message: str) -> None:
        if trio.current_time() - self._told_at >= _TELL_EVERY:
            self._told_at = trio.current_time()
            logger.warning("%s", message)


async def _refuse(stream: trio.SocketStream) -> None:
    """Say 503, and close once the client has read it: what it has sent would make the kernel reset the connection before."""
    with trio.move_on_after(_MOMENT), contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(_FULL)
        await stream.send_eof()
        while await stream.receive_some():
            pass
    stream.socket.close()
