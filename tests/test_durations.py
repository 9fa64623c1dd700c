"""Durations as people read them."""

import pytest

from owlrunner.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0ms"),
        (0.0004, "0ms"),
        (0.25, "250ms"),
        (0.9996, "1.0s"),
        (59.94, "59.9s"),
        (59.96, "1m 0s"),
        (119.99, "2m 0s"),
        (3599.99, "1h 0m"),
        (90061, "25h 1m"),
    ],
)
def test_rounding_carries_over(seconds: float, text: str) -> None:
    """There is no 1000ms, no 60.0s and no 1m 60s."""
    assert format_duration(seconds) == text
