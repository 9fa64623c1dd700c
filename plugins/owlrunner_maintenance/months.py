"""This is the room for months: where they begin and end in UTC, and which parts of one no partition covers yet.

Nothing here asks for a clock or a time zone: the database says what time it is, and a month is one of UTC everywhere.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, Self


class Span(NamedTuple):
    """A stretch of time: its start belongs to it, its end does not."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Span") -> bool:
        """Whether there is a moment that belongs to both."""
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        """As people read it: both ends, in UTC."""
        return f"{as_bound(self.start)} to {as_bound(self.end)}"


class Month(NamedTuple):
    """A month of UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The month that a moment lies in."""
        in_utc = moment.astimezone(UTC)
        return cls(in_utc.year, in_utc.month)

    def plus(self, months: int) -> "Month":
        """The month so many later, or earlier."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def span(self) -> Span:
        """From its first moment to the next month's."""
        return Span(self.start, self.plus(1).start)

    def __str__(self) -> str:
        """As names of partitions have it: ``2026_08``."""
        return f"{self.year:04}_{self.month:02}"


def gaps(wanted: Span, covered: Iterable[Span]) -> list[Span]:
    """The parts of ``wanted`` that are in none of ``covered``, in order."""
    found = []
    start = wanted.start
    for span in sorted(span for span in covered if span.overlaps(wanted)):
        if start < span.start:
            found.append(Span(start, span.start))
        start = max(start, span.end)
    if start < wanted.end:
        found.append(Span(start, wanted.end))
    return found


def instant(moment: datetime) -> str:
    """A moment as results tell it, and as the API writes times: UTC with a Z, cut to milliseconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def as_instant(text: str) -> str:
    """A value that PostgreSQL has written, told likewise; a day without a time, or what is no time, stays what it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if len(text) <= len("2024-05-01") else instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def as_bound(moment: datetime) -> str:
    """A moment as a partition's bound, with its zone: without one it would mean another moment in each session.

    Columns of type ``date`` and ``timestamp`` drop the zone, which leaves them the time in UTC.
    """
    return moment.astimezone(UTC).isoformat(sep=" ")
