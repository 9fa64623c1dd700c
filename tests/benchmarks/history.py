"""This is the room for databases with a past: a million ended runs, made once, and what may go on in them beside the work."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.benchmarks.contestants import OwlRunner
from tests.benchmarks.drain import working
from tests.benchmarks.house import House, Sql
from tests.benchmarks.waiting import until

TEMPLATE = "bench_history"
_PAST = """
insert into job_runs
    (id, job_type, team_id, project_id, triggered_by, params, result, status, attempt, server_id, created_at, run_at,
     started_at, completed_at)
select
    -- As owl_uuid7() makes them, but for the time.
    encode(
        substring(int8send((extract(epoch from at) * 1000)::bigint) from 3) || '\\x7000'::bytea
            || substring(uuid_send(gen_random_uuid()) from 9), 'hex'
    )::uuid,
    'guarded_noop', team, project, 'manual:user:00000000-0000-0000-0000-000000000000', '{"n": 1}', '{"n": 1}', 'completed', 1,
    gen_random_uuid(), at, at, at, at + interval '1 second'
from (select now() - interval '100 days' - n * interval '1 second' as at from generate_series(%s, 1, -1) n) as moments,
    (select team_id as team, id as project from projects limit 1) as owner
"""
_ENDED = "select count(*) from job_runs where job_type = 'guarded_noop'"


def make_history(house: House, count: int) -> None:
    """OwlRunner's template with so many ended runs of one project, all of them over 90 days old."""
    with psycopg.connect(house.url, autocommit=True) as connection:
        connection.execute(f"create database {TEMPLATE} template {OwlRunner.template}".encode())
    with house.sql(TEMPLATE) as sql:
        add_past(sql, count)


def add_past(sql: Sql, count: int) -> None:
    """A team and a project with so many ended runs."""
    team = sql.one("insert into teams (name, slug) values ('History', 'history') returning id")
    sql.run("insert into projects (team_id, name, slug) values (%s, 'H', 'h')", team)
    sql.run(_PAST, count)
    sql.settle()


@contextlib.contextmanager
def open_transaction(sql: Sql) -> Iterator[None]:
    """Somebody's transaction stays open, as in a forgotten terminal, so that nothing dead can be cleaned away."""
    with psycopg.connect(sql.url) as connection:
        connection.execute("select txid_current(), count(*) from job_runs")
        yield
        connection.rollback()


@contextlib.contextmanager
def retention(sql: Sql) -> Iterator[None]:
    """Another server deletes the history all the while."""
    other = OwlRunner("cleaner", settings={"OWLRUNNER_SERVER__PLUGINS": "[]", "OWLRUNNER_SERVER__NAME": "cleaner"})
    with tempfile.TemporaryDirectory() as folder, working(other, sql, 1, Path(folder) / "tally"):
        before = sql.one(_ENDED)
        sql.run(
            "insert into job_runs (job_type, triggered_by, requeue_on_restart) values ('run_retention', 'operator', true)"
        )
        until(lambda: sql.one(_ENDED) != before, "the history begins to go")
        yield
        if not sql.one(_ENDED):
            raise RuntimeError("the history was gone before the work was done: it says nothing")
