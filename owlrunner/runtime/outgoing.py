"""What waits to be written about attempts: log lines, progress and outcomes, and what to write where PostgreSQL refuses one."""

import logging
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from owlrunner.errors import StatementFailed
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.runtime.results import unstorable
from owlrunner.storage.attempts import FinishedAttempt

logger = logging.getLogger(__name__)


class OutgoingLine(NamedTuple):
    """One line of an attempt's log."""

    server_id: UUID
    run_id: UUID
    attempt: int
    line: LogLine


class OutgoingProgress(NamedTuple):
    """The progress of an attempt that was the latest when it was taken, and whether it is kept for good."""

    server_id: UUID
    run_id: UUID
    attempt: int
    progress: Progress
    kept: bool


class OutgoingOutcome(Struct, frozen=True):
    """How an attempt ended."""

    server_id: UUID
    finished: FinishedAttempt
    is_limited: bool
    """Whether the end makes room for another run of a job type with max_running."""
    reduced: int = 0
    """How often something was taken out because PostgreSQL refused it."""


def size_of_line(one: OutgoingLine) -> int:
    """About how many bytes it is as JSON."""
    return 100 + len(one.line.message) * 2


def size_of_progress(one: OutgoingProgress) -> int:
    """About how many bytes it is as JSON."""
    return 100 + len(one.progress.message) * 2


def size_of_outcome(one: OutgoingOutcome) -> int:
    """About how many bytes it is as JSON."""
    finished = one.finished
    return 200 + len(finished.result or "") + len(finished.progress or "") + len(finished.outcome.error or "")


def readable_line(one: OutgoingLine, error: StatementFailed) -> OutgoingLine | None:
    """A line that says why the real one is not there; None where that is refused too."""
    text = f"(a line that could not be stored: {error})"
    return None if one.line.message == text else one._replace(line=one.line._replace(logger="owlrunner", message=text))


def smaller_outcome(one: OutgoingOutcome, error: StatementFailed) -> OutgoingOutcome | None:
    """The outcome without what may have been refused: first without its result and progress, then as a failure of a few words."""
    finished = one.finished
    if one.reduced == 0:
        logger.error("the result of run %s could not be stored: %s", finished.id, error)
        result = None if finished.result is None else unstorable(str(error))
        return replace(one, finished=replace(finished, result=result, progress=None), reduced=1)
    if one.reduced == 1:
        message = f"The run ended as {finished.outcome.status}, but its outcome could not be stored"
        failed = Outcome(RunStatus.FAILED, error=message)
        return replace(one, finished=FinishedAttempt(finished.id, finished.attempt, failed, None, None), reduced=2)
    return None
