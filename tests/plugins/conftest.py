"""What tests of the bundled plugins may ask for."""

from collections.abc import Iterator

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from owlrunner.storage.migrations import migrate, wanted_migrations
from owlrunner.storage.postgres import Database
from tests.conftest import _fresh_database
from tests.plugins.maintenance_world import NOW, World, catalog

TEMPLATE = "maintenance_template"


def migrated(url: str) -> None:
    """Apply all migrations to a database. Not by the running test's event loop, which fixtures of a session do not have."""

    async def apply() -> None:
        async with Database(url) as db:
            await migrate(db, wanted_migrations(catalog()))

    trio.run(apply)


@pytest.fixture(scope="session")
def maintenance_template(postgres_url: str) -> str:
    """A database with the tables of the maintenance plugin, in which it is NOW; its name, to be copied."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {TEMPLATE}")
        connection.execute(f"create database {TEMPLATE}")
    url = make_conninfo(postgres_url, dbname=TEMPLATE)
    migrated(url)
    with psycopg.connect(url, autocommit=True) as connection:
        world = World(url, connection)
        # Those of the real month, which NOW is not.
        for parent in ("events", "metric_events", "funnel_events"):
            for partition in world.partitions(parent):
                world.sql(f"drop table {partition}")
        world.set_now(NOW)
    return TEMPLATE


def opened(url: str) -> Iterator[World]:
    """A world on a database, until it is done with."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield World(url, connection)


@pytest.fixture
def maintained(postgres_url: str, maintenance_template: str) -> Iterator[World]:
    """A fresh database in which it is NOW, without any partition."""
    for url in _fresh_database(postgres_url, maintenance_template):
        yield from opened(url)
