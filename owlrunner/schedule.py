"""This is the room for what recurs: one schedule, and the decision which of its fire times lead to a run.

Pure values: when a schedule was last decided, and what time it is, are told by the caller, who has both from the database.
"""

import enum
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import attrs

from owlrunner.cron import Cron

MOST_BEYOND_WINDOW = 1000
"""How many fire times beyond the missed window are put on record after one outage: a year without a server has many minutes."""
ON_TIME = timedelta(seconds=60)
"""A fire time that is older than this was missed, unless servers have been looking all the while and could not decide."""

Source = Literal["file", "default"]
MissedPolicy = Literal["skip", "latest", "all"]
OverlapPolicy = Literal["skip", "queue"]


class FireOutcome(enum.StrEnum):
    """What became of one fire time; every one that was due is on record with one of these."""

    RAN = "ran"
    SKIPPED = "skipped"
    MISSED = "missed"
    QUEUED = "queued"


@attrs.frozen
class Schedule:
    """A system job type that recurs."""

    name: str
    job_type: str
    cron: Cron
    params: Mapping[str, Any] | None = None
    """As they are stored: see ``owlrunner.params``."""
    missed: MissedPolicy = "latest"
    """What happens to fire times at which no server ran: none is made up for, the latest, or all of them, one after another."""
    missed_window: timedelta = timedelta(days=1)
    """How far back fire times are made up for; those before were missed."""
    overlap: OverlapPolicy = "skip"
    """What happens to a fire time at which the previous run is still active: nothing, or one run when that has ended."""
    jitter: float = 0.0
    """Seconds over which the starts are spread; each fire time has its own share, the same on every server."""
    source: Source = "file"
    """Where it comes from: the file of schedules, or a job type's default."""


@attrs.frozen
class DueFire:
    """One fire time that has come, and whether it leads to a run (else it is recorded as missed)."""

    time: datetime
    runs: bool
    late: bool = False
    """It was missed; where it runs, it is made up for."""


def due_fires(
    schedule: Schedule, decided_until: datetime, now: datetime, watched_since: datetime | None = None
) -> Sequence[DueFire]:
    """The fire times after ``decided_until``, up to now, in order, each with the decision.

    Servers have been looking without a gap from ``watched_since`` on: what came since then was not missed, however late it is
    decided. A fire time that was not missed always runs. Of those that were: with ``all`` each runs; with ``latest`` the last
    one does, unless one that was not missed runs anyway; with ``skip`` none. Of those beyond the missed window none does, and the
    first MOST_BEYOND_WINDOW are returned.
    """
    window = max(decided_until, now - schedule.missed_window)
    beyond = itertools.islice(schedule.cron.between(decided_until, window), MOST_BEYOND_WINDOW)
    lapsed = [DueFire(time, runs=False, late=True) for time in beyond]
    times = list(schedule.cron.between(window, now))
    if not times:
        return lapsed
    watched = watched_since if watched_since is not None else now
    is_late = [now - time > ON_TIME and time < watched for time in times]
    catches_up = schedule.missed == "latest" and all(is_late)
    return lapsed + [
        DueFire(time, runs=not late or schedule.missed == "all" or (catches_up and time == times[-1]), late=late)
        for time, late in zip(times, is_late, strict=True)
    ]


def start_delay(schedule: Schedule, time: datetime) -> timedelta:
    """A fire time's share of the jitter: by chance, but the same on every server and at every try."""
    if not schedule.jitter:
        return timedelta(0)
    digest = hashlib.sha256(f"{schedule.name} {time.isoformat()}".encode()).digest()
    return timedelta(seconds=schedule.jitter * int.from_bytes(digest[:8]) / 2**64)
