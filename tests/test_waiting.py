"""What an active run waits for, and how that reads."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest

from owlrunner.job_run import JobRun, RunStatus, percent_of
from owlrunner.waiting import Reason, Surroundings, Wait, failure_of, wait_of

NOW = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)
ALONE = Surroundings(NOW)

PENDING = JobRun(
    id=UUID(int=1),
    job_type="greet",
    status=RunStatus.PENDING,
    team_id=None,
    project_id=None,
    triggered_by="operator",
    params=None,
    progress=None,
    result=None,
    error=None,
    notify=False,
    started_at=None,
    completed_at=None,
    created_at=NOW,
    run_at=NOW,
    priority=0,
    attempt=0,
    max_attempts=1,
    server_id=None,
    cancel_requested_at=None,
    cancelled_by=None,
)
RUNNING = attrs.evolve(PENDING, status=RunStatus.RUNNING, started_at=NOW, attempt=1, server_id=UUID(int=2))
BETWEEN = attrs.evolve(PENDING, attempt=2, max_attempts=3, run_at=NOW + timedelta(seconds=16))


def words(run: JobRun, around: Surroundings = ALONE, cancelled_by: str = "") -> str:
    """What it waits for, as a line."""
    wait = wait_of(run, around, cancelled_by)
    return "" if wait is None else wait.words(NOW)


def test_a_run_that_is_due_later_says_when() -> None:
    """A pending run whose time has not come says that it is scheduled, and in how long it is due."""
    assert words(attrs.evolve(PENDING, run_at=NOW + timedelta(hours=1, minutes=52))) == "scheduled, due in 1h 52m"


@pytest.mark.parametrize(
    ("logged", "told"),
    [
        (
            "attempt 2 failed\nTraceback (most recent call last):\n  File x\n    y()\nOSError: gone",
            "failed: OSError: gone",
        ),
        ("attempt 2 timed out after 5 seconds", "timed out after 5 seconds"),
        (None, "failed"),
    ],
)
def test_a_run_between_attempts_says_why_and_when(logged: str | None, told: str) -> None:
    """A run that is tried again says which attempt failed, with which error, and when the next one begins."""
    around = attrs.evolve(ALONE, last_error=logged)
    assert words(BETWEEN, around) == f"retrying, attempt 2 of 3 {told}; again in 16s"


def test_a_due_run_says_which_server_it_lacks() -> None:
    """A due run waits for room, for a server that offers its job type, or for any server at all."""
    assert words(PENDING) == "waiting for a server with room"
    not_offered = attrs.evolve(ALONE, is_offered=False)
    assert words(PENDING, not_offered) == "waiting, no living server offers greet"
    assert words(PENDING, attrs.evolve(not_offered, is_server_alive=False)) == "waiting, no server is alive"


def test_a_cancelling_run_says_who_asked_and_when() -> None:
    """A running run whose cancel was requested names who did, and how long ago."""
    asked = attrs.evolve(RUNNING, cancel_requested_at=NOW - timedelta(seconds=4), cancelled_by="x")
    assert words(asked, cancelled_by="mia@acme.test") == "cancelling, asked by mia@acme.test, 4s ago"


def test_a_run_of_a_silent_server_says_so() -> None:
    """A running run whose server let its lease run out says so, whatever else is so."""
    lapsed = NOW - timedelta(minutes=2)
    around = attrs.evolve(ALONE, server="barn", is_server_silent=True, lease_ran_out_at=lapsed)
    told = "no sign of life, its server barn has not been heard of, its lease ran out 2m ago"
    assert words(RUNNING, around) == told
    assert words(attrs.evolve(RUNNING, cancel_requested_at=NOW), around) == told


def test_what_runs_or_has_ended_waits_for_nothing() -> None:
    """Nothing is said of a run that simply runs, nor of one that has ended."""
    ended = attrs.evolve(RUNNING, status=RunStatus.FAILED, error="x", completed_at=NOW, cancel_requested_at=NOW)
    assert (words(RUNNING), words(ended)) == ("", "")


def test_words_without_a_clock_have_absolute_times() -> None:
    """Where words must not change from look to look, they name the time itself."""
    assert Wait(Reason.SCHEDULED, until=NOW).words(None) == "scheduled, due at 2026-03-28 20:00:00Z"


def test_it_reads_the_same_from_json() -> None:
    """What the API tells reads like what the server decided; a reason of a newer server is shown as it is called."""
    told: dict[str, Any] = {"reason": "retry", "detail": "attempt 1 of 2 failed", "until": "2026-03-28T20:00:09.000Z"}
    wait = Wait.from_json(told)
    assert wait is not None
    assert wait.words(NOW) == "retrying, attempt 1 of 2 failed; again in 9s"
    newer = Wait.from_json({"reason": "full_moon", "detail": "in Leo", "until": None, "since": None})
    assert newer is not None
    assert newer.words(NOW) == "full moon, in Leo"
    assert Wait.from_json(None) is None


@pytest.mark.parametrize(
    ("logged", "told"),
    [
        (
            "attempt 1 was interrupted: Server shut down during execution",
            "was interrupted: Server shut down during execution",
        ),
        ("Server restarted during execution", "failed: Server restarted during execution"),
        (
            "attempt 1 failed\nTraceback (most recent call last):\n  File x\nValueError: two\nlines",
            "failed: ValueError: two",
        ),
        (
            "attempt 1 failed\n  + Exception Group Traceback:\n  |   File\n  | ExceptionGroup: many (2 sub-exceptions)\n  +-+-- 1",
            "failed: ExceptionGroup: many (2 sub-exceptions)",
        ),
        (f"x\n  y\nE: {'o' * 300}", f"failed: E: {'o' * 196}…"),
    ],
)
def test_how_an_attempt_ended_is_one_line(logged: str, told: str) -> None:
    """Of what stands in the log, the exception or the sentence is told, on one line of bounded length."""
    assert failure_of(logged) == told


def test_a_percentage_is_rounded_down() -> None:
    """100 is said only of what is complete, and nothing where the total is not known."""
    shares = [(28, 352), (351, 352), (352, 352), (5, 0), (9, 8)]
    assert [percent_of(*share) for share in shares] == [7, 99, 100, None, 100]
