"""Notice that the answer to a statement is lost, where the statement may take hours.

How it works. Statements of handlers and of migrations have no deadline. When one has not been answered for a while,
another connection looks at pg_stat_activity. Either the server is executing it, and we go on waiting; or it is not, and the answer
was lost on its way, or the statement never arrived. The answer may cross our look, so we look twice before we believe it. Then
the connection is closed, its session is ended in the server, so that a transaction that is open there gives its locks back at once,
and who waits gets an error. Where we cannot look, or a pooler hides which backend is ours, we wait; a peer that
does not even acknowledge packets is given up by the kernel.
"""

from datetime import datetime

import attrs

from owlrunner.errors import DatabaseTrouble
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.postgres import Database, Session

LOOK_WITHIN = 5.0
"""Seconds that a look may take. One that takes longer says nothing."""


@attrs.frozen
class _Backend:
    """The process of PostgreSQL that serves one connection."""

    db: Database
    interval: float
    pid: int
    started: datetime

    async def is_working(self) -> bool:
        """Return whether it is executing a statement, or may be."""
        try:
            return await self._ask("backends/is_working")
        except DatabaseTrouble:
            return True

    async def end(self) -> None:
        """End it, if it is still there and can be reached."""
        try:
            await self._ask("backends/end")
        except DatabaseTrouble:
            # Then it ends its transaction by itself, a while after the last statement.
            return

    async def _ask(self, name: str) -> bool:
        # Not by the pool, which may have no more than the connection that waits.
        async with self.db.dedicated("look") as connection:
            connection.answer_within = LOOK_WITHIN
            row = await Session(connection).row(name, {"pid": self.pid, "started": self.started})
        return row is not None and bool(row[0])


async def notice_lost_answers(db: Database, connection: TrioConnection, interval: float) -> None:
    """From now on, look each time when a statement of the connection has not been answered for so many seconds.

    Raises DatabaseUnavailable.
    """
    connection.answer_within = LOOK_WITHIN
    row = await Session(connection).row("backends/own")
    connection.answer_within = None
    if row is not None and row[0] == connection.pgconn.backend_pid:
        connection.watch = _Backend(db, interval, *row)
