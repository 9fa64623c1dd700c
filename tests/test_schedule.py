"""Which fire times lead to a run: decided without a database, from what was decided before and what time it is."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from owlrunner.cron import Cron
from owlrunner.schedule import MOST_BEYOND_WINDOW, ON_TIME, MissedPolicy, Schedule, due_fires
from owlrunner.storage.schedules import params_json

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HOURLY = Schedule("hourly", "work", Cron.parse("0 * * * *"))


def decided(missed: MissedPolicy, hours_down: float, now: datetime) -> list[tuple[int, bool]]:
    """Hour and decision of each fire time of an hourly schedule after so many hours without a server."""
    schedule = Schedule("hourly", "work", Cron.parse("0 * * * *"), missed=missed)
    return [(due.time.hour, due.runs) for due in due_fires(schedule, now - timedelta(hours=hours_down), now)]


def test_nothing_is_due_before_its_time() -> None:
    """A second before the hour nothing fires, and at the hour it does, once."""
    assert list(due_fires(HOURLY, NOON - timedelta(minutes=30), NOON - timedelta(seconds=1))) == []
    (due,) = due_fires(HOURLY, NOON - timedelta(minutes=30), NOON)
    assert (due.time, due.runs) == (NOON, True)
    assert list(due_fires(HOURLY, NOON, NOON + timedelta(seconds=1))) == []


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("skip", [(9, False), (10, False), (11, False)]),
        ("latest", [(9, False), (10, False), (11, True)]),
        ("all", [(9, True), (10, True), (11, True)]),
    ],
)
def test_what_was_missed_follows_the_policy(missed: MissedPolicy, expected: list[tuple[int, bool]]) -> None:
    """After three hours without a server, half an hour past the last fire time: none, the latest, or all are made up for."""
    assert decided(missed, 3, NOON - timedelta(minutes=30)) == expected


@pytest.mark.parametrize("missed", ["skip", "latest"])
def test_a_fire_time_that_is_on_time_runs_anyway(missed: MissedPolicy) -> None:
    """Where one is on time, it is the one that runs, and the missed ones before it do not."""
    assert decided(missed, 2.5, NOON) == [(10, False), (11, False), (12, True)]


@pytest.mark.parametrize(("late_by", "is_late"), [(ON_TIME, False), (ON_TIME + timedelta(microseconds=1), True)])
def test_a_fire_time_is_on_time_for_a_minute(late_by: timedelta, is_late: bool) -> None:
    """One that is looked at exactly a minute after it was not missed; a moment later it was."""
    (due,) = due_fires(HOURLY, NOON - timedelta(minutes=1), NOON + late_by)
    assert due.late is is_late


def test_the_window_limits_the_catching_up() -> None:
    """Two weeks without a server do not make two weeks of runs: those before the window are missed, and on record as that."""
    schedule = Schedule("hourly", "work", Cron.parse("0 * * * *"), missed="all", missed_window=timedelta(hours=6))
    due = due_fires(schedule, NOON - timedelta(days=14), NOON)
    assert [one.time for one in due] == [NOON - timedelta(hours=hours) for hours in reversed(range(14 * 24))]
    assert [one.runs for one in due] == [False] * (14 * 24 - 6) + [True] * 6
    assert all(one.late for one in due[:-1])


def test_a_window_without_a_fire_time_leaves_those_before_it_missed() -> None:
    """A weekly fire that nobody was there for two days ago is on record as missed, however short the window."""
    weekly = Schedule("weekly", "work", Cron.parse("0 12 * * 4"))
    (due,) = due_fires(weekly, NOON - timedelta(days=7), NOON)
    assert (due.time, due.runs, due.late) == (NOON - timedelta(days=2), False, True)


def test_a_long_outage_is_put_on_record_within_a_bound() -> None:
    """Of a year of minutes before the window the first thousand are on record, and all of those within it."""
    minutely = Schedule("minutely", "work", Cron.parse("* * * * *"), missed_window=timedelta(minutes=10))
    start = NOON - timedelta(days=365)
    due = due_fires(minutely, start, NOON)
    assert len(due) == MOST_BEYOND_WINDOW + 10
    assert due[MOST_BEYOND_WINDOW - 1].time == start + timedelta(minutes=MOST_BEYOND_WINDOW)


@pytest.mark.parametrize("missed", ["skip", "latest"])
def test_what_servers_were_watching_was_not_missed(missed: MissedPolicy) -> None:
    """A fire time since which servers have been looking without a gap runs, however late it is decided; earlier ones are missed."""
    schedule = Schedule("hourly", "work", Cron.parse("0 * * * *"), missed=missed)
    due = due_fires(schedule, NOON - timedelta(hours=2.5), NOON + timedelta(minutes=30), NOON - timedelta(hours=1))
    assert [(one.time.hour, one.runs, one.late) for one in due] == [
        (10, False, True),
        (11, True, False),
        (12, True, False),
    ]


def test_params_of_a_schedules_runs() -> None:
    """They are stored as JSON text, and as nothing where the schedule has none: that is not the JSON null."""
    assert params_json(HOURLY) is None
    assert params_json(attrs.evolve(HOURLY, params={"pages": 2})) == '{"pages":2}'
    assert params_json(attrs.evolve(HOURLY, params={})) == "{}"
