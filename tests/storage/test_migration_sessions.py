"""How migrations are executed: in which session, for how long behind somebody's lock, and what is told of those that lack."""

import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from owlrunner.errors import SchemaOutdated, StatementFailed
from owlrunner.hookspecs import Migrations
from owlrunner.plugins import Catalog, Plugin
from owlrunner.storage import migrations
from owlrunner.storage.migration_files import Migration, wanted_migrations
from owlrunner.storage.migrations import migrate, require_current_schema
from owlrunner.storage.postgres import Database
from tests.relay import Relay, relayed

CORE = wanted_migrations(Catalog())


def walls(sql: str) -> list[Migration]:
    """What is wanted where a plugin brings this migration."""
    return [*CORE, Migration("walls", 1, "build", sql.encode())]


async def test_migrations_have_their_own_settings(db: Database) -> None:
    """They may take any time, wait for locks for seconds, and are planned as PostgreSQL likes."""
    names = "'enable_seqscan', 'statement_timeout', 'lock_timeout', 'application_name'"
    await migrate(
        db, walls(f"create table seen as select name, current_setting(name) from pg_settings where name in ({names})")
    )
    async with db.session() as session:
        cursor = await session.connection.execute("select * from seen")
        assert dict(await cursor.fetchall()) == {
            "enable_seqscan": "on",
            "statement_timeout": "0",
            "lock_timeout": "3s",
            "application_name": "owlrunner migrate",
        }


@pytest.mark.parametrize("tries", [1, 4])
async def test_a_lock_is_tried_for_so_often(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tries: int
) -> None:
    """Where somebody keeps a lock, all tries end, the last one is what is raised, and waiting was said once."""
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.01)
    monkeypatch.setattr(migrations, "LOCK_PAUSE", 0.0)
    monkeypatch.setattr(migrations, "LOCK_TRIES", tries)
    async with db.session() as session, session.transaction():
        # What a sequence has counted is not undone with its transaction.
        async with db.dedicated() as other:
            await other.execute("create sequence tries")
        await session.connection.execute("lock table teams")
        with pytest.raises(StatementFailed, match=r"walls/0001_build\.sql failed and was rolled back: .*lock timeout"):
            await migrate(db, walls("select nextval('tries'); alter table teams add column walls int"))
        cursor = await session.connection.execute("select last_value from tries")
        assert await cursor.fetchall() == [(tries,)]
    told = [record.getMessage() for record in caplog.records if record.name == migrations.__name__]
    waits = "migration walls/0001_build.sql waits for a lock that somebody else holds, and is tried again"
    assert told == [waits] * (tries > 1)


async def test_a_mistake_is_not_tried_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A migration that PostgreSQL refuses for itself is refused at once."""
    monkeypatch.setattr(migrations, "LOCK_PAUSE", 0.0)
    async with db.session() as session:
        await session.connection.execute("create sequence tries")
        with pytest.raises(StatementFailed, match="no_such_function"):
            await migrate(db, walls("select nextval('tries'); select no_such_function()"))
        cursor = await session.connection.execute("select last_value from tries")
        assert await cursor.fetchall() == [(1,)]
    assert not [record for record in caplog.records if record.name == migrations.__name__]


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A relay in front of the test's database."""
    async with relayed(database_url) as running:
        yield running


async def test_a_migration_whose_answer_is_lost_ends(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration has no deadline, but one that the server is not executing any more is given up."""
    monkeypatch.setattr(migrations, "LOOK_AFTER", 0.1)
    async with Database(relay.conninfo) as db:
        relay.lose_answer_to(b"create table walls")
        with trio.fail_after(20), pytest.raises(StatementFailed, match="answer was lost"):
            await migrate(db, walls("create table walls ()"))


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (1, r"lacks 1 migration\(s\) \(walls/0001_build\): run"),
        (3, r"lacks 3 migration\(s\) \(walls/0001_build, walls/0002_build, walls/0003_build\): run"),
        (4, r"lacks 4 migration\(s\) \(walls/0001_build, walls/0002_build, walls/0003_build, …\): run"),
    ],
)
async def test_what_lacks_is_named(db: Database, lacking: int, told: str) -> None:
    """Up to three migrations that lack are named; of more it is said that there are more."""
    wanted = [*CORE, *(Migration("walls", number, "build", b"select 1") for number in range(1, lacking + 1))]
    with pytest.raises(SchemaOutdated, match=told):
        await require_current_schema(db, wanted)


def test_a_folder_may_be_anything_that_a_package_comes_in(tmp_path: Path) -> None:
    """The migrations of a plugin that is imported from an archive are read in their order, whatever order they are stored in."""
    archive = tmp_path / "walls.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("0002_paint.sql", "0001_build.sql", "README"):
            file.writestr(name, "select 1")
    plugin = Plugin("walls", "walls 1.0", (), {}, Migrations(zipfile.Path(archive)))
    wanted = wanted_migrations(Catalog(plugins=(plugin,)))
    assert [one.file for one in wanted[len(CORE) :]] == ["walls/0001_build.sql", "walls/0002_paint.sql"]
