"""When a fire that waits is given up."""

from datetime import UTC, datetime, timedelta

import pytest

from owlrunner.cron import Cron
from owlrunner.runtime.firing import _has_lapsed
from owlrunner.schedule import MissedPolicy, Schedule
from owlrunner.storage.schedules import Locked

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("missed", "age", "queued_before", "lapses"),
    [
        ("latest", DAY, MOMENT, False),
        ("latest", DAY + MOMENT, MOMENT, True),
        ("latest", DAY + MOMENT, timedelta(0), False),
        ("all", DAY + MOMENT, MOMENT, True),
        ("skip", MOMENT, MOMENT, True),
        ("skip", MOMENT, timedelta(0), False),
    ],
)
def test_a_waiting_fire_lapses_past_the_window(
    missed: MissedPolicy, age: timedelta, queued_before: timedelta, lapses: bool
) -> None:
    """Only where it has waited since before servers were there again, and is older than what the schedule makes up for."""
    schedule = Schedule("s", "work", Cron.parse("0 * * * *"), missed=missed, missed_window=DAY)
    watched_since = NOW - timedelta(hours=1)
    locked = Locked(NOW, NOW, watched_since, has_queued=True, has_queued_on_time=True, waits_for=None)
    assert _has_lapsed(schedule, NOW - age, watched_since - queued_before, locked) is lapses
    assert not _has_lapsed(schedule, NOW - age, NOW, locked._replace(watched_since=None))
