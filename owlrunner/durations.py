"""This is the room for durations as people write and read them, such as ``90s``, ``10m`` or ``7d``."""

import math
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


def format_duration(seconds: float) -> str:
    """A duration for people: ``250ms``, ``19.3s``, ``4m 2s``, ``3h 20m``."""
    # The clocks of two machines may disagree a little.
    milliseconds = max(0, round(seconds * 1000))
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    tenths = round(milliseconds / 100)
    if tenths < 600:
        return f"{tenths / 10:.1f}s"
    minutes, rest = divmod(tenths // 10, 60)
    return f"{minutes}m {rest}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60}m"


def format_whole_seconds(seconds: float) -> str:
    """A duration for people that changes while they look: ``19s``, ``4m 2s``, ``3h 20m``, ``2d 4h``."""
    whole = max(0, math.floor(seconds))
    for size, unit, smaller, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller}{small_unit}"
    return f"{whole}s"


def format_age(seconds: float) -> str:
    """How long ago something was, no more exact than anybody asks: ``19s``, ``4m``, ``3h``, ``2d``."""
    return format_whole_seconds(seconds).partition(" ")[0]
