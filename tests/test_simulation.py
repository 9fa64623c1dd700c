"""Schedules tried out on paper: what becomes of each fire time, decided as the servers would, without any of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from owlrunner import simulation
from owlrunner.cron import Cron
from owlrunner.errors import InvalidRequest
from owlrunner.schedule import Schedule, start_delay
from owlrunner.simulation import SimulatedFire, simulate, upcoming

MIDNIGHT = datetime(2026, 3, 28, tzinfo=UTC)


def schedule(name: str, cron: str, job_type: str = "work", timezone: str = "UTC", **values: Any) -> Schedule:
    """A schedule, of the job type "work" unless it says otherwise."""
    return Schedule(name, job_type, Cron.parse(cron, timezone), **values)


def hours(*schedules: Schedule, until: float, minutes: float = 0, **options: Any) -> list[SimulatedFire]:
    """What becomes of the fire times in so many hours from midnight on, if a run of "work" takes so many minutes."""
    durations = {"work": timedelta(minutes=minutes)}
    return simulate(schedules, MIDNIGHT, MIDNIGHT + timedelta(hours=until), durations=durations, **options)


def outcomes(fires: list[SimulatedFire]) -> list[tuple[int, str]]:
    """Hour and outcome of each fire."""
    return [(fire.time.hour, str(fire.outcome)) for fire in fires]


def clock(instant: datetime | None) -> str | None:
    """The time of day."""
    return None if instant is None else f"{instant:%H:%M}"


def test_from_is_in_and_to_is_out() -> None:
    """A fire time at the first instant counts, one at the last does not, so that days can be put together."""
    assert outcomes(hours(schedule("hourly", "0 * * * *"), until=3)) == [(0, "ran"), (1, "ran"), (2, "ran")]


def test_a_fire_while_the_run_is_active_is_skipped() -> None:
    """Runs of 90 minutes leave out every other fire of an hourly schedule, and each tells which run is in its way."""
    fires = hours(schedule("hourly", "0 * * * *"), until=4, minutes=90)
    assert outcomes(fires) == [(0, "ran"), (1, "skipped"), (2, "ran"), (3, "skipped")]
    assert [fire.blocked_by for fire in fires] == [None, fires[0], None, fires[2]]
    assert clock(fires[2].ends_at) == "03:30"
    assert fires[1].starts_at is None


def test_a_run_that_ends_at_the_fire_time_is_not_in_its_way() -> None:
    """Runs of exactly an hour follow each other."""
    assert {fire.outcome for fire in hours(schedule("hourly", "0 * * * *"), until=4, minutes=60)} == {"ran"}


def test_with_overlap_queue_one_fire_waits() -> None:
    """One fire waits and gets its run when the active one ends; a further one meanwhile is skipped, and says why."""
    fires = hours(schedule("hourly", "0 * * * *", overlap="queue"), until=4, minutes=150)
    assert outcomes(fires) == [(0, "ran"), (1, "queued"), (2, "skipped"), (3, "queued")]
    assert [(clock(fire.starts_at), clock(fire.ends_at)) for fire in fires] == [
        ("00:00", "02:30"),
        ("02:30", "05:00"),
        (None, None),
        ("05:00", "07:30"),
    ]
    assert [fire.another_waits for fire in fires] == [False, False, True, False]


def test_schedules_of_one_job_type_share_its_slot() -> None:
    """Two schedules of one job type at one instant make one run, the first by name's, even if runs take no time at all."""
    fires = hours(schedule("b", "0 1 * * *"), schedule("a", "0 1 * * *"), until=2)
    assert [(fire.schedule.name, str(fire.outcome)) for fire in fires] == [("a", "ran"), ("b", "skipped")]


def test_schedules_of_other_job_types_are_not_in_the_way() -> None:
    """A long run of one job type does not keep another one from running; the default duration is for all that are not named."""
    other = schedule("other", "0 * * * *", "rest")
    fires = hours(schedule("long", "30 0 * * *"), other, until=2, minutes=600, default=timedelta(minutes=61))
    assert [(fire.schedule.name, str(fire.outcome)) for fire in fires] == [
        ("other", "ran"),
        ("long", "ran"),
        ("other", "skipped"),
    ]


def test_a_job_type_that_allows_overlaps_is_never_skipped() -> None:
    """With several active runs allowed, every fire leads to one."""
    fires = hours(schedule("hourly", "0 * * * *"), until=4, minutes=600, overlapping={"work"})
    assert {fire.outcome for fire in fires} == {"ran"}


def test_jitter_counts_as_active() -> None:
    """A run has the slot from its fire time on though it starts later, by the same share of the jitter that a server takes."""
    jittery = schedule("jittery", "0 0 * * *", jitter=3600)
    (first, second) = hours(jittery, schedule("late", "1 0 * * *"), until=1)
    assert first.starts_at == MIDNIGHT + start_delay(jittery, MIDNIGHT)
    assert start_delay(jittery, MIDNIGHT) > timedelta(minutes=1)
    assert (second.blocked_by, str(second.outcome)) == (first, "skipped")


def test_a_gap_in_the_local_time_is_told_as_it_is() -> None:
    """Where 02:30 does not exist in Berlin the daily fire comes right after the gap, and the hourly one is missing."""
    daily = schedule("daily", "30 2 * * *", "work", "Europe/Berlin")
    hourly = schedule("hourly", "30 * * * *", "rest", "Europe/Berlin")
    fires = simulate(
        [daily, hourly],
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
        durations={},
    )
    assert [fire.time for fire in fires if fire.schedule is daily] == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert sum(fire.schedule is hourly for fire in fires) == 23


def test_upcoming_is_in_order() -> None:
    """The fire times of all schedules come in the order of time, those of one instant in the order of names, without an end."""
    fires = upcoming([schedule("b", "0 * * * *"), schedule("a", "*/30 * * * *")], MIDNIGHT)
    told = [(clock(time), one.name) for (time, one), _ in zip(fires, range(5), strict=False)]
    assert told == [("00:30", "a"), ("01:00", "a"), ("01:00", "b"), ("01:30", "a"), ("02:00", "a")]


def test_too_many_fires_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More fire times than the limit are refused with a sentence; as many as the limit are not."""
    monkeypatch.setattr(simulation, "MOST_FIRES", 24)
    assert len(hours(schedule("hourly", "0 * * * *"), until=24)) == 24
    with pytest.raises(InvalidRequest, match="more than 24 fire times"):
        hours(schedule("hourly", "0 * * * *"), until=25)
