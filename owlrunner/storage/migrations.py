"""This is the room for bringing the schema to the version that this code and its plugins need."""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import attrs
import psycopg

from owlrunner.errors import PluginError, SchemaOutdated, SchemaTooNew, StatementFailed
from owlrunner.plugins import Catalog
from owlrunner.storage.postgres import Database, Session

CORE = "owlrunner"
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
    def compatible(self) -> bool:
        """Whether code that does not know it may go on, as a line of its first comment says: ``-- compatible: yes``.

        That is so where it only adds what older statements do not see. What takes something away needs all servers to be new.
        """
        return _COMPATIBLE.match(self.sql) is not None


def wanted_migrations(catalog: Catalog) -> list[Migration]:
    """All migrations of this code and its plugins, in the order in which they apply: the core's first.

    Raises PluginError for a plugin's folder that cannot be used.
    """
    wanted = _in_folder(CORE, files("owlrunner.storage") / "migrations")
    for plugin in catalog.plugins:
        if plugin.migrations is not None:
            wanted += _in_folder(plugin.name, plugin.migrations)
    return wanted


async def migrate(db: Database, wanted: Iterable[Migration]) -> list[Migration]:
    """Apply what is missing and return it. Each migration is one transaction under a lock that all servers share.

    Raises SchemaTooNew when the database holds a migration of the core that this code does not know and that older code
    cannot live with, and StatementFailed naming the file that PostgreSQL refused.
    """
    done: list[Migration] = []
    wanted = list(wanted)
    async with db.session() as session:
        for migration in wanted:
            async with session.transaction():
                await session.rows("migrations/lock")
                await session.rows("migrations/prepare")
                applied = await _applied(session)
                _refuse_newer(applied, wanted)
                if (migration.owner, migration.number) in applied:
                    continue
                try:
                    await session.connection.execute(migration.sql)
                except psycopg.Error as error:
                    file = f"{migration.owner}/{migration.number:04}_{migration.name}.sql"
                    raise StatementFailed(f"migration {file} failed and was rolled back: {error}") from error
                await session.rows(
                    "migrations/record",
                    {
                        "owner": migration.owner,
                        "number": migration.number,
                        "name": migration.name,
                        "compatible": migration.compatible,
                    },
                )
                done.append(migration)
    return done


async def require_current_schema(db: Database, wanted: Iterable[Migration]) -> None:
    """Raise SchemaOutdated or SchemaTooNew unless the database has all that this code expects, and nothing it cannot live with."""
    wanted = list(wanted)
    async with db.session() as session:
        exists = await session.row("migrations/exists")
        applied = await _applied(session) if exists and exists[0] else {}
    _refuse_newer(applied, wanted)
    missing = [migration for migration in wanted if (migration.owner, migration.number) not in applied]
    if missing:
        names = ", ".join(f"{one.owner}/{one.number:04}_{one.name}" for one in missing[:3]) + (
            ", …" if len(missing) > 3 else ""
        )
        raise SchemaOutdated(f"the database lacks {len(missing)} migration(s) ({names}): run owlrunner migrate")


async def _applied(session: Session) -> dict[tuple[str, int], bool]:
    """Owner and number of what has been applied, and whether code that does not know it may go on."""
    return {(owner, number): compatible for owner, number, compatible in await session.rows("migrations/applied")}


def _refuse_newer(applied: Mapping[tuple[str, int], bool], wanted: Iterable[Migration]) -> None:
    """Plugins may come and go; what the core's history has more than ours must be harmless to us."""
    known = {migration.number for migration in wanted if migration.owner == CORE}
    unknown = sorted(
        number
        for (owner, number), compatible in applied.items()
        if owner == CORE and number not in known and not compatible
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
