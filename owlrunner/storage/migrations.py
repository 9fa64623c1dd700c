"""Bring the schema to the version that this code and its plugins need.

Each migration is one transaction under a lock that all servers share, on a connection of its own: a migration may take
as long as it needs. What it may not do is wait for a table behind somebody else's long transaction, because everything that comes
later would wait behind it, all servers included. So waiting for a lock ends soon, the migration is undone and tried
again after a pause in which the others go on.
"""

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import attrs
import psycopg
import trio

from owlrunner.errors import (
    PluginError,
    SchemaChanged,
    SchemaOutdated,
    SchemaTooNew,
    StatementFailed,
    UnsuitableDatabase,
)
from owlrunner.plugins import Catalog, Plugin
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.long_statements import notice_lost_answers
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.session_settings import SessionSettings
from owlrunner.storage.sqlstate import Fault, fault_of

CORE = "owlrunner"
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

_COMPATIBLE = re.compile(rb"(?:--[^\n]*\n)*-- compatible: yes\n")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@attrs.frozen
class Migration:
    """One numbered SQL file of one owner: the core, or a plugin."""

    owner: str
    number: int
    name: str
    sql: bytes = attrs.field(repr=False)

    @property
    def file(self) -> str:
        """What messages call it."""
        return f"{self.owner}/{self.number:04}_{self.name}.sql"

    @property
    def checksum(self) -> str:
        """A hash of its text, the same whatever a checkout does to line ends."""
        return hashlib.sha256(self.sql.replace(b"\r\n", b"\n")).hexdigest()

    @property
    def compatible(self) -> bool:
        """Whether code that does not know it may go on, as a line of its first comment says: ``-- compatible: yes``.

        That is so where it only adds what older statements do not see. What takes something away needs all servers to be new.
        """
        return _COMPATIBLE.match(self.sql) is not None


class _Applied(NamedTuple):
    compatible: bool
    """Whether code that does not know it may go on."""
    checksum: str | None


_History = Mapping[tuple[str, int], _Applied]
"""What has been applied, by owner and number."""


def wanted_migrations(catalog: Catalog) -> list[Migration]:
    """Return all migrations of this code and its plugins, in the order in which they apply: the core's first.

    Plugins go by name, and each behind those that it says it comes after.

    Raises PluginError for a plugin's folder that cannot be used, or an order that cannot be.
    """
    wanted = _in_folder(CORE, files("owlrunner.storage") / "migrations")
    for plugin in _in_order(catalog.plugins):
        if plugin.migrations is not None:
            wanted += _in_folder(plugin.name, plugin.migrations.folder)
    return wanted


def _in_order(plugins: Iterable[Plugin]) -> list[Plugin]:
    """The plugins in the order of their migrations."""
    by_name = {plugin.name: plugin for plugin in sorted(plugins, key=lambda plugin: plugin.name)}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, plugin in by_name.items():
        before = plugin.migrations.after if plugin.migrations is not None else ()
        for other in before:
            if other not in by_name:
                raise PluginError(f"plugin {name}: its migrations come after those of {other}, which is not installed")
        sorter.add(name, *before)
    ordered: list[Plugin] = []
    try:
        sorter.prepare()
    except CycleError as error:
        raise PluginError(
            f"the migrations of plugins come after each other in a circle: {' < '.join(error.args[1])}"
        ) from None
    while sorter.is_active():
        # Of those that are ready the first by name: the same order everywhere.
        ready = sorted(sorter.get_ready())
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return ordered


async def migrate(db: Database, wanted: Iterable[Migration]) -> list[Migration]:
    """Apply what is missing and return it. Each migration is one transaction under a lock that all servers share.

    Raises UnsuitableDatabase; SchemaTooNew when the database holds a migration of the core that this code does not know
    and that older code cannot live with; SchemaChanged when one was edited after it had been applied; and
    StatementFailed naming the file that PostgreSQL refused.
    """
    wanted = list(wanted)
    async with _connected(db) as session:
        return [migration for migration in wanted if await _apply_patiently(session, migration, wanted)]


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


async def _apply_patiently(session: Session, migration: Migration, wanted: list[Migration]) -> bool:
    """Apply a migration, again as long as a lock is in the way; False where it has been applied already."""
    for failures in range(1, LOCK_TRIES):
        try:
            return await _apply(session, migration, wanted)
        except StatementFailed as error:
            if not _was_in_the_way(error):
                raise
        if failures == 1:
            logger.warning("migration %s waits for a lock that somebody else holds, and is tried again", migration.file)
        await trio.sleep(LOCK_PAUSE)
    return await _apply(session, migration, wanted)


def _was_in_the_way(error: StatementFailed) -> bool:
    """Whether another transaction was the reason: waiting for a lock ended, or a deadlock."""
    return isinstance(error.__cause__, psycopg.Error) and fault_of(error.__cause__) is Fault.CONFLICT


async def _apply(session: Session, migration: Migration, wanted: list[Migration]) -> bool:
    async with session.transaction():
        await session.rows("migrations/lock")
        await session.rows("migrations/prepare")
        applied = await _applied(session)
        _refuse_newer(applied, wanted)
        _refuse_changed(applied, [migration])
        known = applied.get((migration.owner, migration.number))
        if known is None:
            try:
                await session.connection.execute(migration.sql)
            except psycopg.Error as error:
                raise StatementFailed(f"migration {migration.file} failed and was rolled back: {error}") from error
        if known is None or known.checksum is None:
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


def _in_folder(owner: str, folder: Path | Traversable) -> list[Migration]:
    """The folder's migrations by number, without gaps."""
    found = []
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise PluginError(f"plugin {owner}: its folder of migrations cannot be read: {error}") from None
    for entry in entries:
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(entry.name)
        if match is None:
            raise PluginError(f"plugin {owner}: a migration is named like 0001_what_it_does.sql, got {entry.name}")
        found.append(Migration(owner, int(match[1]), match[2], entry.read_bytes()))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise PluginError(
            f"plugin {owner}: migrations are numbered 0001, 0002, … without gaps, got {[migration.number for migration in found]}"
        )
    return found
