"""What is written where PostgreSQL refuses the real thing: something smaller, once or twice, and then nothing."""

from uuid import UUID

import pytest

from owlrunner.errors import StatementFailed
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.runtime.outgoing import (
    OutgoingLine,
    OutgoingOutcome,
    OutgoingProgress,
    readable_line,
    size_of_line,
    size_of_outcome,
    size_of_progress,
    smaller_outcome,
)
from owlrunner.storage.attempts import FinishedAttempt

REFUSED = StatementFailed("no such thing", transient=False)
RUN, SERVER = UUID(int=1), UUID(int=2)


def outcome(result: str | None = None, progress: str | None = None, error: str | None = None) -> OutgoingOutcome:
    """A run that has completed."""
    ended = Outcome(RunStatus.COMPLETED, error=error)
    return OutgoingOutcome(SERVER, FinishedAttempt(RUN, 3, ended, result, progress), is_limited=True)


def test_an_outcome_is_written_without_its_result_then_as_a_failure_then_not() -> None:
    """First the result says why it is not there, then the run has failed with a sentence; there is no third try."""
    first = smaller_outcome(outcome('{"a":1}', '{"b":2}'), REFUSED)
    assert first is not None
    assert (first.finished.outcome.status, first.finished.result, first.finished.progress) == (
        RunStatus.COMPLETED,
        '{"unstorable":"no such thing"}',
        None,
    )
    second = smaller_outcome(first, REFUSED)
    assert second is not None
    assert (second.server_id, second.is_limited) == (SERVER, True)
    assert second.finished == FinishedAttempt(
        RUN,
        3,
        Outcome(RunStatus.FAILED, error="The run ended as completed, but its outcome could not be stored"),
        None,
        None,
    )
    assert smaller_outcome(second, REFUSED) is None


def test_no_result_stays_none() -> None:
    """A run without a result does not get one that tells of a lost one."""
    first = smaller_outcome(outcome(progress="{}"), REFUSED)
    assert first is not None
    assert (first.finished.result, first.finished.progress) == (None, None)


def test_a_line_that_is_refused_says_so_once() -> None:
    """In its place stands why it is missing, in OwlRunner's name; where that is refused too there is nothing."""
    line = OutgoingLine(SERVER, RUN, 1, LogLine(7, 1.5, "info", "acme", "bad"))
    told = readable_line(line, REFUSED)
    assert told == OutgoingLine(
        SERVER, RUN, 1, LogLine(7, 1.5, "info", "owlrunner", "(a line that could not be stored: no such thing)")
    )
    assert told is not None
    assert readable_line(told, REFUSED) is None


@pytest.mark.parametrize(
    ("one", "size"),
    [(outcome(), 200), (outcome("ab"), 202), (outcome(progress="abc"), 203), (outcome(error="abcd"), 204)],
)
def test_the_size_of_an_outcome(one: OutgoingOutcome, size: int) -> None:
    """Whatever may be long counts: result, progress and error."""
    assert size_of_outcome(one) == size


@pytest.mark.parametrize(("text", "size"), [("", 100), ("abc", 106)])
def test_the_size_of_a_text(text: str, size: int) -> None:
    """A line and a progress count with their message, each character of which may become two bytes."""
    assert size_of_line(OutgoingLine(SERVER, RUN, 1, LogLine(7, 1.5, "info", "acme", text))) == size
    assert size_of_progress(OutgoingProgress(SERVER, RUN, 1, Progress(1, 2, text), kept=False)) == size
