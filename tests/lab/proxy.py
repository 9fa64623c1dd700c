"""The proxy between a server and PostgreSQL: it counts statements, and strikes the one that it is told to."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import attrs
import trio
from psycopg.conninfo import conninfo_to_dict

from tests.lab import wire
from tests.lab.faults import ANY, Fault, Kind, Target
from tests.lab.link import CHUNK, Link

Opener = Callable[[], Awaitable[trio.abc.Stream]]

PRODUCT = "owlrunner "
"""What comes before a connection's own name in its application_name."""
BEATING = frozenset(("heartbeat",))
"""Connections that are never quiet."""


def opener_of(conninfo: str) -> Opener:
    """A function that opens a stream to the PostgreSQL of a connection string."""
    params = conninfo_to_dict(conninfo)
    host, port = str(params.get("host") or "localhost"), int(params.get("port") or 5432)

    async def open_stream() -> trio.abc.Stream:
        if host.startswith("/"):
            return await trio.open_unix_socket(f"{host}/.s.PGSQL.{port}")
        return await trio.open_tcp_stream(host, port)

    return open_stream


@attrs.define(eq=False)
class Proxy:
    """One proxy, for the server of one case."""

    open_server: Opener
    hold: float
    port: int = 0
    cancels: int = 0
    """How many cancel requests came; they have connections of their own."""
    links: set[Link] = attrs.field(factory=set)
    seen: list[Target] = attrs.field(factory=list)
    """The statements since it was armed, in order."""
    struck_at: float | None = None
    _fault: Fault | None = None
    _counting: bool = False
    _counts: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    _last_statement: float = attrs.field(factory=trio.current_time)

    def arm(self, fault: Fault | None) -> None:
        """Count statements from here on, and strike the fault's."""
        self._fault, self._counting = fault, True

    def disarm(self) -> None:
        """Count no more, and strike nothing that was not struck by now."""
        self._fault, self._counting = None, False

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has been said for so long, but for heartbeats."""
        while (left := self._last_statement + seconds - trio.current_time()) > 0:
            await trio.sleep(left)

    @property
    def stranded(self) -> list[int]:
        """The backends whose clients cannot be heard any more."""
        return [link.backend for link in self.links if link.silent and link.backend is not None]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a free port of the loopback until the end of the block."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            yield
            nursery.cancel_scope.cancel()

    async def _serve(self, client: trio.SocketStream) -> None:
        requests = wire.Framing(typed=False)
        startup = await _read_startup(client, requests)
        if startup is None:
            await client.aclose()
            return
        try:
            server = await self.open_server()
        except OSError:
            await client.aclose()
            return
        if wire.startup_code(startup) == wire.CANCEL_REQUEST:
            self.cancels += 1
            await _pass_cancel(startup, client, server)
            return
        name = wire.startup_parameters(startup).get("application_name", "unnamed")
        link = Link(name.removeprefix(PRODUCT), client, server, self.hold, self._on_statement)
        self.links.add(link)
        try:
            requests.typed = True
            await server.send_all(startup.raw)
            await link.carry(requests)
        finally:
            self.links.remove(link)
            with trio.CancelScope(shield=True):
                await link.close()

    def _on_statement(self, link: Link, name: str) -> Kind | None:
        if link.name not in BEATING:
            self._last_statement = trio.current_time()
        if not self._counting:
            return None
        targets = [self._count(connection, name) for connection in (link.name, ANY)]
        self.seen.append(targets[0])
        if self._fault is None or self._fault.target not in targets:
            return None
        self.struck_at = trio.current_time()
        if self._fault.kind is Kind.HALF_OPEN:
            for other in self.links:
                other.silent = True
        return self._fault.kind

    def _count(self, connection: str, name: str) -> Target:
        self._counts[connection, name] += 1
        return Target(connection, name, self._counts[connection, name])


async def _read_startup(client: trio.SocketStream, requests: wire.Framing) -> wire.Message | None:
    """The message that says what the client wants, after encryption was refused; None where it hung up."""
    while data := await client.receive_some(CHUNK):
        # A client waits for the answer to each of these, so there is never more than one message.
        for message in requests.feed(data):
            if wire.startup_code(message) not in {wire.SSL_REQUEST, wire.GSSENC_REQUEST}:
                return message
            await client.send_all(wire.REFUSED)
    return None


async def _pass_cancel(startup: wire.Message, client: trio.SocketStream, server: trio.abc.Stream) -> None:
    async with client, server:
        with contextlib.suppress(trio.BrokenResourceError):
            await server.send_all(startup.raw)
            # The end of the connection is the answer.
            while await server.receive_some(CHUNK):
                pass
