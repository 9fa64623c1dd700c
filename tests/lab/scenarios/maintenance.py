"""Scenarios about the maintenance jobs: a run that was struck says so, and the next one does what is left to do."""

from typing import Any

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena
from tests.lab.scenarios.registry import scenario

_SETTINGS = "OWLRUNNER_PLUGINS__MAINTENANCE__"
_TABLES = {
    _SETTINGS + "PARTITIONED_TABLES": '[{table = "events", indexes = {app_ts_idx = ["app_id", "timestamp"]}}]',
    _SETTINGS + "LINKED_TABLES": '[{table = "events", column = "app_id", root = "apps"},'
    ' {table = "job_runs", column = "project_id", root = "projects"}]',
    _SETTINGS + "MONTHS_AHEAD": "0",
    _SETTINGS + "RETENTION_SHARE": "1.0",
    _SETTINGS + "BATCH_ROWS": "40",
}
"""One table with one index, so that the statements can be counted."""
_OLD_PARTITION = """
do $$ declare month timestamptz := date_trunc('month', now() - interval '4 months', 'UTC'); begin
    execute format('create table events_%s partition of events for values from (%L) to (%L)',
        to_char(month at time zone 'UTC', 'YYYY_MM'), month, date_trunc('month', month + interval '32 days', 'UTC'));
end $$
"""
_OLD_EVENTS = """
insert into events (app_id, session_id, level, message, timestamp)
select gen_random_uuid(), gen_random_uuid(), 'info', repeat('x', 1000),
    date_trunc('month', now() - interval '4 months', 'UTC') + n * interval '1 second' from generate_series(1, 2000) n
"""
# Their ids are as old as they are.
_OLD_RUNS = """
insert into job_runs (id, job_type, status, triggered_by, attempt, started_at, completed_at, created_at)
select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || substr(md5(n::text), 1, 20))::uuid,
    'partition_creation', 'completed', 'operator', 1, moment, moment, moment
from generate_series(1, 100) n, lateral (values (now() - interval '100 days')) t (moment)
"""
_DELETED = """
with team as (insert into teams (name, slug, deleted_at) values ('Old', 'old', now() - interval '30 days') returning id),
project as (insert into projects (team_id, name, slug) select id, 'Old', 'old' from team returning id, team_id)
insert into apps (team_id, project_id, name, platform) select team_id, id, 'Old', 'web' from project
"""


async def _maintain(arena: Arena, job_type: str, params: dict[str, Any] | None = None) -> None:
    """Run a job, which may fail where it was struck, and once more, which completes."""
    await arena.begin()
    first = await arena.trigger(job_type, params=params)
    run = await arena.until_run(
        first, "the run ends, or waits for its next attempt", lambda run: not run.is_active or _waits(run), nominal=3.0
    )
    arena.proxy.disarm()
    if arena.fault is None and run.status is not RunStatus.COMPLETED:
        arena.breaks(f"without a fault the run is {run.status} ({run.error})")
    if _waits(run):
        await arena.observer.rows("update job_runs set run_at = now() where id = %s and status = 'pending'", first)
        await arena.observer.rows("notify owlrunner_pending")
        await arena.expect(first, RunStatus.COMPLETED, nominal=3.0)
    await arena.expect(await arena.trigger(job_type, params=params), RunStatus.COMPLETED, nominal=3.0)


def _waits(run: Any) -> bool:
    return bool(run.status is RunStatus.PENDING and run.attempt > 0)


async def _expect_none(arena: Arena, what: str, statement: str) -> None:
    if await arena.observer.rows(statement):
        arena.breaks(f"{what} are still there")


@scenario("partition_creation", "lab_system", environ=_TABLES)
async def partition_creation(arena: Arena) -> None:
    """The partitions of this month and the last are there, with their indexes."""
    await _maintain(arena, "partition_creation")
    ((partitions, indexes),) = await arena.observer.rows(
        "select count(*), (select count(*) from pg_indexes where indexname like 'events_%%app_ts_idx')"
        " from pg_inherits where inhparent = 'events'::regclass"
    )
    if (partitions, indexes) != (2, 2):
        arena.breaks(f"{partitions} partitions with {indexes} indexes, expected 2 with 2")


@scenario("db_pruning", "lab_system", environ=_TABLES)
async def db_pruning(arena: Arena) -> None:
    """The old partition goes."""
    ((size,),) = await arena.observer.rows("select pg_database_size(current_database())")
    for statement in (_OLD_PARTITION, _OLD_EVENTS):
        await arena.observer.rows(statement)
    await _maintain(arena, "db_pruning", {"max_size_bytes": size + 1_000_000})
    await _expect_none(arena, "old events", "select from events limit 1")


@scenario("soft_delete_cleanup", "lab_system", environ=_TABLES)
async def soft_delete_cleanup(arena: Arena) -> None:
    """What was deleted long ago goes, with what hangs on it; what was not stays."""
    await arena.observer.rows(_DELETED)
    await _maintain(arena, "soft_delete_cleanup")
    await _expect_none(arena, "deleted teams", "select from teams where deleted_at is not null")
    if not await arena.observer.rows("select from projects"):
        arena.breaks("a project that was not deleted is gone")


@scenario("run_retention", "lab_system", environ=_TABLES)
async def run_retention(arena: Arena) -> None:
    """Old runs go, but for the last one of a job type."""
    await arena.observer.rows(_OLD_RUNS)
    await _maintain(arena, "run_retention", {"older_than_days": 10})
    await _expect_none(
        arena, "old runs", "select from job_runs where completed_at < now() - interval '10 days' offset 1"
    )
