"""Let those who would wait for one lock of the database take turns before they take a connection.

A lock that many wait for at once would hold a connection for each of them, and none would be left for others. So of all who want
the same thing one asks the database; the others wait here, a bounded number for a bounded time. What holds between servers is the
lock.
"""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import attrs
import trio

from owlrunner.errors import ServerBusy

PATIENCE = 5.0
"""Seconds that somebody waits for a turn."""
MOST_WAITING = 200
"""How many wait for one thing."""
RETRY_AFTER = 1


@attrs.define
class _Queue:
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    length: int = 0
    """How many wait, or have the turn."""


class Turns:
    """One turn at a time for each thing."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Queue] = {}

    @asynccontextmanager
    async def of(self, thing: Hashable) -> AsyncIterator[None]:
        """Have the turn as long as the block lasts. Raises ServerBusy."""
        queue = self._queues.setdefault(thing, _Queue())
        if queue.length > MOST_WAITING:
            raise _busy()
        queue.length += 1
        try:
            with trio.move_on_after(PATIENCE) as waiting:
                await queue.turn.acquire()
            if waiting.cancelled_caught:
                raise _busy()
            try:
                yield
            finally:
                queue.turn.release()
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[thing]


def _busy() -> ServerBusy:
    return ServerBusy("The server is busy. Try again later.", retry_after=RETRY_AFTER)
