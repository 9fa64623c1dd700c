"""The schema: applied once, by one at a time, whole or not at all, and never by older code."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import make_conninfo

from owlrunner.errors import (
    PluginError,
    SchemaChanged,
    SchemaOutdated,
    SchemaTooNew,
    StatementFailed,
    UnsuitableDatabase,
)
from owlrunner.hookspecs import Migrations
from owlrunner.plugins import Catalog, Plugin
from owlrunner.storage import migrations
from owlrunner.storage.migration_files import Migration, wanted_migrations
from owlrunner.storage.migrations import migrate, require_current_schema
from owlrunner.storage.postgres import Database

CORE = wanted_migrations(Catalog())


def plugin_with(folder: Path) -> Catalog:
    """A catalog with one plugin that has migrations."""
    return Catalog(plugins=(Plugin("walls", "walls 1.0", (), {}, Migrations(folder)),))


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
    """Of five that migrate at once each migration is applied by one; the others wait and find it done."""
    applied: list[Migration] = []

    async def one() -> None:
        async with Database(empty_database_url) as db:
            applied.extend(await migrate(db, CORE))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    assert sorted(numbered(applied)) == numbered(CORE)


async def test_an_empty_database_is_outdated(empty_database_url: str) -> None:
    """A server that may not migrate says what is missing and which command brings it."""
    async with Database(empty_database_url) as db:
        with pytest.raises(SchemaOutdated, match=r"owlrunner/0001_initial.*run owlrunner migrate$"):
            await require_current_schema(db, CORE)


async def test_tables_in_another_schema_are_told_of(database_url: str) -> None:
    """Where only the role's search_path keeps the tables from being found, that is what it says."""
    async with Database(make_conninfo(database_url, options="-c search_path=elsewhere")) as db:
        with pytest.raises(SchemaOutdated, match="search_path, which is 'elsewhere': there are such tables in public"):
            await require_current_schema(db, CORE)


def future(number: int, *, compatible: bool) -> dict[str, object]:
    """A migration of the core that this code has never heard of, as it stands on record."""
    return {"owner": "owlrunner", "number": number, "name": "future", "compatible": compatible, "checksum": None}


async def test_a_newer_database_is_refused(db: Database) -> None:
    """Code that does not know a migration of the core, which does not say that it may go on, touches nothing."""
    async with db.session() as session:
        await session.rows("migrations/record", future(9000, compatible=False))
        await session.rows("migrations/record", future(9001, compatible=True))
    with pytest.raises(SchemaTooNew, match="9000"):
        await migrate(db, CORE)
    with pytest.raises(SchemaTooNew, match="9000"):
        await require_current_schema(db, CORE)


async def test_a_newer_database_that_only_has_more_is_accepted(db: Database) -> None:
    """Where all unknown migrations say that older code may go on, it starts, and migrating again does nothing."""
    async with db.session() as session:
        await session.rows("migrations/record", future(9000, compatible=True))
        await session.rows("migrations/record", future(9001, compatible=True))
    await require_current_schema(db, CORE)
    assert await migrate(db, CORE) == []


@pytest.mark.parametrize(
    ("sql", "compatible"),
    [
        ("-- Adds a wall.\n-- compatible: yes\n\nselect 1;", True),
        ("-- compatible: yes\nselect 1;", True),
        ("-- Takes a wall away.\n-- compatible: no\nselect 1;", False),
        ("-- Says nothing.\nselect 1;", False),
        ("-- Says it too late.\nselect 1;\n-- compatible: yes\n", False),
    ],
)
def test_the_first_comment_says_whether_older_code_may_go_on(sql: str, compatible: bool) -> None:
    """Only where it says yes, in a line of its own."""
    assert Migration("walls", 1, "build", sql.encode()).compatible is compatible


def test_every_migration_of_the_core_says_it() -> None:
    """Whoever writes one has to think of the servers that are not upgraded yet."""
    told = [line for one in CORE for line in one.sql.decode().splitlines() if line.startswith("-- compatible: ")]
    assert set(told) == {"-- compatible: no", "-- compatible: yes"}
    assert len(told) == len(CORE)


async def test_what_was_applied_before_anybody_said_it_counts_as_not_compatible(db: Database) -> None:
    """A record from before is brought up to date by migrating, and asks for that until then."""
    async with db.session() as session:
        await session.connection.execute("alter table owlrunner_migrations drop column compatible")
    with pytest.raises(SchemaOutdated, match="run owlrunner migrate"):
        await require_current_schema(db, CORE)
    assert await migrate(db, CORE) == []
    await require_current_schema(db, CORE)
    async with db.session() as session:
        assert {compatible for _, _, compatible, _ in await session.rows("migrations/applied")} == {False}


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


async def test_a_migration_that_was_edited_is_refused(db: Database, tmp_path: Path) -> None:
    """An applied migration whose text has changed stops migrating and starting, naming the file; other line ends change nothing."""
    file = tmp_path / "0001_walls.sql"
    file.write_bytes(b"create table walls (n int);\n-- white\n")
    await migrate(db, wanted_migrations(plugin_with(tmp_path)))
    file.write_bytes(b"create table walls (n int);\r\n-- white\r\n")
    await require_current_schema(db, wanted_migrations(plugin_with(tmp_path)))
    file.write_bytes(b"create table walls (n bigint);\n")
    for act in (migrate, require_current_schema):
        with pytest.raises(SchemaChanged, match=r"walls/0001_walls\.sql was changed"):
            await act(db, wanted_migrations(plugin_with(tmp_path)))


async def test_an_edited_migration_stops_before_anything_is_applied(db: Database, tmp_path: Path) -> None:
    """Where one migration was edited, those that are new are not applied either."""
    file = tmp_path / "0001_walls.sql"
    file.write_text("create table walls (n int)")
    await migrate(db, wanted_migrations(plugin_with(tmp_path)))
    new = Migration("attics", 1, "attics", b"create table attics (n int)")
    file.write_text("create table walls (n bigint)")
    with pytest.raises(SchemaChanged, match=r"walls/0001"):
        await migrate(db, [new, *wanted_migrations(plugin_with(tmp_path))])
    async with db.session() as session:
        applied = await session.rows("migrations/applied")
    assert "attics" not in {owner for owner, *_ in applied}


async def test_a_record_without_a_checksum_gets_one(db: Database) -> None:
    """What was applied before there were checksums is taken as it is, and known from then on."""
    async with db.session() as session:
        await session.connection.execute("update owlrunner_migrations set checksum = null")
    await require_current_schema(db, CORE)
    assert await migrate(db, CORE) == []
    async with db.session() as session:
        known = {(owner, number): checksum for owner, number, _, checksum in await session.rows("migrations/applied")}
    assert {(one.owner, one.number): one.checksum for one in CORE}.items() <= known.items()


async def test_migrating_beside_a_long_reader_holds_up_nobody(
    db: Database, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a reader's open transaction a migration is undone and tried again, and other statements go through meanwhile."""
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.1)
    monkeypatch.setattr(migrations, "LOCK_PAUSE", 0.2)
    (tmp_path / "0001_walls.sql").write_text("alter table teams add column walls int")
    applied: list[Migration] = []
    finished = trio.Event()

    async def work() -> None:
        applied.extend(await migrate(db, wanted_migrations(plugin_with(tmp_path))))
        finished.set()

    async with db.session() as reader, reader.transaction():
        await reader.connection.execute("select from teams")
        nursery.start_soon(work)
        waiting = (
            "select from pg_stat_activity where application_name = 'owlrunner migrate' and wait_event_type = 'Lock'"
        )
        async with db.dedicated() as watch:
            with trio.fail_after(20):
                while not (await watch.execute(waiting)).rowcount:
                    await trio.sleep(0.01)
            # Not queued behind the migration for longer than one of its tries.
            with trio.fail_after(10):
                await watch.execute("select from teams")
        assert not finished.is_set()
    with trio.fail_after(20):
        await finished.wait()
    assert numbered(applied) == [("walls", 1)]


async def test_a_lock_that_is_never_given_back_is_told_in_the_end(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A migration is tried for two minutes, with a pause after each try that lets others through; that it waits is said once."""
    tries: list[float] = []

    async def apply() -> bool:
        tries.append(trio.current_time())
        raise StatementFailed("in the way", transient=True) from psycopg.errors.LockNotAvailable()

    with pytest.raises(StatementFailed, match="in the way"):
        await migrations._patiently("migration x", apply)
    assert len(tries) == migrations.LOCK_TRIES
    gaps = {later - earlier for earlier, later in itertools.pairwise(tries)}
    assert gaps == {migrations.LOCK_PAUSE}
    assert len(caplog.records) == 1


async def test_a_long_migration_is_not_cut(db: Database, tmp_path: Path) -> None:
    """A migration may take longer than any other statement of a pool."""
    (tmp_path / "0001_walls.sql").write_text("select pg_sleep(1)")
    async with Database(db.conninfo, answer_within=0.5) as hasty:
        assert numbered(await migrate(hasty, wanted_migrations(plugin_with(tmp_path)))) == [("walls", 1)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_of_another_encoding_is_refused(postgres_url: str, encoding: str) -> None:
    """A database that cannot hold every text is refused with the command that makes a better one, and left as it is."""
    name = f"test_{encoding.lower()}_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
    try:
        async with Database(make_conninfo(postgres_url, dbname=name)) as db:
            for act in (migrate, require_current_schema):
                with pytest.raises(UnsuitableDatabase, match=f"{encoding}.*createdb --encoding=UTF8"):
                    await act(db, CORE)
            async with db.session() as session:
                cursor = await session.connection.execute("select to_regclass('owlrunner_migrations') is null")
                assert await cursor.fetchone() == (True,)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


def ordered(**after: tuple[str, ...]) -> list[str]:
    """Whose migrations come in which order."""
    folder = Path(__file__).parents[2] / "owlrunner" / "storage" / "migrations"
    plugins = tuple(Plugin(name, name, (), {}, Migrations(folder, before)) for name, before in after.items())
    return [one.owner for one in wanted_migrations(Catalog(plugins=plugins)) if one.number == 1]


def test_plugins_migrate_in_a_declared_order() -> None:
    """A plugin's migrations come behind those of the plugins that it names, and by name where none says anything."""
    assert ordered(c=(), b=(), a=("c",)) == ["owlrunner", "b", "c", "a"]
    with pytest.raises(PluginError, match="come after those of x, which is not installed"):
        ordered(a=("x",))
    with pytest.raises(PluginError, match="in a circle"):
        ordered(a=("b",), b=("a",))
