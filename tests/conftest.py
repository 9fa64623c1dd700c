"""What every test may ask for: a database of its own on a real PostgreSQL, and nothing that outlives it."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from owlrunner.plugins import load_catalog
from owlrunner.storage.embedded import prepare_cluster
from owlrunner.storage.migrations import migrate, wanted_migrations
from owlrunner.storage.postgres import Database
from tests.pooler import PGBOUNCER, Pooled, poolers

TEMPLATE = "owlrunner_template"


def _in_database(url: str, name: str) -> str:
    return make_conninfo(url, dbname=name)


@contextlib.contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A folder that another account may use, too."""
    # Not in pytest's own folder: a second session closes that to other accounts, such as PostgreSQL's when we are root, and
    # takes it away when it is the fourth to start.
    with tempfile.TemporaryDirectory(prefix="owlrunner-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of the test's own."""
    with folder_for_postgres() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL for the whole session: the one that OWLRUNNER_TEST_DATABASE_URL names, else the embedded one."""
    given = os.environ.get("OWLRUNNER_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with folder_for_postgres() as folder:
        cluster = prepare_cluster(folder)
        try:
            yield cluster.ensure_running()
        finally:
            cluster.stop("immediate")


@pytest.fixture(scope="session")
def pooled() -> Iterator[Pooled]:
    """How servers under test reach a database: directly, or through the pooler that OWLRUNNER_TEST_PGBOUNCER names."""
    if PGBOUNCER:
        with poolers(PGBOUNCER) as function:
            yield function
    else:
        yield lambda url: url


def new_template(postgres_url: str, name: str, source: str = "template1") -> str:
    """Make a database to be copied, itself a copy of another, anew; returns its connection string."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {name}")
        connection.execute(f"create database {name} template {source}")
    return _in_database(postgres_url, name)


@pytest.fixture(scope="session")
def template_url(postgres_url: str) -> str:
    """A database with every migration applied, to be copied."""
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
    return url


def _fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        yield _in_database(postgres_url, name)
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    yield from _fresh_database(postgres_url, "template0")


@pytest.fixture
def database_url(postgres_url: str, template_url: str) -> Iterator[str]:
    """A fresh database with the whole schema."""
    assert template_url
    yield from _fresh_database(postgres_url, TEMPLATE)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    async with Database(database_url) as database:
        yield database


@pytest.fixture
def here() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent
