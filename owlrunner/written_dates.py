"""Read the forms of dates that clients of OwlMetry send besides ISO 8601: what JavaScript writes, and what people type there.

All of them mean UTC where they name no zone.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from owlrunner.durations import parse_instant

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LOOSE_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", re.ASCII)
_MONTH_FIRST = re.compile(r"(?:[a-z]{3,9},? )?([a-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})", re.ASCII | re.IGNORECASE)
_DAY_FIRST = re.compile(r"(?:[a-z]{3,9},? )?(\d{1,2}) ([a-z]{3})[a-z]*\.? (\d{4})", re.ASCII | re.IGNORECASE)


def parse_date(text: str) -> datetime | None:
    """Return what a text means: ISO 8601, ``2026-3-1``, ``Mar 28 2026``, ``28 March 2026``, or a date of RFC 1123; else None."""
    return parse_instant(text) or _of_day(text) or _of_mail(text)


def _of_day(text: str) -> datetime | None:
    if match := _LOOSE_ISO.fullmatch(text):
        year, month, day = match.groups()
    elif match := _MONTH_FIRST.fullmatch(text):
        named, day, year = match.groups()
        month = _number_of(named)
    elif match := _DAY_FIRST.fullmatch(text):
        day, named, year = match.groups()
        month = _number_of(named)
    else:
        return None
    try:
        return datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None


def _number_of(month: str) -> str:
    return str(_MONTHS.index(month.lower()) + 1) if month.lower() in _MONTHS else "0"


def _of_mail(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, IndexError):
        return None
