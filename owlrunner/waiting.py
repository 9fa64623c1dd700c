"""What an active run waits for: decided once, for the API, the pages and the command line.

A pending run waits for its time, its next attempt or a server; a running one may wait for its handler to leave after a cancel
request, or for a sign of life from its server. A run that does what it should, or has ended, waits for nothing.
"""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

import attrs

from owlrunner.durations import format_age, format_whole_seconds, parse_instant
from owlrunner.job_run import JobRun, RunStatus

LONGEST_ERROR = 200
"""How many characters of the last attempt's error are shown."""


class Reason(enum.StrEnum):
    """What a run waits for."""

    SCHEDULED = "scheduled"
    RETRY = "retry"
    QUEUE = "queue"
    NO_SERVER = "no_server"
    NO_SERVER_FOR_JOB_TYPE = "no_server_for_job_type"
    NO_SERVER_FOR_PARAMS = "no_server_for_params"
    CANCEL = "cancel"
    SILENT_SERVER = "silent_server"


@attrs.frozen
class _Words:
    """How a reason reads: what comes first, and what stands before its time."""

    lead: str
    before_until: str = ""
    before_since: str = ""


_WORDS: Mapping[str, _Words] = {
    Reason.SCHEDULED: _Words("scheduled", before_until="due"),
    Reason.RETRY: _Words("retrying", before_until="again"),
    Reason.QUEUE: _Words("waiting for a server with room"),
    Reason.NO_SERVER: _Words("waiting"),
    Reason.NO_SERVER_FOR_JOB_TYPE: _Words("waiting"),
    Reason.NO_SERVER_FOR_PARAMS: _Words("waiting"),
    Reason.CANCEL: _Words("cancelling"),
    Reason.SILENT_SERVER: _Words("no sign of life", before_since="its lease ran out"),
}


@attrs.frozen
class Wait:
    """What one run waits for. ``detail`` says more about it; ``until`` is when that is over by itself, ``since`` when it began."""

    reason: str
    """A Reason, or one that a newer server knows."""
    detail: str = ""
    until: datetime | None = None
    since: datetime | None = None

    @classmethod
    def from_json(cls, told: Mapping[str, Any] | None) -> Self | None:
        """Return what the API's ``waiting_for`` says."""
        if told is None:
            return None
        until, since = (parse_instant(told[key]) if told.get(key) else None for key in ("until", "since"))
        return cls(str(told.get("reason")), str(told.get("detail") or ""), until, since)

    @property
    def lead(self) -> str:
        """The reason in a word or two."""
        known = _WORDS.get(self.reason)
        return known.lead if known is not None else self.reason.replace("_", " ")

    @property
    def before_time(self) -> str:
        """What stands before the time, such as *due*."""
        known = _WORDS.get(self.reason, _Words(""))
        return known.before_until if self.until is not None else known.before_since

    @property
    def separator(self) -> str:
        """What stands before all that is about the time."""
        # What a handler raised may have commas of its own.
        return "; " if self.reason == Reason.RETRY and self.detail else ", "

    def words(self, now: datetime | None) -> str:
        """Return all of it as one line, such as ``scheduled, due in 1h 52m``; with ``now`` None, times are absolute."""
        text = ", ".join(part for part in (self.lead, self.detail) if part)
        time = _time_words(self.until, self.since, now)
        return f"{text}{self.separator}{f'{self.before_time} {time}'.lstrip()}" if time else text


def _time_words(until: datetime | None, since: datetime | None, now: datetime | None) -> str:
    time = until if until is not None else since
    if time is None:
        return ""
    if now is None:
        return f"at {time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    seconds = (time - now).total_seconds()
    if until is not None:
        return f"in {format_whole_seconds(seconds)}"
    return f"{format_age(-seconds)} ago"


@attrs.frozen
class Surroundings:
    """What stands around an active run, as the database knew it when its time was ``now``."""

    now: datetime
    is_server_alive: bool = True
    """Any server at all."""
    is_offered: bool = True
    """Whether a living server offers the run's job type."""
    is_readable: bool = True
    """Whether a living server that offers it can read its params, or has not tried yet."""
    last_error: str | None = None
    """The last line of trouble in the log of the attempt before."""
    server: str | None = None
    """The name of the server that holds it."""
    is_server_silent: bool = False
    """Whether that server's lease has run out while it holds the run."""
    lease_ran_out_at: datetime | None = None


def wait_of(run: JobRun, around: Surroundings, cancelled_by: str = "") -> Wait | None:
    """Decide what the run waits for; None for a run that has ended, or that simply runs."""
    if run.status is RunStatus.PENDING:
        return _pending(run, around)
    if run.status is not RunStatus.RUNNING:
        return None
    if around.is_server_silent:
        return Wait(Reason.SILENT_SERVER, _silent(around.server), since=around.lease_ran_out_at)
    if run.cancel_requested_at is not None:
        return Wait(Reason.CANCEL, f"asked by {cancelled_by}" if cancelled_by else "", since=run.cancel_requested_at)
    return None


def _pending(run: JobRun, around: Surroundings) -> Wait:
    if run.run_at > around.now:
        if not run.attempt:
            return Wait(Reason.SCHEDULED, until=run.run_at)
        failure = failure_of(around.last_error)
        return Wait(Reason.RETRY, f"attempt {run.attempt} of {run.max_attempts} {failure}", until=run.run_at)
    if not around.is_server_alive:
        return Wait(Reason.NO_SERVER, "no server is alive")
    if not around.is_offered:
        return Wait(Reason.NO_SERVER_FOR_JOB_TYPE, f"no living server offers {run.job_type}")
    if not around.is_readable:
        # Another version of the plugin wrote them; the log has the complaint.
        return Wait(Reason.NO_SERVER_FOR_PARAMS, f"no living server can read its params for {run.job_type}")
    return Wait(Reason.QUEUE)


def _silent(server: str | None) -> str:
    return f"its server {server} has not been heard of" if server else "its server is gone"


_ATTEMPT = re.compile(r"attempt \d+ (timed out after .*|was interrupted: .*)")


def failure_of(logged: str | None) -> str:
    """Say in a line how an attempt ended, from what stands in its log: a sentence, or a traceback with the exception at its end."""
    lines = (logged or "").strip().splitlines()
    if not lines:
        return "failed"
    told = _ATTEMPT.fullmatch(lines[0])
    if told is not None:
        return told[1]
    # A traceback is indented; the exception and its message follow.
    last_indented = max((at for at, line in enumerate(lines) if line.startswith(" ")), default=-1)
    end = lines[last_indented + 1 :] or [_of_group(lines)]
    error = " ".join(end[0].split())
    return f"failed: {error if len(error) <= LONGEST_ERROR else f'{error[: LONGEST_ERROR - 1]}…'}"


def _of_group(lines: list[str]) -> str:
    """The first exception of a group's traceback, which is indented as a whole."""
    bare = [line.strip(" |+-") for line in lines]
    return next((line for line in bare if re.match(r"[\w.]+(: | \()", line) and "Traceback" not in line), lines[0])
