"""What tests of the bundled plugins may ask for."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import psycopg
import pytest
import trio

from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.plugins.maintenance_world import APP, NOW, OTHER_APP, World, catalog
from tests.postgres import WORKER, fresh_database, new_template

OnRetry: TypeAlias = Callable[[Callable[[], object]], None]

TEMPLATE = f"maintenance_template{WORKER}"
PARTITIONED = f"partitioned_template{WORKER}"
MILLION = f"million_events_template{WORKER}"
# md5() makes the ids, because gen_random_uuid() takes six times as long.
MILLION_EVENTS = """
insert into events (id, app_id, session_id, level, message, timestamp)
select
    md5(n::text)::uuid, (array['{APP}', '{OTHER_APP}'])[1 + n % 2]::uuid, md5((n / 50)::text)::uuid, 'info', 'event ' || n, moment
from generate_series(1, 1000000) as n,
    lateral (select timestamptz '2023-11-01 00:00+00' + n * (timestamptz '{NOW}' - timestamptz '2023-11-01 00:00+00') / 1000000)
        as t (moment)
"""


def migrated(url: str) -> None:
    """Apply all migrations to a database. Not by the running test's event loop, which fixtures of a session do not have."""

    async def apply() -> None:
        async with Database(url) as db:
            await migrate(db, wanted_migrations(catalog()))

    trio.run(apply)


@pytest.fixture(scope="session")
def maintenance_template(postgres_url: str) -> str:
    """A database with the tables of the maintenance plugin, in which it is NOW; its name, to be copied."""
    url = new_template(postgres_url, TEMPLATE)
    migrated(url)
    with opened(url) as world:
        # Those of the real month, which NOW is not.
        for parent in ("events", "metric_events", "funnel_events"):
            for partition in world.partitions(parent):
                world.sql(f"drop table {partition}")
        world.set_now(NOW)
    return TEMPLATE


@contextlib.contextmanager
def opened(url: str) -> Iterator[World]:
    """A world on a database, until it is done with."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield World(url, connection)


@pytest.fixture
def maintained(postgres_url: str, maintenance_template: str) -> Iterator[World]:
    """A fresh database in which it is NOW, without any partition."""
    for url in fresh_database(postgres_url, maintenance_template):
        with opened(url) as world:
            yield world


@pytest.fixture(scope="session")
def partitioned_template(postgres_url: str, maintenance_template: str) -> str:
    """The database with its partitions; its name, to be copied."""
    with opened(new_template(postgres_url, PARTITIONED, maintenance_template)) as world:
        trio.run(world.result, "partition_creation")
    return PARTITIONED


@pytest.fixture
def world(postgres_url: str, partitioned_template: str) -> Iterator[World]:
    """A fresh database in which it is NOW, with its partitions."""
    for url in fresh_database(postgres_url, partitioned_template):
        with opened(url) as world:
            yield world


@pytest.fixture(scope="session")
def million_events_template(postgres_url: str, maintenance_template: str) -> str:
    """A database with a million events, evenly spread from November to NOW, with two indexes; its name, to be copied."""
    with opened(new_template(postgres_url, MILLION, maintenance_template)) as world:
        world.set_now(datetime(2023, 12, 15, tzinfo=UTC))
        # Bare first, because indexes over rows that are there already are built in a third of the time. Two of the seven:
        # all take as long as everything else together.
        for indexes in ({}, {"app_ts_idx": ["app_id", "timestamp"], "client_eid_idx": ["app_id", "client_event_id"]}):
            tables = [{"table": "events", "indexes": indexes}]
            trio.run(partial(world.result, "partition_creation", partitioned_tables=tables, months_ahead=7))
            if not indexes:
                world.sql(MILLION_EVENTS.format(APP=APP, OTHER_APP=OTHER_APP, NOW=NOW))
        world.sql("vacuum analyze events")
        world.set_now(NOW)
    return MILLION


@pytest.fixture
def million_events(postgres_url: str, million_events_template: str) -> Iterator[World]:
    """A fresh database in which it is NOW, with a million events, half of them APP's and half OTHER_APP's."""
    for url in fresh_database(postgres_url, million_events_template):
        with opened(url) as world:
            yield world


@pytest.fixture
def auckland(maintained: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A process and a database that live half a day ahead of UTC."""
    name = maintained.one("select current_database()")
    maintained.sql(f"alter database {name} set timezone = 'Pacific/Auckland'")
    maintained.sql("set timezone = 'Pacific/Auckland'")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield maintained
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def on_retry() -> Iterator[OnRetry]:
    """Gives a way to do something at the moment when a job finds a lock taken and is about to try again."""
    listener = logging.Handler()
    logger = logging.getLogger("owlrunner.run")

    def register(action: Callable[[], object]) -> None:
        listener.emit = lambda record: "trying again" in record.getMessage() and action()  # type: ignore[method-assign,assignment]
        logger.addHandler(listener)

    level = logger.level
    logger.setLevel(logging.INFO)
    yield register
    logger.removeHandler(listener)
    logger.setLevel(level)
