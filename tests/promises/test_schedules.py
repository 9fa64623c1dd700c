"""P6 and P7: one fire time makes at most one run in the whole cluster, and every fire time is on record."""

import contextlib
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from psycopg import sql

import owlrunner.testing
from owlrunner.cron import Cron
from owlrunner.job_run import RunStatus
from owlrunner.plugins import Catalog
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.schedule import Schedule
from owlrunner.storage import schedules
from owlrunner.storage.wakeups import Bell
from owlrunner_maintenance import MaintenanceSettings, run_retention_job
from tests.promises.serving import Door, Serve, StartProcess

START = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


class Clock:
    """The database's time, as the test wants it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def set(self, now: datetime) -> None:
        """It is this time now, for everybody who asks the database."""
        await self._door.sql("update fake_now set now = %s", now)


@pytest.fixture
async def clock(door: Door) -> Clock:
    """A clock in the place of the database's own."""
    async with door.db.session() as session:
        await session.connection.execute(
            sql.SQL("""
                create table fake_now as select {}::timestamptz as now;
                create or replace function owl_now() returns timestamptz language sql stable as 'select now from fake_now'
            """).format(START)
        )
    return Clock(door)


def hourly(**values: object) -> Schedule:
    """An hourly schedule."""
    return Schedule("hourly", "polite", Cron.parse("0 * * * *"), **values)  # type: ignore[arg-type]


async def schedulers(door: Door, catalog: Catalog, count: int, *wanted: Schedule) -> list[Scheduler]:
    """The schedulers of so many servers with the same configuration."""
    made = [
        Scheduler(door.db, job_types=catalog.job_types, bell=Bell(), on_triggered=lambda: None) for _ in range(count)
    ]
    for scheduler in made:
        await scheduler.replace(wanted, owns_file=True)
    return made


async def look_at_once(several: list[Scheduler]) -> None:
    """All servers look at the same instant."""
    async with trio.open_nursery() as nursery:
        for scheduler in several:
            nursery.start_soon(scheduler.look)


async def end_active_runs(door: Door) -> None:
    """Whatever is pending has been done."""
    await door.sql(
        "update job_runs set status = 'cancelled', cancel_requested_at = now(), completed_at = now() where status = 'pending'"
    )


async def fires(door: Door) -> list[tuple[int, str]]:
    """Hour and outcome of every fire on record."""
    rows = await door.sql(
        "select extract(hour from fire_time at time zone 'UTC')::int, outcome from schedule_fires order by fire_time"
    )
    return [(hour, outcome) for hour, outcome in rows]


async def test_five_servers_make_one_run_of_each_fire_time(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Five servers that look at the same instant, hour after hour, put each fire time on record once, with one run."""
    several = await schedulers(door, catalog, 5, hourly())
    for hour in range(1, 25):
        await clock.set(START + timedelta(hours=hour))
        await look_at_once(several)
        await end_active_runs(door)
    assert await fires(door) == [(hour, "ran") for hour in [*range(1, 24), 0]]
    assert await door.sql("select count(*), count(distinct fire_time), min(triggered_by) from job_runs") == [
        (24, 24, "schedule")
    ]


async def test_a_fire_while_the_run_is_active_is_skipped_and_says_why(
    door: Door, clock: Clock, catalog: Catalog
) -> None:
    """The second fire finds the first one's run active: it is recorded as skipped, with that run's id."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly())
    for hour in (1, 2):
        await clock.set(datetime(2026, 1, 1, hour, tzinfo=UTC))
        await scheduler.look()
    rows = await door.sql("select outcome, reason, run_id, active_run_id from schedule_fires order by fire_time")
    (ran, _, run_id, _), (skipped, reason, none, active) = rows
    assert (ran, skipped, none, active) == ("ran", "skipped", None, run_id)
    assert reason == "the previous run is still active"


@pytest.mark.parametrize("overlap", ["queue", "skip"])
async def test_the_end_of_a_run_wakes_who_waits(door: Door, clock: Clock, catalog: Catalog, overlap: str) -> None:
    """With overlap="queue" the scheduler looks as soon as a run of its server ends, and without it does not bother."""
    bell = Bell()
    scheduler = Scheduler(door.db, job_types=catalog.job_types, bell=bell, on_triggered=lambda: None)
    await scheduler.replace([hourly(overlap=overlap)], owns_file=True)
    rung = bell.listen()
    scheduler.run_has_ended()
    assert rung.is_set() is (overlap == "queue")


async def test_with_overlap_queue_one_fire_waits(door: Door, clock: Clock, catalog: Catalog) -> None:
    """One fire waits for the active run, a second one is skipped, and the waiting one runs when the run has ended."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(overlap="queue"))
    for hour in (1, 2, 3):
        await clock.set(datetime(2026, 1, 1, hour, tzinfo=UTC))
        await scheduler.look()
    assert await fires(door) == [(1, "ran"), (2, "queued"), (3, "skipped")]
    await end_active_runs(door)
    await scheduler.look()
    assert await fires(door) == [(1, "ran"), (2, "ran"), (3, "skipped")]


async def test_fires_missed_while_no_server_ran_are_on_record(door: Door, clock: Clock, catalog: Catalog) -> None:
    """After a night without a server the latest missed fire runs, and the others are recorded as missed."""
    await schedulers(door, catalog, 1, hourly())
    await clock.set(datetime(2026, 1, 1, 4, 30, tzinfo=UTC))
    (restarted,) = await schedulers(door, catalog, 1, hourly())
    await restarted.look()
    assert await fires(door) == [(1, "missed"), (2, "missed"), (3, "missed"), (4, "ran")]


async def test_a_server_that_fell_behind_takes_no_decision_back(door: Door, clock: Clock, catalog: Catalog) -> None:
    """One that was stopped in the middle of deciding and wakes after others have gone on does not turn back what is decided."""
    await schedulers(door, catalog, 1, hourly())
    late, early = datetime(2026, 1, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)
    async with door.db.session() as session:
        await schedules.decided(session, "hourly", late)
        await schedules.decided(session, "hourly", early)
    assert await door.sql("select decided_until from schedules") == [(late,)]


async def test_what_is_on_record_makes_no_second_run(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A fire time that comes again, because the database's clock was set back during a deploy, starts nothing."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="all"))
    one = datetime(2026, 1, 1, 1, tzinfo=UTC)
    await clock.set(one)
    await scheduler.look()
    await end_active_runs(door)
    await clock.set(one - timedelta(minutes=10))
    await schedulers(door, catalog, 1)
    (again,) = await schedulers(door, catalog, 1, hourly(missed="all"))
    await clock.set(one + timedelta(hours=1))
    await again.look()
    assert await door.sql("select fire_time, count(*) from job_runs group by fire_time order by fire_time") == [
        (one, 1),
        (one + timedelta(hours=1), 1),
    ]
    assert await fires(door) == [(1, "ran"), (2, "ran")]


async def test_a_removed_schedule_stops_on_every_server(door: Door, clock: Clock, catalog: Catalog) -> None:
    """When a server is deployed without the schedule, one that still has it in its configuration does not fire it any more."""
    (old,) = await schedulers(door, catalog, 1, hourly())
    await schedulers(door, catalog, 1)
    await clock.set(datetime(2026, 1, 1, 1, tzinfo=UTC))
    await old.look()
    assert await fires(door) == []


async def test_a_changed_schedule_does_not_fire_for_the_past(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A new cron expression counts from the deploy on, and the old one has no say any more."""
    (old,) = await schedulers(door, catalog, 1, hourly())
    await clock.set(datetime(2026, 1, 1, 5, 40, tzinfo=UTC))
    (new,) = await schedulers(door, catalog, 1, Schedule("hourly", "polite", Cron.parse("*/30 * * * *")))
    await look_at_once([old, new])
    assert await fires(door) == []
    await clock.set(datetime(2026, 1, 1, 6, 0, tzinfo=UTC))
    await look_at_once([old, new])
    assert await fires(door) == [(6, "ran")]


async def test_a_forgotten_fire_does_not_fire_again(
    door: Door, clock: Clock, catalog: Catalog, database_url: str
) -> None:
    """When run_retention has deleted the record of fires, no server fires for them again, though it may look that far back."""
    weekly = Schedule(
        "weekly", "parallel", Cron.parse("0 0 * * 1"), missed="all", missed_window=timedelta(days=3650), overlap="queue"
    )
    (running,) = await schedulers(door, catalog, 1, weekly)
    for days in range(7, 7 * 20, 7):
        await clock.set(START + timedelta(days=days))
        await running.look()
    before = await door.sql("select fire_time from schedule_fires order by 1")
    retention = run_retention_job(MaintenanceSettings(retention_share=1.0))
    report = await owlrunner.testing.run(retention, {"older_than_days": 30}, database_url=database_url)
    assert report.result["fires"] == 14
    several = [running, *await schedulers(door, catalog, 2, weekly)]
    await look_at_once(several)
    assert await door.sql("select fire_time from schedule_fires order by 1") == before[14:]
    assert await door.sql("select count(*) from job_runs") == [(len(before),)]


async def test_the_next_look_is_at_the_next_fire_time(door: Door, clock: Clock, catalog: Catalog) -> None:
    """The loop sleeps exactly until something is due, by the database's clock."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly())
    await clock.set(datetime(2026, 1, 1, 1, 59, 58, 500_000, tzinfo=UTC))
    assert await scheduler.look() == pytest.approx(1.5)


async def test_jitter_spreads_the_start_the_same_on_every_server(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A run starts within the jitter after its fire time, and the share does not depend on who fires."""
    delays = []
    for _ in range(2):
        (scheduler,) = await schedulers(door, catalog, 1, hourly(jitter=600.0))
        await clock.set(datetime(2026, 1, 1, 1, tzinfo=UTC))
        await scheduler.look()
        delays += [row[0] for row in await door.sql("select run_at - fire_time from job_runs")]
        await door.sql("delete from schedule_fires")
        await door.sql("delete from job_runs")
        await door.sql("delete from schedules")
        await clock.set(START)
    assert delays[0] == delays[1]
    assert timedelta(0) < delays[0] < timedelta(minutes=10)


async def test_a_server_fires_and_runs(door: Door, clock: Clock, serve: Serve, tmp_path: Path) -> None:
    """A server with a file of schedules triggers the job when its time has come, and executes it."""
    file = tmp_path / "schedules.toml"
    file.write_text('[schedules.hourly]\njob_type = "polite"\ncron = "0 * * * *"\nparams = { steps = 2 }\n')
    await clock.set(datetime(2026, 1, 1, 0, 59, 59, 900_000, tzinfo=UTC))
    await serve(schedules=file)
    await clock.set(datetime(2026, 1, 1, 1, tzinfo=UTC))
    async with door.db.dedicated() as ear:
        await ear.execute("listen changed")
        with trio.fail_after(10):
            async with contextlib.aclosing(ear.notifies()) as changes:
                while not (rows := await door.sql("select id from job_runs")):
                    await anext(changes)
    run = await door.until(rows[0][0], RunStatus.COMPLETED)
    assert (run.triggered_by, run.params, run.result) == ("schedule", {"steps": 2}, {"done": 2})


async def test_sighup_reads_the_file_again(door: Door, server_process: StartProcess, tmp_path: Path) -> None:
    """A bad file keeps the schedules and says why; a good one takes their place; what is not in it is gone."""
    file = tmp_path / "schedules.toml"
    table = '[schedules.{}]\njob_type = "polite"\ncron = "{}"\n'
    file.write_text(table.format("first", "0 4 1 1 *"))
    server = server_process("a", schedules=file)
    await server.ready()
    file.write_text(table.format("second", "0 99 1 1 *"))
    server.signal(signal.SIGHUP)
    complaint = await server.logged("the schedules stay as they were")
    assert 'schedules.second.cron: cron "0 99 1 1 *": hour "99"' in complaint
    # Beside those that the installed plugins bring.
    in_file = "select name from schedules where job_type = 'polite'"
    assert await door.sql(in_file) == [("first",)]
    file.write_text(table.format("second", "0 9 1 1 *"))
    server.signal(signal.SIGHUP)
    await server.logged("the schedules were read again: ")
    assert await door.sql(in_file) == [("second",)]
