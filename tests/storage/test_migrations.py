"""The schema: applied once, by one at a time, whole or not at all, and never by older code."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from owlrunner.errors import PluginError, SchemaOutdated, SchemaTooNew, StatementFailed
from owlrunner.plugins import Catalog, Plugin
from owlrunner.storage.migrations import Migration, migrate, require_current_schema, wanted_migrations
from owlrunner.storage.postgres import Database

CORE = wanted_migrations(Catalog())


def plugin_with(folder: Path) -> Catalog:
    """A catalog with one plugin that has migrations."""
    return Catalog(plugins=(Plugin("walls", "walls 1.0", (), {}, folder),))


def numbered(migrations: Sequence[Migration]) -> list[tuple[str, int]]:
    """Owner and number of each."""
    return [(one.owner, one.number) for one in migrations]


async def test_each_is_applied_once(empty_database_url: str) -> None:
    """The first call applies everything in order, the second nothing, and then the schema is current."""
    async with Database(empty_database_url) as db:
        assert numbered(await migrate(db, CORE)) == numbered(CORE)
        assert await migrate(db, CORE) == []
        await require_current_schema(db, CORE)


async def test_servers_that_start_together_do_not_collide(empty_database_url: str) -> None:
    """Of five that migrate at once one applies, the others wait and find it done."""
    applied: list[int] = []

    async def one() -> None:
        async with Database(empty_database_url) as db:
            applied.append(len(await migrate(db, CORE)))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert sorted(applied) == [0, 0, 0, 0, len(CORE)]


async def test_an_empty_database_is_outdated(empty_database_url: str) -> None:
    """A server that may not migrate says what is missing and which command brings it."""
    async with Database(empty_database_url) as db:
        with pytest.raises(SchemaOutdated, match=r"owlrunner/0001_initial.*run owlrunner migrate"):
            await require_current_schema(db, CORE)


async def test_a_newer_database_is_refused(db: Database) -> None:
    """Code that does not know a migration of the core touches nothing."""
    async with db.session() as session:
        await session.rows("migrations/record", {"owner": "owlrunner", "number": 9000, "name": "future"})
    with pytest.raises(SchemaTooNew, match="9000"):
        await migrate(db, CORE)
    with pytest.raises(SchemaTooNew, match="9000"):
        await require_current_schema(db, CORE)


async def test_a_failing_migration_leaves_nothing(empty_database_url: str, tmp_path: Path) -> None:
    """What a migration did before its mistake is undone, and the mistake is told with the file's name."""
    (tmp_path / "0001_walls.sql").write_text("create table walls (n int);\nselect no_such_function();")
    async with Database(empty_database_url) as db:
        with pytest.raises(
            StatementFailed, match=r"walls/0001_walls\.sql failed and was rolled back: .*no_such_function"
        ):
            await migrate(db, wanted_migrations(plugin_with(tmp_path)))
        row = await db.row("migrations/exists")
        assert row == (True,)
        async with db.session() as session:
            cursor = await session.connection.execute(
                "select to_regclass('walls'), to_regclass('job_runs') is not null"
            )
            assert await cursor.fetchone() == (None, True)


async def test_a_plugin_brings_its_own(db: Database, tmp_path: Path) -> None:
    """A plugin's migrations come after the core's, are counted apart, and grow with the plugin."""
    (tmp_path / "0001_walls.sql").write_text("create table walls (n int)")
    assert numbered(await migrate(db, wanted_migrations(plugin_with(tmp_path)))) == [("walls", 1)]
    (tmp_path / "0002_paint.sql").write_text("alter table walls add colour text default '100%'")
    assert numbered(await migrate(db, wanted_migrations(plugin_with(tmp_path)))) == [("walls", 2)]


@pytest.mark.parametrize("names", [["0002_late.sql"], ["0001_a.sql", "0001_b.sql"], ["1_short.sql"], ["0001-dash.sql"]])
def test_misnumbered_files_are_told(tmp_path: Path, names: list[str]) -> None:
    """Gaps, doubles and misspelt names stop the start with the plugin's name."""
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(PluginError, match="walls"):
        wanted_migrations(plugin_with(tmp_path))
