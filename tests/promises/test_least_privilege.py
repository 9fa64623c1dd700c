"""Servers do all that they do elsewhere by a role that can change no table, and nothing that the audit log says."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import attrs
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.accounts import Accounts, Origin
from owlrunner.errors import Unauthenticated
from owlrunner.job_run import RunStatus
from owlrunner.plugins import Catalog
from owlrunner.storage import audit
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.pooler import Pooled, needs_listen
from tests.promises.serving import OPERATOR, Door, Serve

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"

# A pooler knows the roles of its own configuration.
pytestmark = [
    needs_listen,
    pytest.mark.skipif(shutil.which("psql") is None, reason="there is no psql here"),
]


@attrs.frozen
class Roles:
    """Connection strings of one database: of the owner and of the servers."""

    owner: str
    server: str


def run(example: str, url: str, name: str) -> None:
    """Execute an example by psql, with roles of these tests' own: roles belong to all databases of a PostgreSQL."""
    text = (EXAMPLES / example).read_text("utf-8").replace("owlrunner_", f"{name}_")
    passwords = {"OWNER_PASSWORD": "it's", "SERVER_PASSWORD": "secret"}
    done = subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", url],
        input=text,
        env=os.environ | passwords,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
async def roles(database_url: str, catalog: Catalog) -> AsyncIterator[Roles]:
    """The examples, followed step by step in an empty database."""
    name = f"owl_{uuid4().hex[:12]}"
    as_role = {role: make_conninfo(database_url, user=f"{name}_{role}") for role in ("owner", "server")}
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("drop schema public cascade")
        superuser.execute("create schema public")
    run("roles.sql", database_url, name)
    async with Database(as_role["owner"]) as owner:
        await migrate(owner, wanted_migrations(catalog))
    run("audit.sql", as_role["owner"], name)
    yield Roles(**as_role)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        for role in ("owner", "server"):
            superuser.execute(f"drop owned by {name}_{role} cascade")
            superuser.execute(f"drop role {name}_{role}")


@pytest.fixture
async def db(database_url: str, roles: Roles) -> AsyncIterator[Database]:
    """The database as a superuser sees it."""
    assert conninfo_to_dict(roles.server)["dbname"] == conninfo_to_dict(database_url)["dbname"]
    async with Database(database_url) as database:
        yield database


@pytest.fixture
def pooled(roles: Roles) -> Pooled:
    """Servers work by their role."""
    return lambda _: roles.server


async def test_runs_end_as_elsewhere(door: Door, serve: Serve) -> None:
    """Runs are retried, cancelled and completed, with logs and progress."""
    await serve()
    lucky = await door.trigger("third_time_lucky")
    assert (await door.until(lucky, RunStatus.COMPLETED)).result == {"attempt": 3}
    assert len(await door.jobs.logs(OPERATOR, lucky, (0, 0), 10)) == 2
    deaf = await door.trigger("deaf")
    await door.until_told(deaf, "sleeping")
    await door.cancel(deaf)
    await door.until(deaf, RunStatus.CANCELLED)


async def test_what_is_on_record_stays(roles: Roles, db: Database) -> None:
    """By the servers' role a sign-in is noted; the notes cannot be changed, old ones are forgotten, and no table is made."""
    async with Database(roles.server) as servers:
        with pytest.raises(Unauthenticated):
            await Accounts(servers).sign_in("ada@acme.test", "123456", Origin("192.0.2.7"))
        async with db.session() as session:
            await session.connection.execute(
                "insert into security_events (at, action)"
                " select now() - days * interval '1 day', 'old' from unnest('{89, 91}'::int[]) days"
            )
        await audit.forget_events(servers, 1)
        assert [event.action for event in await audit.security_events(servers, None, 9)] == ["sign_in_failed", "old"]
        async with servers.session() as session:
            for statement in (
                "update audit_logs set client = null",
                "delete from audit_logs",
                "update security_events set client = null",
                "delete from security_events",
                "truncate security_events",
                "create table mine ()",
                "alter table job_runs add column mine int",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await session.connection.execute(statement)
