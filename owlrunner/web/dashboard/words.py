"""This is the room for how runs are put into words and numbers for people."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec

from owlrunner.durations import format_duration
from owlrunner.job_run import ACTIVE, JobRun, RunStatus, percent_of
from owlrunner.plugins import Catalog
from owlrunner.storage.overview import Count


@attrs.frozen
class ProgressShown:
    """How far a run has come."""

    processed: int
    total: int
    message: str

    @property
    def percent(self) -> int | None:
        """A whole number; None where the total is not known."""
        return percent_of(self.processed, self.total)


@attrs.frozen
class RunShown:
    """One run as a page shows it."""

    run: JobRun
    label: str
    project: str
    who: str
    who_cancelled: str
    now: datetime

    @property
    def status(self) -> str:
        """What is so: a run whose cancel was requested is *cancelling* until it has really ended."""
        if self.run.status is RunStatus.RUNNING and self.run.cancel_requested_at is not None:
            return "cancelling"
        return self.run.status.value

    @property
    def is_active(self) -> bool:
        """Whether it will change."""
        return self.run.status in ACTIVE

    @property
    def seconds(self) -> float | None:
        """How long it ran, or has been running."""
        if self.run.started_at is None or self.run.status is RunStatus.PENDING:
            return None
        return max(0.0, ((self.run.completed_at or self.now) - self.run.started_at).total_seconds())

    @property
    def progress(self) -> ProgressShown | None:
        """How far it has come, if it told."""
        told = self.run.progress
        if not isinstance(told, Mapping):
            return None
        return ProgressShown(int(told.get("processed", 0)), int(told.get("total", 0)), str(told.get("message", "")))


def label_of(catalog: Catalog, job_type: str) -> str:
    """What people call a job type; its name where no plugin offers it any more."""
    known = catalog.job_types.get(job_type)
    return known.label if known is not None else job_type


def who_of(triggered_by: str, own: str) -> str:
    """Who started a run, in a word."""
    if triggered_by == own:
        return "you"
    kinds = {
        "manual:user": "a user",
        "manual:api_key": "an API key",
        "schedule": "the schedule",
        "operator": "the operator",
    }
    return next((word for kind, word in kinds.items() if triggered_by.startswith(kind)), triggered_by)


def moment(time: datetime | None) -> str:
    """A time for people who have no JavaScript."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def pretty(value: Any) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def grouped(number: int) -> str:
    """A number for people."""
    return f"{number:,}"


def count_words(count: Count) -> str:
    """How many there are; with a plus where there are more, of which no more is told."""
    return f"{grouped(count.number)}{'' if count.is_all else '+'}"


def duration(seconds: float | None) -> str:
    """A duration for people."""
    return "" if seconds is None else format_duration(seconds)


def rough(seconds: float) -> str:
    """A guess for people, which is no more exact than it looks."""
    return (
        f"{math.ceil(seconds)}s" if seconds < 60 else format_duration(60 * math.ceil(seconds / 60)).removesuffix(" 0s")
    )
