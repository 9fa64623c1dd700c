"""The ground that cases stand on: one PostgreSQL for all, with a template that each case gets a copy of."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import attrs
import psycopg
import trio

from owlrunner.accounts import Administration
from owlrunner.plugins import Catalog, load_catalog
from owlrunner.storage.embedded import prepare_cluster
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.lab import lab_jobs, limited_jobs
from tests.lab.arena import Tenant
from tests.lab.observer import MOVES
from tests.postgres import folder_for_postgres, new_template

TEMPLATE = "lab_template"
EMPTY = "template0"
_DROP_PARTITIONS = (
    "select format('drop table %s', inhrelid::regclass) from pg_inherits where inhparent::regclass::text like '%events'"
)


@attrs.frozen
class Ground:
    """A running PostgreSQL, and what is in its template."""

    url: str
    tenant: Tenant
    catalog: Catalog

    @contextlib.asynccontextmanager
    async def database(self, *, empty: bool = False) -> AsyncIterator[str]:
        """A fresh database, dropped at the end; yields its connection string."""
        name = f"lab_{uuid4().hex[:12]}"
        url = await trio.to_thread.run_sync(new_template, self.url, name, EMPTY if empty else TEMPLATE)
        try:
            yield url
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._drop, name)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


@contextlib.contextmanager
def open_ground() -> Iterator[Ground]:
    """Start a PostgreSQL of our own and make the template."""
    with folder_for_postgres() as folder:
        cluster = prepare_cluster(folder)
        try:
            url = cluster.ensure_running()
            with psycopg.connect(url, autocommit=True) as connection:
                # No case cuts the power, and each makes and drops a database.
                connection.execute("alter system set fsync = off")
                connection.execute("select pg_reload_conf()")
            yield ground_on(url)
        finally:
            cluster.stop("immediate")


def ground_on(url: str) -> Ground:
    """Make the template on a PostgreSQL that runs."""
    catalog = load_catalog({}, [lab_jobs.__name__, limited_jobs.__name__])
    template = new_template(url, TEMPLATE)
    tenant = trio.run(_furnish, template, catalog)
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(MOVES.encode())
        # Each is several files to be copied for every case; those that are needed are made by whoever needs them.
        for (drop,) in connection.execute(_DROP_PARTITIONS).fetchall():
            connection.execute(drop)
    return Ground(url, tenant, catalog)


async def _furnish(url: str, catalog: Catalog) -> Tenant:
    """All tables, and a team with a project and a key."""
    async with Database(url) as db:
        await migrate(db, wanted_migrations(catalog))
        admin = Administration(db)
        team = await admin.create_team("Acme")
        await admin.create_user("owner@acme.test", "acme", "owner")
        project = await admin.create_project("acme", "Site")
        key, _ = await admin.create_key("acme", "lab")
        return Tenant(team.id, project.id, key)
