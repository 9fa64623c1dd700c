"""Bring the schema to the version that this code and its plugins need.

Each migration is one transaction under a lock that all servers share, on a connection of its own: a migration may take
as long as it needs. What it may not do is wait for a table behind somebody else's long transaction, because everything that comes
later would wait behind it, all servers included. So waiting for a lock ends soon, the migration is undone and tried
again after a pause in which the others go on.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import psycopg
import trio

from owlrunner.errors import (
    SchemaChanged,
    SchemaOutdated,
    SchemaTooNew,
    StatementFailed,
    UnsuitableDatabase,
)
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.long_statements import notice_lost_answers
from owlrunner.storage.migration_files import CORE, Migration
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.session_settings import SessionSettings
from owlrunner.storage.sqlstate import Fault, fault_of

LOCK_TIMEOUT = 3.0
"""Seconds that one try waits for a lock."""
LOCK_PAUSE = 2.0
"""Seconds between two tries, for those who had to wait behind it."""
LOCK_TRIES = 60
LOOK_AFTER = 5.0
"""Seconds without an answer after which we look whether the server is still at work on a migration."""
OLDEST_SERVER = 140_000
"""PostgreSQL 14, as libpq counts."""

logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class _Applied(NamedTuple):
    compatible: bool
    """Whether code that does not know it may go on."""
    checksum: str | None


_History = Mapping[tuple[str, int], _Applied]
"""What has been applied, by owner and number."""


async def migrate(db: Database, wanted: Iterable[Migration]) -> list[Migration]:
    """Apply what is missing and return it. Each migration is one transaction under a lock that all servers share.

    Raises UnsuitableDatabase; SchemaTooNew when the database holds a migration of the core that this code does not know
    and that older code cannot live with; SchemaChanged when one was edited after it had been applied; and
    StatementFailed naming the file that PostgreSQL refused.
    """
    wanted = list(wanted)
    async with _connected(db) as session:
        missing = await _patiently("the list of migrations", partial(_missing, session, wanted))
        return [
            one for one in missing if await _patiently(f"migration {one.file}", partial(_apply, session, one, wanted))
        ]


@asynccontextmanager
async def _connected(db: Database) -> AsyncIterator[Session]:
    """A session in which a statement may take hours, and waiting for a lock may not."""
    settings = SessionSettings(statement_timeout=0.0, lock_timeout=LOCK_TIMEOUT, by_index=False)
    connection = await db.connect(settings, "migrate")
    try:
        _refuse_unsuitable(connection)
        await notice_lost_answers(db, connection, LOOK_AFTER)
        yield Session(connection, settings.statement(for_transaction=True))
    finally:
        connection.hang_up()


def _refuse_unsuitable(connection: TrioConnection) -> None:
    encoding = (connection.pgconn.parameter_status(b"server_encoding") or b"UTF8").decode()
    if encoding != "UTF8":
        raise UnsuitableDatabase(
            f"the database {connection.info.dbname} has the encoding {encoding}, which cannot hold every text; "
            "OwlRunner needs UTF8: createdb --encoding=UTF8 --template=template0 NAME"
        )
    if connection.info.server_version < OLDEST_SERVER:
        raise UnsuitableDatabase(
            f"the server is PostgreSQL {connection.info.server_version // 10_000}, "
            f"and OwlRunner needs {OLDEST_SERVER // 10_000} or newer"
        )


async def _patiently(what: str, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
    """Try something under the migration lock, again as long as a lock is in the way."""
    for failures in range(1, LOCK_TRIES):
        try:
            return await attempt()
        except StatementFailed as error:
            if not _was_in_the_way(error):
                raise
        if failures == 1:
            logger.warning("%s waits for a lock that somebody else holds, and is tried again", what)
        await trio.sleep(LOCK_PAUSE)
    return await attempt()


def _was_in_the_way(error: StatementFailed) -> bool:
    """Whether another transaction was the reason: waiting for a lock ended, or a deadlock."""
    return isinstance(error.__cause__, psycopg.Error) and fault_of(error.__cause__) is Fault.CONFLICT


async def _missing(session: Session, wanted: list[Migration]) -> list[Migration]:
    """What is to be applied or noted: for most starts of a server nothing, so it is asked once and not for each migration."""
    async with _locked(session) as applied:
        _refuse_newer(applied, wanted)
        _refuse_changed(applied, wanted)
        return [one for one in wanted if not _is_noted(applied.get((one.owner, one.number)))]


async def _apply(session: Session, migration: Migration, wanted: list[Migration]) -> bool:
    """Apply a migration; False where somebody else has, in the meantime or before checksums were noted."""
    async with _locked(session) as applied:
        _refuse_newer(applied, wanted)
        _refuse_changed(applied, [migration])
        known = applied.get((migration.owner, migration.number))
        if known is None:
            try:
                await session.connection.execute(migration.sql)
            except psycopg.Error as error:
                raise StatementFailed(f"migration {migration.file} failed and was rolled back: {error}") from error
        if not _is_noted(known):
            await session.rows(
                "migrations/record",
                {
                    "owner": migration.owner,
                    "number": migration.number,
                    "name": migration.name,
                    "compatible": migration.compatible,
                    "checksum": migration.checksum,
                },
            )
        return known is None


@asynccontextmanager
async def _locked(session: Session) -> AsyncIterator[_History]:
    """A transaction in which nobody else migrates, with what has been applied."""
    async with session.transaction():
        await session.rows("migrations/lock")
        await session.rows("migrations/prepare")
        yield await _applied(session)


def _is_noted(known: "_Applied | None") -> bool:
    return known is not None and known.checksum is not None


async def require_current_schema(db: Database, wanted: Iterable[Migration]) -> None:
    """Raise unless the database has all that this code expects, as it expects it, and nothing that it cannot live with.

    Raises UnsuitableDatabase, SchemaOutdated, SchemaTooNew and SchemaChanged.
    """
    wanted = list(wanted)
    async with db.session() as session:
        _refuse_unsuitable(session.connection)
        exists = await session.row("migrations/exists")
        applied = await _applied(session) if exists and exists[0] else {}
        elsewhere = None if applied else await session.row("migrations/elsewhere")
    _refuse_newer(applied, wanted)
    _refuse_changed(applied, wanted)
    missing = [migration for migration in wanted if (migration.owner, migration.number) not in applied]
    if missing:
        names = ", ".join(f"{one.owner}/{one.number:04}_{one.name}" for one in missing[:3]) + (
            ", …" if len(missing) > 3 else ""
        )
        hint = (
            f"; or set the role's search_path, which is {elsewhere[1]!r}: there are such tables in {elsewhere[0]}"
            if elsewhere is not None and elsewhere[0]
            else ""
        )
        raise SchemaOutdated(f"the database lacks {len(missing)} migration(s) ({names}): run owlrunner migrate{hint}")


async def _applied(session: Session) -> _History:
    return {
        (owner, number): _Applied(compatible, checksum)
        for owner, number, compatible, checksum in await session.rows("migrations/applied")
    }


def _refuse_changed(applied: _History, wanted: Iterable[Migration]) -> None:
    """Whoever edits an applied migration has databases of two kinds, and no way to tell them apart."""
    for migration in wanted:
        known = applied.get((migration.owner, migration.number))
        if known is not None and known.checksum not in (None, migration.checksum):
            raise SchemaChanged(
                f"migration {migration.file} was changed after it had been applied; "
                "bring the old text back, and write a new migration"
            )


def _refuse_newer(applied: _History, wanted: Iterable[Migration]) -> None:
    """Plugins may come and go; what the core's history has more than ours must be harmless to us."""
    known = {migration.number for migration in wanted if migration.owner == CORE}
    unknown = sorted(
        number
        for (owner, number), one in applied.items()
        if owner == CORE and number not in known and not one.compatible
    )
    if unknown:
        raise SchemaTooNew(
            f"the database has migration {unknown[-1]:04}, and this OwlRunner knows only up to {max(known, default=0):04}: "
            "run a newer OwlRunner"
        )
