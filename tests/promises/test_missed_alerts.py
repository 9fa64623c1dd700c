"""P6 and P9: the owner is told of fire times that were missed, once for each outage, whatever became of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from owlrunner.cron import Cron
from owlrunner.missed_fires import MissedFires
from owlrunner.plugins import Catalog
from owlrunner.runtime.firing import GONE, NOBODY
from owlrunner.schedule import MOST_BEYOND_WINDOW, Schedule
from owlrunner.schedules_file import load_schedules
from owlrunner.storage import notifications, overview
from tests.promises.serving import Door, Serve
from tests.promises.test_notifications import OWNER, QUICK, SERVER, Ear, offering, rules
from tests.promises.test_schedules import Clock, clock, end_active_runs, hourly, schedulers

__all__ = ["clock"]

ONE = datetime(2026, 1, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def alerts(door: Door) -> list[tuple[MissedFires, ...]]:
    """What the owner is told, alert by alert."""
    async with door.db.session() as session, session.transaction():
        await session.connection.execute("update notifications set due_at = owl_now() where attempt = 0")
        taken = await notifications.claim_due(session, SERVER, {"ear": 9}, 60)
    return [one.missed_fires for one in taken if one.run is None]


async def down_until(door: Door, clock: Clock, catalog: Catalog, back: datetime, *wanted: Schedule) -> None:
    """One server knows the schedules at half past midnight, and another looks when servers are back."""
    await rules(door, "ear", alert_email=OWNER)
    await schedulers(door, catalog, 1, *wanted)
    await clock.set(back)
    (later,) = await schedulers(door, catalog, 1, *wanted)
    await later.look()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("skip", {"missed": 3, "late": 0}), ("latest", {"missed": 2, "late": 1}), ("all", {"missed": 0, "late": 3})],
)
async def test_an_outage_is_told_whatever_is_made_up_for(
    door: Door, clock: Clock, catalog: Catalog, policy: str, expected: dict[str, Any]
) -> None:
    """After three hours without a server one alert tells for each schedule how many fire times got no run, or a late one."""
    half_past = Schedule("half past", "parallel", Cron.parse("30 * * * *"), missed="skip")
    await down_until(door, clock, catalog, ONE + 2.25 * HOUR, hourly(missed=policy), half_past)
    ((of_half_past, of_hourly),) = await alerts(door)
    assert of_hourly == MissedFires("hourly", "polite", **expected, first=ONE, last=ONE + 2 * HOUR, reasons=(NOBODY,))
    assert (of_half_past.schedule, of_half_past.missed, of_half_past.late) == ("half past", 2, 0)


async def test_what_is_decided_again_is_told_once(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A decision that is made anew, as after a lost answer, adds nothing to what was told of the first."""
    await down_until(door, clock, catalog, ONE + 2.25 * HOUR, hourly(missed="skip"))
    await door.sql("update schedules set decided_until = decided_until - interval '3 hours'")
    (again,) = await schedulers(door, catalog, 1, hourly(missed="skip"))
    await again.look()
    (((of_hourly),),) = await alerts(door)
    assert of_hourly.missed == 3


@pytest.mark.parametrize("missed", ["skip", "latest"])
async def test_a_short_restart_is_no_news(door: Door, clock: Clock, catalog: Catalog, missed: str) -> None:
    """A fire time that was missed by four minutes is on record, and nobody is told."""
    await down_until(door, clock, catalog, ONE + timedelta(minutes=4), hourly(missed=missed))
    assert await alerts(door) == []


async def test_a_fire_time_on_time_is_no_news(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Nobody is told of one that runs, nor of one that is skipped because the run before it is active."""
    await rules(door, "ear", alert_email=OWNER, missed_after=0.001)
    (scheduler,) = await schedulers(door, catalog, 1, hourly())
    for hour in (1, 2):
        await clock.set(ONE.replace(hour=hour))
        await scheduler.look()
    assert await alerts(door) == []


async def test_what_lies_beyond_the_window_is_told(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A weekly job that nobody was there for is told days later though its schedule makes up for one day, with the reason."""
    weekly = Schedule("weekly", "polite", Cron.parse("0 1 1 * *"))
    started = "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at) values"
    await door.sql(f"{started} (gen_random_uuid(), 'a', '1', '{{polite}}', 1, %s, %s)", ONE - HOUR, ONE + HOUR)
    await down_until(door, clock, catalog, ONE + timedelta(days=3), weekly)
    assert await alerts(door) == [(MissedFires("weekly", "polite", 1, 0, ONE, ONE, (GONE,)),)]
    assert await door.sql("select outcome, reason from schedule_fires") == [("missed", GONE)]


async def test_a_count_that_is_not_complete_says_so(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Beyond the bound of what one outage puts on record the alert says at least how many; the last two are on time."""
    minutely = Schedule("minutely", "polite", Cron.parse("* * * * *"), missed="skip", missed_window=HOUR)
    await down_until(door, clock, catalog, ONE + timedelta(days=3), minutely)
    ((told,),) = await alerts(door)
    assert (told.missed, told.at_least) == (MOST_BEYOND_WINDOW + 58, True)
    assert str(told).startswith("at least 1058 fire times missed, from 2026-01-01 00:31 UTC to 2026-01-04 00:58 UTC. ")


async def test_a_fire_that_lapsed_in_the_queue_is_told(door: Door, clock: Clock, catalog: Catalog) -> None:
    """One that waited for a run's end, and then for servers longer than its schedule makes up for, is among those missed."""
    await rules(door, "ear", alert_email=OWNER)
    wanted = hourly(overlap="queue", missed="skip")
    (scheduler,) = await schedulers(door, catalog, 1, wanted)
    for hour in (1, 2):
        await clock.set(ONE.replace(hour=hour))
        await scheduler.look()
    await end_active_runs(door)
    await clock.set(ONE + 1.5 * HOUR)
    (later,) = await schedulers(door, catalog, 1, wanted)
    await later.look()
    assert await alerts(door) == [(MissedFires("hourly", "polite", 1, 0, ONE + HOUR, ONE + HOUR, (NOBODY,)),)]


async def test_a_notifier_sends_the_alert(
    door: Door, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that finds a schedule hours behind has its notifier told: no run, the schedules, and a title that names one."""
    monkeypatch.setattr(notifications, "GATHER", 0.0)
    ear = Ear()
    catalog = offering(ear=ear)
    file = tmp_path / "schedules.toml"
    file.write_text(
        '[schedules.daily]\njob_type = "polite"\ncron = "0 0 * * *"\nmissed = "skip"\nmissed_window = "7d"\n'
    )
    await schedulers(door, catalog, 1, *load_schedules(file, catalog))
    await door.sql("update schedules set decided_until = now() - interval '3 days'")
    await serve(catalog, QUICK, schedules=file)
    (heard,) = await ear.heard_of(1)
    assert (heard.run, heard.label, heard.link, heard.recipient) == (None, "", None, OWNER)
    assert heard.title == "⏰ Schedule missed: daily"
    assert heard.text.startswith("daily (polite): 3 fire times missed, from ")
    (listed,) = await overview.list_notifications(door.db, 9)
    assert (listed.subject, listed.schedules) == ("missed", ["daily"])


def told(**values: Any) -> str:
    """What an alert says of a schedule."""
    about: dict[str, Any] = {"missed": 0, "late": 0, "first": ONE, "last": ONE, "reasons": (NOBODY,)}
    return str(MissedFires("s", "work", **about | values))


def test_an_alert_in_words() -> None:
    """How many, when, what came of them, and why, in the singular and in the plural."""
    at, span = "at 2026-01-01 01:00 UTC", "from 2026-01-01 01:00 UTC to 2026-01-01 03:00 UTC"
    why = "Reason: no server was running."
    last = ONE + 2 * HOUR
    assert told(missed=1) == f"1 fire time missed, {at}. No run was started for it. {why}"
    assert told(late=1) == f"1 fire time missed, {at}. A late run was started for it. {why}"
    assert told(missed=2, last=last) == f"2 fire times missed, {span}. No run was started for them. {why}"
    assert told(late=2, last=last) == f"2 fire times missed, {span}. A late run was started for each. {why}"
    both = told(missed=2, late=1, last=last, reasons=("a", "b"))
    assert both == f"3 fire times missed, {span}. Late runs were started for 1, none for 2. Reason: a; b."
