"""Dates as JavaScript and people write them."""

from datetime import UTC, datetime

import pytest

from owlrunner.written_dates import parse_date

DAY = datetime(2026, 3, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-03-28", "2026-3-28", "2026/3/28", "2026-03-28T02:00:00+02:00"),
        *("Mar 28 2026", "mar 28, 2026", "March 28, 2026", "Sat Mar 28 2026", "Saturday, March 28 2026"),
        *("28 Mar 2026", "28 March 2026", "Sat, 28 Mar 2026"),
        *("Sat, 28 Mar 2026 00:00:00 GMT", "Sat, 28 Mar 2026 02:00:00 +0200", "28 Mar 2026 00:00:00"),
    ],
)
def test_a_day_in_many_forms(text: str) -> None:
    """Each means the same instant; without a zone it is in UTC."""
    assert parse_date(text) == DAY


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "yesterday",
            "2026-13-1",
            "2026-2-30",
            "0-1-1",
            "Smarch 28 2026",
            "Mar 32 2026",
            "28 2026",
            "Mar 28",
            "1 2 3",
        ),
        *(
            "Sat, 28 Mar 2026 99:00:00 GMT",
            "Fri, 31 Dec 9999 23:00:00 -0200",
            "\u0661\u0662 Mar 2026",
            "Mar 28 2026 at noon",
        ),
    ],
)
def test_what_is_no_date(text: str) -> None:
    """What has no month or no such day, and what lies outside of the calendar, is not guessed at."""
    assert parse_date(text) is None
