"""Find out whether a server can do its work, for whoever balances load or watches it."""

from collections.abc import Callable, Collection

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.storage.accounts import answers
from owlrunner.storage.postgres import Database

PATIENCE = 2.0
"""Seconds that the database gets to answer before the server calls itself not ready."""
REMEMBERED = 1.0
"""Seconds for which an answer of the database counts, so that those who ask, which anybody may, cost it nothing."""


class Readiness:
    """What one server lacks. ``db`` should be a connection of its own: a crowd of requests says nothing about the database."""

    def __init__(self, db: Database, missing: Callable[[], Collection[str]]) -> None:
        self._db = db
        self._missing = missing
        self._looking = trio.Lock()
        self._looked = float("-inf")
        self._answers = False

    async def missing(self) -> list[str]:
        """Return the names of what is missing; nothing when the server is ready."""
        async with self._looking:
            if trio.current_time() - self._looked >= REMEMBERED:
                self._answers = await self._look()
                self._looked = trio.current_time()
        return [*([] if self._answers else ["database"]), *self._missing()]

    async def _look(self) -> bool:
        with trio.move_on_after(PATIENCE):
            try:
                await answers(self._db)
            except DatabaseTrouble:
                return False
            return True
        return False
