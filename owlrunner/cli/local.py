"""This is the room for what commands need that work on this machine: configuration, catalog, database, Trio."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import trio

from owlrunner.cli.options import Shared
from owlrunner.config import Config, load_config
from owlrunner.jobs import Jobs
from owlrunner.mail import Mailer
from owlrunner.plugins import Catalog, load_catalog
from owlrunner.server import bring_schema, open_database, open_database_url
from owlrunner.storage.postgres import Database

T = TypeVar("T")

CONNECTIONS = 2


def configured(shared: Shared) -> Config:
    """The configuration. Raises ConfigError."""
    return load_config(shared.config)


def catalog_of(config: Config) -> Catalog:
    """What the plugins offer. Raises PluginError."""
    find_modules(config.server.plugins)
    return load_catalog(config.plugins, config.server.plugins, Mailer(config.mail))


def find_modules(modules: Iterable[str]) -> None:
    """Let plugins be found that are modules in the current folder; whatever is installed goes first."""
    here = str(Path.cwd())
    if list(modules) and here not in sys.path:
        sys.path.append(here)


def on_database(shared: Shared, work: Callable[[Database, Catalog], Awaitable[T]]) -> T:
    """Do something on the configured database as it is. Our own PostgreSQL is started, or joined where it runs."""
    config = configured(shared)
    catalog = catalog_of(config)

    async def do() -> T:
        async with open_database_url(config) as url, open_database(config, url, CONNECTIONS) as db:
            return await work(db, catalog)

    return trio.run(do)


def in_current_schema(shared: Shared, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something on the configured database once its schema is this version's. Raises SchemaOutdated and SchemaTooNew."""
    return at_the_door(shared, lambda jobs: work(jobs.db))


def at_the_door(shared: Shared, work: Callable[[Jobs], Awaitable[T]]) -> T:
    """Do something with runs, where it needs to know the job types. Raises SchemaOutdated and SchemaTooNew."""
    config = configured(shared)

    async def do(db: Database, catalog: Catalog) -> T:
        await bring_schema(config, db, catalog)
        return await work(Jobs(db, catalog))

    return on_database(shared, do)
