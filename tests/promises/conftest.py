"""Servers to make promises: some in this process, some of their own."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
import trio
from psycopg import sql

from owlrunner.config import Config, DatabaseConfig, NotificationsConfig, ServerConfig, WebConfig
from owlrunner.job_run import TRANSITIONS
from owlrunner.jobs import Jobs
from owlrunner.plugins import Catalog, build_catalog
from owlrunner.server import Started, run_server
from owlrunner.storage.postgres import Database
from tests.pooler import PGBOUNCER, Pooled
from tests.promises import promise_jobs
from tests.promises.serving import Door, InProcess, LogEar, Serve, ServerProcess, StartProcess
from tests.relay import Relay, relayed

WAKEUPS: dict[str, Any] = {"wakeups": "poll", "poll_interval": 0.1} if PGBOUNCER else {}
"""Behind a pooler in transaction mode nobody can LISTEN. What a test says for itself goes before."""


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The job types of promise_jobs."""
    return build_catalog({"promise_jobs": ("tests", promise_jobs, {})})


@pytest.fixture
async def door(db: Database, catalog: Catalog) -> Door:
    """The door on a fresh database that announces changes of runs and notifications, and refuses moves not in TRANSITIONS."""
    allowed = [f"{before}>{after}" for before, followers in TRANSITIONS.items() for after in followers]
    async with db.session() as session:
        await session.connection.execute(
            sql.SQL("""
                create function announce() returns trigger language plpgsql as
                    $$ begin perform pg_notify('changed', ''); return null; end $$;
                create trigger announce after insert or update on job_runs for each statement execute function announce();
                create trigger announce after insert or update on notifications for each statement execute function announce();
                create function check_move() returns trigger language plpgsql as $$ begin
                    if old.status <> new.status and not (old.status || '>' || new.status) = any({}::text[]) then
                        raise 'a run went from % to %', old.status, new.status;
                    end if;
                    return null; end $$;
                create trigger check_move after update on job_runs for each row execute function check_move()
            """).format(allowed)
        )
    return Door(Jobs(db, catalog), db)


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    """A relay in front of the test's database; the door does not go through it."""
    async with relayed(database_url) as running:
        yield running


@pytest.fixture
async def serve(database_url: str, pooled: Pooled, catalog: Catalog, nursery: trio.Nursery) -> Serve:
    """A function that starts a server without a web side in this process, with values for ``[server]`` (and ``[database]``)."""

    async def start(
        offered: Catalog = catalog,
        notifications: NotificationsConfig | None = None,
        database: dict[str, Any] | None = None,
        **server: Any,
    ) -> InProcess:
        config = Config(
            server=ServerConfig(**{**WAKEUPS, **server}),
            database=DatabaseConfig(url=pooled(database_url), **database or {}),
            web=WebConfig(enabled=False),
            notifications=notifications or NotificationsConfig(),
        )
        stop, stopped = trio.Event(), trio.Event()

        async def run(*, task_status: trio.TaskStatus[Started]) -> None:
            await run_server(config, offered, stop, task_status=task_status)
            stopped.set()

        return InProcess(await nursery.start(run), stop, stopped)

    return start


@pytest.fixture
async def log_ear() -> AsyncIterator[LogEar]:
    """An ear on this process's log."""
    ear = LogEar()
    logging.getLogger("owlrunner").addHandler(ear)
    yield ear
    logging.getLogger("owlrunner").removeHandler(ear)


@pytest.fixture
def server_process(database_url: str, pooled: Pooled) -> Iterator[StartProcess]:
    """Start real servers: ``server_process("a", environ={}, lease=2)``; whatever still runs at the end is killed."""
    processes: list[ServerProcess] = []

    def start(name: str, **options: Any) -> ServerProcess:
        processes.append(ServerProcess(pooled(database_url), name, **{**WAKEUPS, **options}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
async def project(db: Database) -> tuple[UUID, UUID]:
    """A team and one of its projects."""
    async with db.session() as session:
        cursor = await session.connection.execute(
            "with team as (insert into teams (name, slug) values ('Team', 'team') returning id)"
            " insert into projects (team_id, name, slug) select id, 'Project', 'project' from team returning team_id, id"
        )
        row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]
