"""This is the room for units of work: short transactions that wait for locks but briefly, and try again when in the way."""

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import attrs
import psycopg
import trio

import owlrunner
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.settings import MaintenanceSettings

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between two tries."""

GONE: tuple[type[psycopg.Error], ...] = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""What was there at first has been dropped or renamed by somebody else."""
IN_THE_WAY: tuple[type[psycopg.Error], ...] = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class MaintenanceFailed(owlrunner.OwlRunnerError):
    """A run could not do what it is for. The message names the tables and the reasons; what was done before stays done."""


class LockBusy(MaintenanceFailed):
    """Somebody held a lock for longer than a run is willing to stand in the way of others."""


class Stopped(Exception):
    """The run was asked to cancel, and the unit under way is complete. Caught by each job, which returns what it has."""


@attrs.frozen
class Units:
    """A run's connection, and its way to work on it.

    Every setting holds for one transaction only, so that it neither misses its statement nor outlives it behind a pooler.
    """

    ctx: owlrunner.JobContext
    connection: owlrunner.Connection
    settings: MaintenanceSettings

    def stop_if_cancelled(self) -> None:
        """Raise Stopped when somebody wants the run to end."""
        if self.ctx.is_cancelled():
            raise Stopped

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[owlrunner.Connection]:
        """A transaction in UTC that waits ``lock_timeout`` for a lock."""
        milliseconds = max(1, round(self.settings.lock_timeout * 1000))
        async with self.connection.transaction():
            await rows(self.connection, "begin_unit", {"lock_timeout": f"{milliseconds}ms"})
            yield self.connection

    async def once(self, work: Callable[[owlrunner.Connection], Awaitable[T]]) -> T:
        """Do one unit of work. Raises what ``IN_THE_WAY`` lists when a lock could not be had."""
        async with self.transaction() as connection:
            return await work(connection)

    async def patiently(
        self,
        what: str,
        work: Callable[[owlrunner.Connection], Awaitable[T]],
        *,
        again_after: tuple[type[psycopg.Error], ...] = (),
    ) -> T:
        """Do one unit of work, again when a lock could not be had, or after an error that a second look resolves.

        An error that the second look meets again is there for good, and raised.

        Raises LockBusy when that did not help, and Stopped when the run is cancelled meanwhile.
        """
        pause = FIRST_PAUSE
        met: set[str] = set()
        for tries_left in reversed(range(self.settings.lock_tries)):
            self.stop_if_cancelled()
            try:
                return await self.once(work)
            except IN_THE_WAY + again_after as error:
                reason = error.diag.message_primary or type(error).__name__
                if not isinstance(error, IN_THE_WAY):
                    if reason in met:
                        raise
                    met.add(reason)
                if not tries_left:
                    tries = self.settings.lock_tries
                    raise LockBusy(f"{what}: given up after {tries} tries: {reason}") from error
                self.ctx.log.info("%s: %s; trying again in a moment", what, reason)
            # Two servers that met do not meet again at the same moment.
            await trio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load, keeps no secret
            pause = min(pause * 2, LONGEST_PAUSE)
        raise AssertionError("lock_tries is at least 1")


@contextlib.asynccontextmanager
async def units_of(ctx: owlrunner.JobContext, settings: MaintenanceSettings) -> AsyncIterator[Units]:
    """Open the run's connection."""
    async with ctx.connect() as connection:
        # Whatever the database's default: a second look must see what others have committed since the first.
        await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        yield Units(ctx, connection, settings)


def reason_of(error: Exception) -> str:
    """An error as it stands behind a table's name: PostgreSQL's sentence without its class."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        detail = error.diag.message_detail
        return error.diag.message_primary + (f" ({detail})" if detail else "")
    return str(error)
