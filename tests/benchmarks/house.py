"""This is the room for the PostgreSQL of a benchmark: started once, untuned, with a fresh database for each measurement."""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import psycopg
import trio

from owlrunner.plugins import load_catalog
from owlrunner.storage.embedded import Cluster, prepare_cluster
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.benchmarks.workers import owlrunner_jobs


@attrs.frozen
class Sql:
    """The driver's own connection to one database."""

    url: str
    connection: psycopg.Connection[tuple[Any, ...]]

    def run(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        cursor = self.connection.execute(statement.encode(), params or None)
        return cursor.fetchall() if cursor.description is not None else []

    def one(self, statement: str, *params: object) -> Any:
        """The one value that a query gives."""
        ((value,),) = self.run(statement, *params)
        return value

    def settle(self) -> None:
        """Let nothing of what was prepared be paid for in the measurement."""
        self.run("vacuum analyze")
        self.run("checkpoint")

    def wal_bytes(self) -> int:
        """How much has been logged since the server began."""
        return int(self.one("select pg_current_wal_lsn() - '0/0'::pg_lsn"))


@attrs.frozen
class House:
    """The running PostgreSQL."""

    cluster: Cluster
    url: str
    folder: Path

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[Sql]:
        """A fresh database, dropped at the end."""
        name = f"bench_{uuid4().hex[:12]}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")
        try:
            with self.sql(name) as sql:
                yield sql
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)")

    @contextlib.contextmanager
    def sql(self, database: str) -> Iterator[Sql]:
        """A connection to a database."""
        with psycopg.connect(self._url_of(database), autocommit=True) as connection:
            yield Sql(self._url_of(database), connection)

    def make_template(self, name: str) -> str:
        """A database to be copied, empty as yet; returns its connection string."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self._url_of(name)

    def _url_of(self, database: str) -> str:
        # As a URL, because asyncpg reads nothing else.
        return self.url.replace("/postgres?", f"/{database}?")

    @contextlib.contextmanager
    def counting(self, beginning: bytes = b"") -> Iterator[Callable[[], int]]:
        """Count statements, or those that begin so, by PostgreSQL's log; asking is free."""
        log = self.cluster.data / "server.log"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("alter system set log_statement = 'all'")
            connection.execute("select pg_reload_conf()")
            try:
                start = log.stat().st_size
                yield lambda: _statements(log, start, beginning)
            finally:
                connection.execute("alter system reset log_statement")
                connection.execute("select pg_reload_conf()")


@contextlib.contextmanager
def open_house() -> Iterator[House]:
    """Start a PostgreSQL under a folder of its own, with all defaults: durable, and untuned."""
    with tempfile.TemporaryDirectory(prefix="owlrunner-bench-", ignore_cleanup_errors=True) as folder:
        cluster = prepare_cluster(Path(folder) / "postgres")
        try:
            yield House(cluster, cluster.ensure_running(), Path(folder))
        finally:
            cluster.stop("immediate")


def _statements(log: Path, start: int, beginning: bytes) -> int:
    told = re.compile(rb"LOG:  (?:statement|execute [^:]*): " + re.escape(beginning))
    with log.open("rb") as file:
        file.seek(start)
        return sum(told.search(line) is not None for line in file)


def migrate_owlrunner(url: str) -> None:
    """OwlRunner's tables, as `owlrunner migrate` makes them."""

    async def apply() -> None:
        async with Database(url) as db:
            await migrate(db, wanted_migrations(load_catalog({}, [owlrunner_jobs.__name__])))

    trio.run(apply)
