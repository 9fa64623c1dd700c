"""A relay in front of PostgreSQL whose connections can fall silent without being closed, as a lost route makes them."""

import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Relay:
    """Forwards every connection until ``silence`` is called: what is open then carries nothing any more, what opens later works."""

    def __init__(self, server: str) -> None:
        self._server = conninfo_to_dict(server)
        self._silent = trio.Event()
        self._unanswered: bytes | None = None
        self._instead: tuple[bytes, bytes] = (b"", b"")
        self.conninfo = ""
        self.accepted = 0
        self.open = 0

    def silence(self) -> None:
        """Swallow everything on the connections that are open now."""
        self._silent.set()
        self._silent = trio.Event()

    def lose_answer_to(self, text: bytes) -> None:
        """Deliver the next statement that has this text, and nothing that comes back on its connection from then on."""
        self._unanswered = text

    def put_for(self, text: bytes, other: bytes) -> None:
        """Put another text in the place of one that the server sends."""
        self._instead = text, other

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve on a port of the loopback address."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            self.conninfo = make_conninfo(
                "", **{**self._server, "host": "127.0.0.1", "hostaddr": "127.0.0.1", "port": port}
            )
            task_status.started()

    async def _serve(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        self.open += 1
        silent = self._silent
        async with await self._connect() as server, client:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with trio.open_nursery() as nursery:
                    deaf = trio.Event()
                    nursery.start_soon(self._pump, client, server, (silent,), nursery.cancel_scope, deaf)
                    nursery.start_soon(self._pump, server, client, (silent, deaf), nursery.cancel_scope)
        self.open -= 1

    async def _connect(self) -> trio.SocketStream:
        host, port = str(self._server["host"]), self._server.get("port", 5432)
        if host.startswith("/"):
            return await trio.open_unix_socket(str(Path(host) / f".s.PGSQL.{port}"))
        return await trio.open_tcp_stream(host, int(str(port)))

    async def _pump(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        silences: tuple[trio.Event, ...],
        ending: trio.CancelScope,
        deaf: trio.Event | None = None,
    ) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if any(silence.is_set() for silence in silences):
                    # Read and thrown away; the other side keeps waiting.
                    continue
                if deaf is not None and self._unanswered is not None and self._unanswered in data:
                    self._unanswered = None
                    deaf.set()
                await sink.send_all(data if deaf is not None else data.replace(*self._instead))
        if not any(silence.is_set() for silence in silences):
            ending.cancel()


@contextlib.asynccontextmanager
async def relayed(server: str) -> AsyncIterator[Relay]:
    """Run a relay in front of a PostgreSQL as long as the block lasts."""
    relay = Relay(server)
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run)
        yield relay
        nursery.cancel_scope.cancel()
