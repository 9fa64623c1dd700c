"""Let those who would wait for one lock of the database take turns before they take a connection.

A lock that many wait for at once would hold a connection for each of them, and none would be left for others. So of all who want
the same thing one asks the database; the others wait here, a bounded number for a bounded time. What holds between servers is the
lock.
"""

from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import attrs
import trio

from owlrunner.errors import ServerBusy

PATIENCE = 5.0
"""Seconds that somebody waits for a turn."""
MOST_WAITING = 500
"""How many wait for one thing."""
MOST_OF_ONE = 30
"""How many of those are one client's: nobody takes all places."""
RETRY_AFTER = 1


@attrs.define
class _Queue:
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    holders: Counter[Hashable] = attrs.field(factory=Counter)
    """How many wait, or have the turn, by whose they are."""


class Turns:
    """One turn at a time for each thing."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Queue] = {}

    @asynccontextmanager
    async def of(self, thing: Hashable, holder: Hashable = None) -> AsyncIterator[None]:
        """Have the turn as long as the block lasts, for ``holder``, if it is known who that is. Raises ServerBusy."""
        queue = self._queues.setdefault(thing, _Queue())
        if queue.holders.total() > MOST_WAITING or (holder is not None and queue.holders[holder] > MOST_OF_ONE):
            raise _busy()
        queue.holders[holder] += 1
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
            queue.holders -= Counter([holder])
            if not queue.holders:
                del self._queues[thing]


def _busy() -> ServerBusy:
    return ServerBusy("The server is busy. Try again later.", retry_after=RETRY_AFTER)
