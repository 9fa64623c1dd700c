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
from owlrunner.storage.seen_runs import SeenRun
from owlrunner.waiting import Reason, Wait


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

    seen: SeenRun
    label: str
    project: str
    own: str
    """How the visitor stands with runs of their own."""

    @property
    def run(self) -> JobRun:
        """The run itself."""
        return self.seen.run

    @property
    def now(self) -> datetime:
        """When this was so."""
        return self.seen.now

    @property
    def wait(self) -> Wait | None:
        """What it waits for."""
        return self.seen.wait

    @property
    def who(self) -> str:
        """Who started it."""
        return who_of(self.run.triggered_by, self.seen.triggered_by, self.own)

    @property
    def who_cancelled(self) -> str:
        """Who asked for it to be cancelled."""
        return who_of(self.run.cancelled_by or "", self.seen.cancelled_by or "", self.own)

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
    def is_silent(self) -> bool:
        """Whether its server has not been heard of, so that nobody knows how it is."""
        return self.wait is not None and self.wait.reason == Reason.SILENT_SERVER

    @property
    def seconds(self) -> float | None:
        """How long it ran, or is known to have been running; of several attempts, the last one."""
        if self.run.started_at is None or self.run.status is RunStatus.PENDING:
            return None
        silent_since = self.wait.since if self.wait is not None and self.is_silent else None
        end = self.run.completed_at or silent_since or self.now
        return max(0.0, (end - self.run.started_at).total_seconds())

    @property
    def progress(self) -> ProgressShown | None:
        """How far it has come, if it told."""
        told = self.run.progress
        # What the attempt before had done says nothing about the next one.
        if not isinstance(told, Mapping) or self.run.status is RunStatus.PENDING:
            return None
        return ProgressShown(int(told.get("processed", 0)), int(told.get("total", 0)), str(told.get("message", "")))


def label_of(catalog: Catalog, job_type: str) -> str:
    """What people call a job type; its name where no plugin offers it any more."""
    known = catalog.job_types.get(job_type)
    return known.label if known is not None else job_type


def who_of(stored: str, name: str, own: str) -> str:
    """Who started or cancelled a run: *you*, or a name. ``name`` is the stored text where nobody is known by it."""
    if stored == own:
        return "you"
    if stored in {"schedule", "operator"}:
        return f"the {stored}"
    if stored.startswith("webhook:"):
        return f"a webhook of {stored.removeprefix('webhook:')}"
    if name == stored:
        return {"manual:user": "a user who is gone", "manual:api_key": "a key that is gone"}.get(
            stored.rpartition(":")[0], stored
        )
    return name


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
