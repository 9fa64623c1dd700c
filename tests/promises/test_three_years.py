"""P6 over the long run: the schedules that ship, three years of them on two servers."""

from datetime import UTC, datetime, timedelta

import pytest
import trio
from psycopg import sql

import owlrunner_maintenance
from owlrunner.plugins import Catalog, build_catalog
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.schedules_file import load_schedules
from owlrunner.storage.wakeups import Bell
from tests.promises.serving import Door

START = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
END = START.replace(year=2029)
LONG_RUN = timedelta(minutes=90)
"""Once in a while a run takes longer than the hour until the next one."""


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    """The bundled system jobs, with a limit, so that all of them recur."""
    return build_catalog({"maintenance": ("tests", owlrunner_maintenance, {"max_database_size_gb": 1.0})})


@pytest.fixture
async def clock(door: Door) -> None:
    """A clock of the test's own; setting it ends the runs whose time is over, as a server would have done meanwhile."""
    async with door.db.session() as session:
        await session.connection.execute(
            sql.SQL("""
                create table fake_now as select {start}::timestamptz as now;
                create or replace function owl_now() returns timestamptz language sql stable as 'select now from fake_now';
                create function advance(until timestamptz) returns void language sql as $$
                    update fake_now set now = until;
                    update job_runs set status = 'cancelled', cancel_requested_at = until, completed_at = until
                    where status = 'pending' and until >= run_at + case
                        when extract(hour from fire_time at time zone 'UTC')::int = 7 then {long} else '5 minutes' end;
                $$;
                alter table job_runs disable trigger announce;
            """).format(start=START, long=LONG_RUN)
        )


@pytest.mark.slow
async def test_three_years_fire_once_and_never_overlap(door: Door, clock: None, shipped: Catalog) -> None:
    """Two servers that look every hour for three years put each fire time on record once, and no two runs were active."""
    wanted = load_schedules(None, shipped)
    servers = [Scheduler(door.db, job_types=shipped.job_types, bell=Bell(), on_triggered=lambda: None) for _ in "ab"]
    for server in servers:
        await server.replace(wanted, owns_file=True)
    now = START
    while now < END:
        now += timedelta(hours=1)
        await door.sql("select advance(%s)", now)
        if now.hour == 0 and now.day % 5 == 0:
            # As autovacuum would, which is off in tests.
            await door.sql("vacuum job_runs, schedules, schedule_fires, schedule_looks, fake_now")
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(server.look)

    on_record: dict[str, list[datetime]] = {schedule.name: [] for schedule in wanted}
    for name, time in await door.sql("select schedule, fire_time from schedule_fires order by fire_time"):
        on_record[name].append(time)
    assert on_record == {schedule.name: list(schedule.cron.between(START, now)) for schedule in wanted}
    # The hour after a long run finds it active; nothing else is ever skipped or missed.
    assert await door.sql(
        "select distinct schedule, extract(hour from fire_time at time zone 'UTC')::int, outcome from schedule_fires"
        " where outcome <> 'ran'"
    ) == [("db_pruning", 8, "skipped")]
    assert await door.sql("select count(*) from schedule_fires where outcome = 'ran'") == await door.sql(
        "select count(*) from job_runs"
    )
    assert await door.sql(
        "select count(*) from (select created_at, lag(completed_at) over (partition by job_type order by created_at) as before"
        " from job_runs) as runs where created_at < before"
    ) == [(0,)]
