"""This is the room for what commands need that work on this machine: configuration, catalog, database, Trio."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import trio

from owlrunner.cli.options import Shared
from owlrunner.config import Config, load_config
from owlrunner.databases import bring_schema, open_database, open_database_url
from owlrunner.errors import ConfigError
from owlrunner.jobs import Jobs
from owlrunner.mail import Mailer
from owlrunner.plugins import Catalog, load_catalog
from owlrunner.storage.embedded import is_there
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


def on_database(shared: Shared, work: Callable[[Database, Catalog], Awaitable[T]], *, may_create: bool = False) -> T:
    """Do something on the configured database as it is. Our own PostgreSQL is started, or joined where it runs.

    Only where it ``may_create``, our own is made anew: in an empty one everything is well, and nothing is what was meant.

    Raises ConfigError.
    """
    config = configured(shared)
    catalog = catalog_of(config)
    if not may_create:
        _require_database(config)

    async def do() -> T:
        async with open_database_url(config) as url, open_database(config, url, CONNECTIONS) as db:
            return await work(db, catalog)

    return trio.run(do)


def _require_database(config: Config) -> None:
    """Raise ConfigError where there is no database yet."""
    if not config.database.url and not is_there(config.database.data_dir):
        raise ConfigError(
            f"no database: DATABASE_URL is not set, and there is no PostgreSQL of OwlRunner's own in {config.database.data_dir}; "
            "set DATABASE_URL, or create one with: owlrunner migrate"
        )


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
