"""What hand-written SQL can do: claim a batch, count, finish the batch, on one synchronous connection. No framework at all.

The table keeps every row, and has the overlap guard and a partial index for claiming, as an honest job table must.
"""

import sys
import uuid
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.benchmarks.tally import TALLY
from tests.benchmarks.workers import drip

SCHEMA = """
create table ceiling_runs (
    id bigint generated always as identity primary key,
    job_type text not null, project_id uuid not null, status text not null default 'pending', worker uuid,
    params jsonb, result jsonb, created_at timestamptz not null default now(), run_at timestamptz not null default now(),
    started_at timestamptz, completed_at timestamptz
) with (fillfactor = 70);
create unique index on ceiling_runs (job_type, project_id) where status in ('pending', 'running');
create index on ceiling_runs (run_at, id) where status = 'pending';
"""
FILL = """
insert into ceiling_runs (job_type, project_id, params)
select 'noop', gen_random_uuid(), jsonb_build_object('n', n) from generate_series(1, {count}) n
"""
_TRIGGER = b"""
with new as (insert into ceiling_runs (job_type, project_id, params) values ('noop', %s, %s) on conflict do nothing returning id)
select new.id, pg_notify('ceiling', '') from new
"""
UNFINISHED = "select exists (select from ceiling_runs where status in ('pending', 'running'))"
_CLAIM = b"""
with due as (
    select id from ceiling_runs where status = 'pending' and run_at <= now() order by run_at, id limit %s for update skip locked
)
update ceiling_runs r set status = 'running', worker = %s, started_at = now() from due where r.id = due.id returning r.id, r.params
"""
_FINISH = b"""
update ceiling_runs r set status = 'completed', completed_at = now(), result = o.result
from unnest(%s::bigint[], %s::jsonb[]) as o (id, result)
where r.id = o.id and r.status = 'running' and r.worker = %s
"""


def trigger(connection: psycopg.Connection[Any], params: dict[str, float]) -> None:
    """Put one job in and ring the bell, in one statement."""
    connection.execute(_TRIGGER, (uuid.uuid4(), Jsonb(params)))


def main(conninfo: str, batch: int) -> None:
    """Claim for ever."""
    TALLY.share()
    worker = uuid.uuid4()
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("listen ceiling")
        while True:
            claimed = connection.execute(_CLAIM, (batch, worker)).fetchall()
            if not claimed:
                for _ in connection.notifies(timeout=1.0, stop_after=1):
                    pass
                continue
            for _, params in claimed:
                TALLY.hit()
                if "sent" in params:
                    drip.arrived(params["sent"])
            connection.execute(
                _FINISH, ([run_id for run_id, _ in claimed], [Jsonb(params) for _, params in claimed], worker)
            )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
