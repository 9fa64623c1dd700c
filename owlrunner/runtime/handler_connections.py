"""This is the room for the connections that handlers open: how many runs may have some at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from owlrunner.context import Connection, JobContext
from owlrunner.storage.postgres import Database


class HandlerConnections:
    """What ``ctx.connect()`` opens on one server."""

    def __init__(self, db: Database, most: int) -> None:
        self._db = db
        self._places = trio.Semaphore(most)
        self._open: dict[JobContext, int] = {}

    def __repr__(self) -> str:
        return f"<HandlerConnections of {len(self._open)} runs, {self._places.value} places left>"

    @asynccontextmanager
    async def open(self, ctx: JobContext) -> AsyncIterator[Connection]:
        """Open one for the run, as soon as there is a place for it.

        A run that has one already opens more without waiting: runs that hold one each and wait for one more would wait for ever.
        """
        await self._enter(ctx)
        try:
            async with self._db.dedicated() as connection:
                yield connection
        finally:
            self._leave(ctx)

    async def _enter(self, ctx: JobContext) -> None:
        if ctx not in self._open:
            await self._places.acquire()
            if ctx in self._open:
                # Another task of the same run came first; one place is enough for both.
                self._places.release()
        self._open[ctx] = self._open.get(ctx, 0) + 1

    def _leave(self, ctx: JobContext) -> None:
        self._open[ctx] -= 1
        if not self._open[ctx]:
            del self._open[ctx]
            self._places.release()
