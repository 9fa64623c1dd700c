"""This is the room for reading durations that people write, such as ``90s``, ``10m`` or ``7d``."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_525)
"""A hundred years: more is a slip of the finger, and past what PostgreSQL's calendar can add."""
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def parse_duration(text: str) -> timedelta | None:
    """Return the timedelta that ``<digits><s|m|h|d|w>`` means, or None for another text or more than a hundred years."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        return None
    return duration if duration <= LONGEST else None


def parse_instant(text: str) -> datetime | None:
    """Return the aware datetime that an ISO 8601 text means (UTC when it names no zone), or None.

    PostgreSQL takes years 1 to 9999 as Python does; an offset that leaves this range counts as unreadable.
    """
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
