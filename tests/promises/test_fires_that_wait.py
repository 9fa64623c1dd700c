"""P6 and P7 for fires that wait for a run to end: which one does, what it waits for, and in which order they go on."""

from datetime import UTC, datetime, timedelta

from owlrunner.cron import Cron
from owlrunner.plugins import Catalog
from owlrunner.runtime.firing import start_queued
from owlrunner.schedule import Schedule
from tests.promises.serving import Door
from tests.promises.test_schedules import START, Clock, clock, end_active_runs, fires, hourly, schedulers

__all__ = ["clock"]

MINUTE = timedelta(minutes=1)
EACH_MINUTE = Schedule("each minute", "polite", Cron.parse("* * * * *"), overlap="queue")


async def on_record(door: Door) -> list[tuple[int, str, str | None]]:
    """Minute, outcome and reason of every fire."""
    return [
        (minute, outcome, reason)
        for minute, outcome, reason in await door.sql(
            "select extract(minute from fire_time)::int, outcome, reason from schedule_fires order by fire_time"
        )
    ]


async def test_a_fire_waits_for_the_run_of_the_one_before(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Where two fire times are decided at once, the second waits for the run that the first has just got."""
    (scheduler,) = await schedulers(door, catalog, 1, EACH_MINUTE)
    await clock.set(START + 2 * MINUTE)
    await scheduler.look()
    assert await on_record(door) == [(31, "ran", None), (32, "queued", "waits for the active run to end")]
    ((run_id, waits_for),) = await door.sql(
        "select a.run_id, b.active_run_id from schedule_fires a, schedule_fires b where a.outcome = 'ran' and b.outcome = 'queued'"
    )
    assert waits_for == run_id


async def test_of_two_fires_decided_at_once_one_waits(door: Door, clock: Clock, catalog: Catalog) -> None:
    """With a run active, the first of two fire times waits for its end, and the second is skipped as one waits already."""
    (scheduler,) = await schedulers(door, catalog, 1, EACH_MINUTE)
    for minutes in (1, 3):
        await clock.set(START + minutes * MINUTE)
        await scheduler.look()
    assert await on_record(door) == [
        (31, "ran", None),
        (32, "queued", "waits for the active run to end"),
        (33, "skipped", "the previous run is still active, and a fire waits already"),
    ]


async def test_what_has_waited_longest_goes_first(door: Door, clock: Clock, catalog: Catalog) -> None:
    """When fires of two schedules wait for one job type, the earlier one gets the next run, whatever their names are."""
    later = Schedule("a", "polite", Cron.parse("0 * * * *"), overlap="queue")
    earlier = Schedule("b", "polite", Cron.parse("30 * * * *"), overlap="queue")
    (scheduler,) = await schedulers(door, catalog, 1, later, earlier)
    for half_hours in (1, 2, 3):
        await clock.set(START + half_hours * 30 * MINUTE)
        await scheduler.look()
    await end_active_runs(door)
    await scheduler.look()
    assert await door.sql("select schedule, outcome from schedule_fires order by fire_time") == [
        ("a", "ran"),
        ("b", "ran"),
        ("a", "queued"),
    ]


async def test_all_that_waited_too_long_is_given_up_at_once(door: Door, clock: Clock, catalog: Catalog) -> None:
    """After more than the window without a server, each fire that still waits is missed, and none of them stops the next."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="all"))
    await clock.set(START + timedelta(hours=3))
    await scheduler.look()
    assert await fires(door) == [(1, "ran"), (2, "queued"), (3, "queued")]
    await end_active_runs(door)
    await clock.set(START + timedelta(hours=30))
    (back,) = await schedulers(door, catalog, 1, hourly(missed="all"))
    await back.look()
    before = datetime(2026, 1, 1, 4, tzinfo=UTC)
    assert await door.sql(
        "select outcome, reason from schedule_fires where fire_time < %s order by fire_time", before
    ) == [
        ("ran", None),
        ("missed", "no server was running"),
        ("missed", "no server was running"),
    ]


async def test_waiting_fires_are_decided_by_whoever_has_the_lock(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Who has it is done when the first fire must go on waiting, and who does not has to come again."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(overlap="queue"))
    for hours in (1, 2):
        await clock.set(START + timedelta(hours=hours))
        await scheduler.look()
    deployed = scheduler._deployed["hourly"]
    async with door.db.session() as session, door.db.session() as other:
        assert await start_queued(session, deployed) is True
        assert await fires(door) == [(1, "ran"), (2, "queued")]
        async with other.transaction():
            await other.connection.execute(b"select from schedules for update")
            assert await start_queued(session, deployed) is False
