"""Open the configured PostgreSQL, or our own, with pools for different uses.

Apart from the server, because the owner's commands need the database alone: to import all that a server is made of takes longer
than most of them run.
"""

import contextlib
from collections.abc import AsyncIterator

from owlrunner.config import Config
from owlrunner.plugins import Catalog
from owlrunner.storage.embedded import open_embedded
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate, require_current_schema
from owlrunner.storage.postgres import ANSWER_TIMEOUT, Database

SHORTEST_ANSWER_TIMEOUT = 1.0
API_ANSWER_TIMEOUT = 5.0
"""Seconds for a statement of a request, or of a command: somebody is waiting, and may have to wait for it twice."""
RUNTIME_CONNECTIONS = 4
"""The pool of the runtime's loops, apart from the API's: a crowd of requests must not keep outcomes from being written."""


@contextlib.asynccontextmanager
async def open_database_url(config: Config) -> AsyncIterator[str]:
    """The connection string of the configured PostgreSQL, or of our own, which runs as long as the block lasts."""
    if config.database.url:
        yield config.database.url
    else:
        async with open_embedded(config.database.data_dir) as url:
            yield url


@contextlib.asynccontextmanager
async def open_database(config: Config, url: str, size: int, name: str = "") -> AsyncIterator[Database]:
    """A pool on ``url``; behind a pooler in transaction mode (``wakeups = "poll"``) without prepared statements."""
    prepare, patience = config.server.wakeups == "listen", min(config.database.connect_timeout, API_ANSWER_TIMEOUT)
    async with Database(
        url, size=size, name=name, connect_timeout=patience, answer_within=API_ANSWER_TIMEOUT, prepare=prepare
    ) as db:
        yield db


@contextlib.asynccontextmanager
async def open_runtime_database(config: Config, url: str) -> AsyncIterator[Database]:
    """The pool of the loops: whatever falls silent is given up in a third of the lease, so that there is time to try again."""
    limit = min(ANSWER_TIMEOUT, max(SHORTEST_ANSWER_TIMEOUT, config.server.lease / 3))
    async with Database(
        url,
        size=RUNTIME_CONNECTIONS,
        name="runtime",
        connect_timeout=min(config.database.connect_timeout, limit),
        answer_within=limit,
        prepare=config.server.wakeups == "listen",
        plan_once=True,
    ) as db:
        yield db


async def bring_schema(config: Config, db: Database, catalog: Catalog) -> None:
    """Migrate our own PostgreSQL; demand that somebody else's has been migrated. Raises SchemaOutdated and SchemaTooNew."""
    wanted = wanted_migrations(catalog)
    if config.database.url:
        await require_current_schema(db, wanted)
    else:
        await migrate(db, wanted)
