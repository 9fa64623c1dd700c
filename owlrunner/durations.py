"""This is the room for reading durations that people write, such as ``90s``, ``10m`` or ``7d``."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def parse_duration(text: str) -> timedelta | None:
    """Return the timedelta that ``<digits><s|m|h|d|w>`` means, or None when the text is something else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        return None


def parse_instant(text: str) -> datetime | None:
    """Return the aware datetime that an ISO 8601 text means (UTC when it names no zone), or None.

    PostgreSQL takes years 1 to 9999 as Python does; an offset that leaves this range counts as unreadable.
    """
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
