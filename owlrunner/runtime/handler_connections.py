"""Limit how many runs may have connections of their own at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from owlrunner.connection import Connection
from owlrunner.context import JobContext
from owlrunner.storage.long_statements import notice_lost_answers
from owlrunner.storage.postgres import Database
from owlrunner.storage.session_settings import OF_HANDLERS


@attrs.define(eq=False)
class _Place:
    """One run's place, for all the connections that it has or waits for."""

    granted: trio.Event = attrs.field(factory=trio.Event)
    users: int = 0


class HandlerConnections:
    """What ``ctx.connect()`` opens on one server: for at most so many runs at once.

    A statement without an answer is looked after every ``look_after`` seconds, and fails when the server is not executing it.
    """

    def __init__(self, db: Database, most: int, look_after: float = 10.0) -> None:
        self._db = db
        self._look_after = look_after
        self._free = trio.Semaphore(most)
        self._places: dict[JobContext, _Place] = {}

    def __repr__(self) -> str:
        return f"<HandlerConnections of {len(self._places)} runs, {self._free.value} places left>"

    @asynccontextmanager
    async def open(self, ctx: JobContext) -> AsyncIterator[Connection]:
        """Open one for the run, as soon as there is a place for the run.

        A run has one place for all its connections: runs that hold one each and wait for one more would wait for ever,
        and so would one run that opens two side by side.
        """
        place = self._places.setdefault(ctx, _Place())
        place.users += 1
        try:
            await self._wait_for(place)
            async with self._db.dedicated("handler", OF_HANDLERS) as connection:
                await notice_lost_answers(self._db, connection, self._look_after)
                yield connection
        finally:
            place.users -= 1
            if not place.users:
                del self._places[ctx]
                if place.granted.is_set():
                    self._free.release()

    async def _wait_for(self, place: _Place) -> None:
        """Return when the place is granted; of several tasks of one run that wait, the first to get it gets it for all."""
        if place.granted.is_set():
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._acquire, place, nursery.cancel_scope)
            await place.granted.wait()
            nursery.cancel_scope.cancel()

    async def _acquire(self, place: _Place, waiting: trio.CancelScope) -> None:
        await self._free.acquire()
        if place.granted.is_set():
            self._free.release()
        place.granted.set()
        waiting.cancel()
