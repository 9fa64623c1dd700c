"""What ``owlrunner schedules simulate`` tells is what a server does: both decide the same fire times, and are compared."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import sql

from owlrunner.cron import Cron
from owlrunner.plugins import Catalog
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.schedule import OverlapPolicy, Schedule
from owlrunner.simulation import simulate
from owlrunner.storage.wakeups import Bell
from tests.promises.serving import Door

START = datetime(2026, 10, 24, 20, tzinfo=UTC)
STEP = timedelta(minutes=10)

Decision = tuple[str, datetime, str, datetime | None]
"""Schedule, fire time, outcome, and when its run was triggered."""


def schedule(name: str, job_type: str, cron: str, overlap: OverlapPolicy = "skip") -> Schedule:
    """A schedule on Berlin's clocks, which go back in the night of the test."""
    return Schedule(name, job_type, Cron.parse(cron, "Europe/Berlin"), overlap=overlap)


def simulated(wanted: Sequence[Schedule], end: datetime, durations: dict[str, timedelta]) -> list[Decision]:
    """What the simulation says; a fire that waited counts as having run, as it does on record once it has."""
    return [
        (
            fire.schedule.name,
            fire.time,
            "skipped" if fire.starts_at is None else "ran" if fire.starts_at < end else "queued",
            fire.starts_at if fire.starts_at is not None and fire.starts_at < end else None,
        )
        for fire in simulate(wanted, START, end, durations=durations, overlapping={"parallel"})
    ]


async def decided(
    door: Door, catalog: Catalog, wanted: Sequence[Schedule], end: datetime, durations: dict[str, timedelta]
) -> list[Decision]:
    """What a server does whose runs take so long, looked at every ten minutes of the database's time."""
    scheduler = Scheduler(door.db, job_types=catalog.job_types, bell=Bell(), on_triggered=lambda: None)
    async with door.db.session() as session:
        await session.connection.execute(
            sql.SQL("""
                create table fake_now as select {}::timestamptz as now;
                create or replace function owl_now() returns timestamptz language sql stable as 'select now from fake_now'
            """).format(START - STEP)
        )
    await scheduler.replace(wanted, owns_file=True)
    now = START
    while now < end:
        await door.sql("update fake_now set now = %s", now)
        for job_type, duration in durations.items():
            await door.sql(
                "update job_runs set status = 'cancelled', cancel_requested_at = owl_now(), completed_at = owl_now()"
                " where status = 'pending' and job_type = %s and run_at + %s <= owl_now()",
                job_type,
                duration,
            )
        await scheduler.look()
        now += STEP
    return [
        (name, time, outcome, triggered)
        for name, time, outcome, triggered in await door.sql(
            "select f.schedule, f.fire_time, f.outcome, r.created_at from schedule_fires f left join job_runs r on r.id = f.run_id"
            " order by f.fire_time, f.schedule"
        )
    ]


@pytest.mark.parametrize("minutes", [50, 60, 150, 180])
async def test_the_simulation_tells_what_a_server_does(door: Door, catalog: Catalog, minutes: int) -> None:
    """Over a night in which the clocks go back, with runs of any length, the simulation tells every decision of a server."""
    wanted = [
        schedule("hourly", "polite", "0 * * * *"),
        schedule("half past two", "polite", "30 2 * * *"),
        schedule("midnight", "polite", "0 0 * * *"),
        schedule("often", "parallel", "*/20 * * * *"),
        schedule("patient", "requeued", "0,30 * * * *", "queue"),
    ]
    end = START + timedelta(hours=12)
    durations = dict.fromkeys(("polite", "parallel", "requeued"), timedelta(minutes=minutes))
    expected = simulated(wanted, end, durations)
    assert {outcome for _, _, outcome, _ in expected} >= {"ran", "skipped"}
    assert await decided(door, catalog, wanted, end, durations) == sorted(expected, key=lambda one: (one[1], one[0]))
