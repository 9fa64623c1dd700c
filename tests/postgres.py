"""The PostgreSQL of the tests: one for a whole session and all its workers, and databases in it that are copies of templates."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import trio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from owlrunner.plugins import load_catalog
from owlrunner.storage.embedded import prepare_cluster
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database

TEMPLATE = "owlrunner_template"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""The name of this worker of a parallel session; templates that it makes for itself have it in theirs."""

SERVER_ROLE = os.environ.get("OWLRUNNER_TEST_SERVER_ROLE", "")
"""The role by which the servers of tests/promises are to work, with no more rights than they need; else by that of the tests."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - nothing there has a name that can be guessed
_MEMORY_NEEDED = 4 << 30

_SETTINGS = {
    # What has to survive a crash of the machine is not tested here; a crash of PostgreSQL still loses nothing.
    "fsync": "off",
    "full_page_writes": "off",
    # Every worker has a few pools and a few servers at the same time.
    "max_connections": "500",
    # In memory, what is not needed any more must not stay long.
    "max_wal_size": "256MB",
    # It would rewrite catalogues and statistics at moments of its own, where tests measure sizes and read plans.
    "autovacuum": "off",
}


@contextlib.contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A folder that another account may use, too; in memory where there is enough.

    Copying the template is making 330 files: in memory 20 ms, on a disk ten times as much.
    """
    in_memory = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _MEMORY_NEEDED
    # Not in pytest's own folder: a second session closes that to other accounts, such as PostgreSQL's when we are root, and
    # takes it away when it is the fourth to start.
    with tempfile.TemporaryDirectory(
        prefix="owlrunner-test-", dir=_MEMORY if in_memory else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextlib.contextmanager
def session_postgres() -> Iterator[str]:
    """The PostgreSQL that OWLRUNNER_TEST_DATABASE_URL names, else an embedded one, with TEMPLATE in it."""
    given = os.environ.get("OWLRUNNER_TEST_DATABASE_URL")
    with contextlib.nullcontext(given) if given else _embedded() as url:
        _make_template(url)
        yield url


@contextlib.contextmanager
def _embedded() -> Iterator[str]:
    with folder_for_postgres() as folder:
        cluster = prepare_cluster(folder)
        try:
            with psycopg.connect(cluster.ensure_running(), autocommit=True) as connection:
                for name, value in _SETTINGS.items():
                    connection.execute(f"alter system set {name} = '{value}'")
            cluster.stop()
            yield cluster.ensure_running()
        finally:
            cluster.stop("immediate")


def in_database(url: str, name: str) -> str:
    """The connection string of another database of the same PostgreSQL."""
    return make_conninfo(url, dbname=name)


def new_template(postgres_url: str, name: str, source: str = "template1") -> str:
    """Make a database to be copied, itself a copy of another, anew; returns its connection string."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {name}")
        _copy(connection, source, name)
    return in_database(postgres_url, name)


def _make_template(postgres_url: str) -> None:
    """Make TEMPLATE, a database with every migration applied."""
    url = new_template(postgres_url, TEMPLATE)

    async def apply() -> None:
        async with Database(url) as db:
            await migrate(db, wanted_migrations(load_catalog({})))

    trio.run(apply)
    # Each partition and index is a file that is copied for every test, which takes a quarter longer; none of them needs events.
    with psycopg.connect(url, autocommit=True) as connection:
        for (drop,) in connection.execute(
            "select format('drop table %s', inhrelid::regclass) from pg_inherits"
        ).fetchall():
            connection.execute(drop)
        if SERVER_ROLE:
            _let_in(connection, SERVER_ROLE)


def _let_in(connection: "psycopg.Connection[tuple[object, ...]]", role: str) -> None:
    """Let servers work by a role as config/examples/roles.sql and audit.sql have it; it may also make the tables of jobs."""
    name = sql.Identifier(role)
    if not connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
        connection.execute(sql.SQL("create role {} login").format(name))
    for statement in (
        "grant usage, create on schema public to {}",
        "grant select, insert, update, delete on all tables in schema public to {}",
        # For what a test makes by its own role.
        "alter default privileges in schema public grant select, insert, update, delete on tables to {}",
        "revoke update, delete on audit_logs, security_events from {}",
    ):
        connection.execute(sql.SQL(statement).format(name))


def fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    """Yield the connection string of a copy of a template, and drop it afterwards."""
    name = f"test_{os.urandom(16).hex()}"
    connection = _lasting_connection(postgres_url)
    _copy(connection, template, name)
    yield in_database(postgres_url, name)
    connection.execute(f"drop database {name} with (force)")


@functools.cache
def _lasting_connection(postgres_url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """One for all databases that a worker makes: a process of PostgreSQL's for each would cost as much as the copying."""
    connection = psycopg.connect(postgres_url, autocommit=True)
    atexit.register(connection.close)
    return connection


def _copy(connection: "psycopg.Connection[tuple[object, ...]]", template: str, name: str) -> None:
    # Of files, not through the log: half the time for a template that nobody has just written. Before 15 it is the only way.
    strategy = "strategy file_copy" if connection.info.server_version >= 150000 else ""
    connection.execute(f"create database {name} template {template} {strategy}")
