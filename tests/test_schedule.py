"""Which fire times lead to a run: decided without a database, from what was decided before and what time it is."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from owlrunner.cron import Cron
from owlrunner.schedule import ON_TIME, MissedPolicy, Schedule, due_fires
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
    """Two weeks without a server do not make two weeks of fires: only the window is looked at."""
    schedule = Schedule("hourly", "work", Cron.parse("0 * * * *"), missed="all", missed_window=timedelta(hours=6))
    assert len(due_fires(schedule, NOON - timedelta(days=14), NOON)) == 6


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
