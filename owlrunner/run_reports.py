"""What the door answers with where a run alone is not enough."""

from datetime import timedelta

import attrs

from owlrunner.job_run import JobRun
from owlrunner.storage.job_runs import Cursor, EarlierAttempt, ProgressAt, StoredLogLine
from owlrunner.storage.overview import Activity, StoredNotification, Typical
from owlrunner.storage.seen_runs import SeenRun


@attrs.frozen
class Page:
    """Some runs, newest first, and where to go on."""

    runs: list[JobRun]
    next: Cursor | None


@attrs.frozen
class AboutRun:
    """One run with what stands around it."""

    seen: SeenRun
    server: str | None
    """The name of the server that holds it, or held it last, as long as it is on record."""
    notifications: list[StoredNotification]
    pace: list[ProgressAt]
    """How its last attempt came along."""
    earlier: list[EarlierAttempt]
    """The attempts before."""
    lines: list[StoredLogLine]
    """Of its log, in order."""
    is_log_searched: bool
    """Whether the whole log was searched for them, not only its newest lines."""

    @property
    def run(self) -> JobRun:
        """The run itself."""
        return self.seen.run


@attrs.frozen
class LookBack:
    """What became of the runs of a span before now, in so many steps."""

    span: timedelta
    steps: int
    activity: list[Activity]
    typical: list[Typical]
