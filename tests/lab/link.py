"""One connection through the proxy, and what a fault does to it."""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import attrs
import trio

from tests.lab import wire
from tests.lab.faults import Kind
from tests.lab.statement_names import name_of

CHUNK = 65536


class Severed(Exception):
    """The connection ends here."""


@attrs.define(eq=False)
class Link:
    """A client's connection and the one to the server that belongs to it."""

    name: str
    client: trio.abc.Stream
    server: trio.abc.Stream
    hold: float
    """Seconds for which something is held back."""
    on_statement: Callable[["Link", str], Kind | None]
    """Counts a statement, by the link and its name, and says what is to become of it."""
    silent: bool = False
    backend: int | None = None
    """The process id of the server's side."""
    _statements: wire.Statements = attrs.field(factory=wire.Statements)
    _answers: wire.Framing = attrs.field(factory=wire.Framing)
    _previous: str = "nothing"
    _fates: deque[Kind | None] = attrs.field(factory=lambda: deque([None]))
    """What is to become of the answers that are still to come, in order; that to the startup is the first."""
    _held: bytearray = attrs.field(factory=bytearray)

    async def carry(self, requests: wire.Framing) -> None:
        """Carry messages both ways until one side ends. ``requests`` may have bytes of the client's already."""
        async with trio.open_nursery() as both:

            async def one_way(way: Awaitable[None]) -> None:
                with contextlib.suppress(Severed, trio.BrokenResourceError, trio.ClosedResourceError):
                    await way
                if self.silent:
                    # Not even an end gets through: the other side goes on believing in this connection.
                    await trio.sleep_forever()
                both.cancel_scope.cancel()

            both.start_soon(one_way, self._carry_requests(requests))
            both.start_soon(one_way, self._carry_answers())

    async def close(self) -> None:
        """Close both sides at once."""
        await trio.aclose_forcefully(self.client)
        await trio.aclose_forcefully(self.server)

    async def _carry_requests(self, requests: wire.Framing) -> None:
        data = b""
        while True:
            for message in requests.feed(data):
                part = self._statements.feed(message)
                if isinstance(part, wire.Statement):
                    await self._carry_statement(part)
                elif part:
                    await self.server.send_all(part)
            data = bytes(await self.client.receive_some(CHUNK))
            if self.silent or not data:
                return

    async def _carry_statement(self, statement: wire.Statement) -> None:
        name = name_of(statement, self._previous)
        self._previous = name
        fate = None
        match self.on_statement(self, name):
            case None:
                pass
            case Kind.CUT_BEFORE:
                raise Severed
            case Kind.SILENCE | Kind.HALF_OPEN:
                self.silent = True
                raise Severed
            case Kind.DELAY:
                # Shielded from nothing: where the client hangs up meanwhile, the statement is on its way all the same.
                await trio.sleep(self.hold)
            case kind:
                fate = kind
        self._fates.append(fate)
        await self.server.send_all(statement.raw)

    async def _carry_answers(self) -> None:
        while data := await self.server.receive_some(CHUNK):
            if self.silent:
                return
            passed = bytearray()
            for message in self._answers.feed(bytes(data)):
                if message.kind == wire.BACKEND_KEY_DATA:
                    self.backend = wire.backend_pid(message)
                fate = self._fates[0] if self._fates else None
                if fate is None:
                    passed += message.raw
                else:
                    self._held += message.raw
                if message.kind == wire.READY_FOR_QUERY and self._fates:
                    self._fates.popleft()
                    passed += await self._decide(fate)
            if passed:
                await self.client.send_all(passed)

    async def _decide(self, fate: Kind | None) -> bytes:
        """What is passed on of what was held of an answer, when it has come to its end."""
        answer = bytes(self._held)
        self._held.clear()
        if fate is None or fate is Kind.SWALLOW:
            return b""
        if fate is not Kind.CUT_AFTER:
            await trio.sleep(self.hold)
        if fate is not Kind.LATE:
            raise Severed
        return answer
