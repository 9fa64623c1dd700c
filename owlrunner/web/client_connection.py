"""Serve one client's connection: Hypercorn's HTTP/1.1, with a limit on everything that the client can keep waiting.

How it works. One task reads and feeds what comes to Hypercorn's protocol, which starts a task for each request; all of them
live in one nursery under one cancel scope. The connection always does one of four things (``Activity``), and each has a limit,
which is the deadline of that scope: a client that sends no request, does not finish its body, or does not read its answer is
disconnected, and what worked for it is cancelled. Only the work itself has no limit here. Nothing is shielded, so whoever owns
the connection can end it at any moment.

A connection that ends in order is closed in two steps. Closing while something of the client's is still under way would make
the kernel reset the connection, which may take the answer away before it was read. So only our side is closed at first, and
what comes in is thrown away, for a moment.

Hypercorn's own TCP server is not used: it shields its writes, waits without a limit where a body is not wanted, does not read
while a pipelined request waits, and has no limit on connections. HTTP/2 is left to proxies, which have to be there for TLS
anyway.
"""

import contextlib
import enum
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs
import hypercorn
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, ConnectionState, HTTPScope

from owlrunner.web.http1 import Http1

CHUNK = 64 * 1024
HEAD_PIECE = 4096
LINGER_BYTES = 4 * 1024 * 1024
"""How much is thrown away at most before a connection is closed: a body that is not wanted."""

Send: TypeAlias = Callable[[ASGISendEvent | None], Awaitable[None]]
FromClient: TypeAlias = trio.MemoryReceiveChannel[ASGIReceiveEvent]

logger = logging.getLogger(__name__)


class Activity(enum.IntEnum):
    """What a connection does; what can be spared first comes first."""

    IDLE = 0
    """No request, or not all of its head."""
    READING = 1
    """The application waits for the body."""
    WRITING = 2
    """The client does not take its answer as fast as it comes."""
    WORKING = 3


@attrs.frozen
class Limits:
    """How long a client may keep a connection waiting, in seconds."""

    keep_alive: float = 75.0
    """Until the next request begins. More than the 60 s for which nginx keeps a connection: what it picks must not be closing."""
    head: float = 10.0
    """From the first byte of a request to the end of its head."""
    body: float = 75.0
    """From then on to the end of its body. More than the API's own limit, which has an answer."""
    write: float = 30.0
    """For each CHUNK of an answer."""
    linger: float = 5.0
    """From the end of the last answer until the client has closed its side."""


@attrs.frozen
class Service:
    """What all connections of a server share."""

    app: ASGIFramework
    settings: hypercorn.Config
    limits: Limits = attrs.field(factory=Limits)
    context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None))


class ClientConnection:
    """One connection. ``run()`` returns when it is closed; ``end()`` makes it return at once."""

    def __init__(
        self, service: Service, stream: trio.SocketStream, client: tuple[str, int], server: tuple[str, int]
    ) -> None:
        self.host = client[0]
        self.since = trio.current_time()
        """Since when it does what it does."""
        self._app = service.app
        self._limits = service.limits
        self._stream = stream
        # The protocol gives what it takes for an application and for a group of tasks to nothing but spawn_app.
        answer: Any = self._answer
        tasks: Any = self
        self._protocol = Http1(
            answer, service.settings, service.context, tasks, ConnectionState({}), False, client, server, self._on_event
        )
        self._scope = trio.CancelScope()
        self._feeding = trio.CancelScope()
        self._sending = trio.Lock()
        self._exchanges = 0
        self._bodies = 0
        """How many exchanges wait for their body: one, unless an earlier one has not returned yet."""
        self._body_deadline = math.inf
        self._writing = False
        self._closing = False
        self._last = Activity.IDLE

    @property
    def activity(self) -> Activity:
        """What it does now."""
        if self._closing:
            return Activity.IDLE
        if self._writing:
            return Activity.WRITING
        if self._bodies:
            return Activity.READING
        return Activity.WORKING if self._exchanges else Activity.IDLE

    async def run(self) -> None:
        """Serve it until it is closed."""
        try:
            with self._scope:
                self._limit(self._limits.keep_alive)
                async with trio.open_nursery() as self._nursery:
                    await self._read()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception:
            logger.exception("a connection is closed: serving it failed")
        finally:
            self._stream.socket.close()

    def end(self) -> None:
        """Cancel all that is done for it, and close it."""
        self._scope.cancel()

    def end_if_idle(self) -> None:
        """End it if nobody waits for an answer. Otherwise it is closed after the answer."""
        if self.activity is Activity.IDLE:
            self.end()

    async def _read(self) -> None:
        thrown_away = 0
        while data := await self._receive():
            if self._closing:
                thrown_away += len(data)
                if thrown_away > LINGER_BYTES:
                    return
            else:
                if self.activity is Activity.IDLE:
                    self._scope.deadline = min(self._scope.deadline, trio.current_time() + self._limits.head)
                with trio.CancelScope() as self._feeding:
                    await self._feed(bytes(data))
        if not self._closing:
            await self._protocol.handle(Closed())

    async def _feed(self, data: bytes) -> None:
        """Hand over what has come: a head piece by piece, because h11 bounds one only while it is incomplete."""
        while data and not self._closing:
            size = HEAD_PIECE if self.activity is Activity.IDLE else len(data)
            await self._protocol.handle(RawData(data[:size]))
            data = data[size:]

    async def _receive(self) -> bytes | bytearray:
        try:
            return await self._stream.receive_some(CHUNK)
        except trio.BrokenResourceError:
            return b""

    async def _on_event(self, event: Event) -> None:
        """Do what the protocol wants: send something, or close the connection in order."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed) and not self._closing:
            self._closing = True
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with self._sending:
                    await self._stream.send_eof()
            self._limit(self._limits.linger)
            await self._protocol.handle(Closed())
            # What comes in from now on is thrown away, also if it is just being handed over.
            self._feeding.cancel()

    async def _write(self, data: bytes) -> None:
        async with self._sending:
            if self._closing:
                return
            self._writing = True
            try:
                for start in range(0, len(data), CHUNK):
                    self._note(renewed=True)
                    await self._stream.send_all(data[start : start + CHUNK])
            except trio.BrokenResourceError:
                # The client has gone. An application may be waiting for nothing but its own events, so it is cancelled.
                self.end()
                await trio.lowlevel.checkpoint()
            finally:
                self._writing = False
                self._note()

    async def spawn_app(
        self, answer: Any, config: hypercorn.Config, scope: HTTPScope, send: Send
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start an exchange, as the protocol asks for it; returns where its body goes."""
        to_app, from_client = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)
        self._exchanges += 1
        self._body_deadline = trio.current_time() + self._limits.body
        self._note()
        self._nursery.start_soon(answer, scope, from_client, send)

        async def put(message: ASGIReceiveEvent) -> None:
            # Broken: the answer is complete, and what was not read of the request is of no interest any more.
            with contextlib.suppress(trio.BrokenResourceError):
                await to_app.send(message)

        return put

    async def _answer(self, scope: HTTPScope, from_client: FromClient, send: Send) -> None:
        """Let the application answer one request; what it raises ends nothing else."""
        unread = True
        answered = trio.Event()

        async def receive() -> ASGIReceiveEvent:
            nonlocal unread
            self._bodies += unread
            waits = unread
            self._note()
            try:
                message = await from_client.receive()
            except trio.ClosedResourceError:
                # Not before: frameworks cancel what they do for a client that has gone, and it may be sending still.
                await answered.wait()
                return {"type": "http.disconnect"}
            finally:
                self._bodies -= waits
                self._note()
            unread = message["type"] == "http.request" and message["more_body"]
            return message

        async def send_part(message: ASGISendEvent) -> None:
            ends = message["type"] == "http.response.body" and not message.get("more_body")
            if ends:
                # Whoever hands over a body that was not read must not wait for room.
                from_client.close()
            await send(message)
            if ends:
                answered.set()

        try:
            with from_client:
                await self._app(scope, receive, send_part)
        except* Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
        finally:
            self._exchanges -= 1
            self._note()
        await send(None)
        await self._protocol.go_on()

    def _note(self, *, renewed: bool = False) -> None:
        """Set the limit of what is done now, if it is something else than before."""
        activity = self.activity
        if (activity is self._last and not renewed) or self._closing:
            return
        self._last = activity
        limits = self._limits
        # The next request may have begun in what came with the last one.
        idle = limits.head if self._protocol.connection.trailing_data[0] else limits.keep_alive
        body = self._body_deadline - trio.current_time()
        self._limit((idle, body, limits.write, math.inf)[activity])

    def _limit(self, seconds: float) -> None:
        self.since = trio.current_time()
        self._scope.deadline = self.since + seconds
