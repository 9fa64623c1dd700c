"""The observer: speaks to PostgreSQL directly, so that it sees what is true whatever the proxy does."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import psycopg
import trio

from owlrunner.job_run import ACTIVE, RunStatus
from tests.lab.broken import Broken

_RUNS = """
select r.id, r.job_type, r.status::text, r.attempt, r.error, r.result, r.progress, r.server_id,
    exists (select from servers s where s.id = r.server_id and s.buried_at is null and s.lease_expires_at > now())
from job_runs r order by r.created_at, r.id
"""
NAME = "observer"
PATIENCE = 15.0
"""Seconds that the observer waits for a lock."""

MOVES = """
create table lab_moves (run_id uuid, before text, after text, at timestamptz default clock_timestamp());
create function lab_move() returns trigger language plpgsql as $$ begin
    insert into lab_moves (run_id, before, after) values (new.id, old.status, new.status);
    return null; end $$;
create trigger lab_move after update of status on job_runs for each row when (old.status <> new.status) execute function lab_move()
"""
"""For a template: from then on each change of a run's status is on record."""


class Run(NamedTuple):
    """A row of ``job_runs``, and whether the lease of the server that it names holds."""

    id: UUID
    job_type: str
    status: RunStatus
    attempt: int
    error: str | None
    result: Any
    progress: Any
    server_id: UUID | None
    has_living_server: bool

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ACTIVE


@attrs.frozen
class Observer:
    """One direct connection, used from a thread, for whoever waits may wait for a lock of the server's."""

    connection: psycopg.Connection[tuple[Any, ...]]
    _turn: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))

    async def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows. Raises Broken where somebody holds a lock on what it needs for too long."""

        def execute() -> list[tuple[Any, ...]]:
            cursor = self.connection.execute(statement.encode(), params or None)
            return cursor.fetchall() if cursor.description is not None else []

        try:
            return await trio.to_thread.run_sync(execute, limiter=self._turn)
        except psycopg.errors.QueryCanceled:
            raise Broken(f"somebody holds a lock for more than {PATIENCE:g} s") from None

    async def runs(self) -> list[Run]:
        """All of them, in the order in which they were made."""
        return [Run._make((*row[:2], RunStatus(row[2]), *row[3:])) for row in await self.rows(_RUNS)]

    async def run(self, run_id: UUID) -> Run | None:
        """One of them."""
        return next((run for run in await self.runs() if run.id == run_id), None)


@contextlib.asynccontextmanager
async def observing(url: str) -> AsyncIterator[Observer]:
    """An observer on a database."""
    connect = partial(
        psycopg.connect,
        url,
        autocommit=True,
        application_name=NAME,
        options=f"-c statement_timeout={PATIENCE:g}s -c timezone=UTC",
    )
    connection = await trio.to_thread.run_sync(connect)
    try:
        yield Observer(connection)
    finally:
        connection.close()
