"""How fast a run comes along: its curve, and what is left."""

from datetime import UTC, datetime, timedelta

import pytest

from owlrunner.storage.job_runs import ProgressAt
from owlrunner.web.dashboard.pace import HEIGHT, WIDTH, Pace

START = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)


def at(seconds: float, processed: int, total: int = 100) -> ProgressAt:
    """How far it was after so many seconds."""
    return ProgressAt(START + timedelta(seconds=seconds), processed, total)


def test_an_even_pace() -> None:
    """What did half in ten seconds needs ten more."""
    assert Pace.of(START, [at(5, 25)], at(10, 50)).seconds_left == pytest.approx(10)


def test_a_pace_that_has_changed() -> None:
    """The last third counts: a run that has become slow is not promised to end as if it were quick."""
    kept = [at(10, 80), at(20, 82), at(30, 84)]
    assert Pace.of(START, kept, at(30, 84)).seconds_left == pytest.approx(16 * 10 / 2)


@pytest.mark.parametrize(
    "latest",
    [at(10, 5, total=0), at(10, 100), at(1, 50), at(10, 0)],
    ids=["total not known", "done", "too soon", "nothing yet"],
)
def test_nothing_is_foretold_that_is_not_known(latest: ProgressAt) -> None:
    """Without a total, at the end, in the first seconds, and where nothing moves, no time is told."""
    assert Pace.of(START, [], latest).seconds_left is None


def test_a_curve_from_corner_to_corner() -> None:
    """The curve begins at nothing on the left and ends on the right, as high as the share that is done."""
    points = Pace.of(START, [at(5, 75)], at(10, 100)).curve.split()
    assert points == [f"0.0,{HEIGHT}.0", f"{WIDTH / 2},{HEIGHT / 4}", f"{WIDTH}.0,0.0"]


def test_no_curve_of_one_point() -> None:
    """A run that has told nothing, or only once, has no curve."""
    assert Pace.of(START, [], None).curve == ""
    assert Pace.of(START, [], at(3, 10)).curve == ""
    assert Pace.of(START, [at(1, 0, 0)], at(3, 0, 0)).curve == ""
