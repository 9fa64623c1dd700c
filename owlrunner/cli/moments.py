"""This is the room for times and spans on the command line."""

from datetime import datetime, timedelta
from typing import Any

import click

from owlrunner.durations import parse_duration, parse_instant

YEARS = range(1970, 3000)
"""A time at the very end of the calendar could not be shown in every zone."""


class Instant(click.ParamType[datetime]):
    """An ISO 8601 time; UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        instant = value if isinstance(value, datetime) else parse_instant(str(value))
        if instant is None:
            self.fail(f"expected an ISO 8601 time such as 2026-03-28 or 2026-03-28T20:00Z, got {value!r}", param, ctx)
        if instant.year not in YEARS:
            self.fail(f"expected a time in the years {YEARS[0]} to {YEARS[-1]}, got {value!r}", param, ctx)
        return instant


class Since(click.ParamType[datetime | timedelta]):
    """An ISO 8601 time, or a span before now."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """Read it."""
        span = parse_duration(str(value))
        found = span if span is not None else parse_instant(str(value))
        if found is None:
            self.fail(f"expected an ISO 8601 time or a span such as 30m, 12h, 7d, got {value!r}", param, ctx)
        return found


class Span(click.ParamType[timedelta]):
    """A span such as 20m."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        span = value if isinstance(value, timedelta) else parse_duration(str(value))
        if span is None:
            self.fail(f"expected a span such as 30s, 20m or 2h, got {value!r}", param, ctx)
        return span


class NamedSpan(click.ParamType[tuple[str, timedelta]]):
    """``name=20m``."""

    name = "name=span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, timedelta]:
        """Split and read it."""
        name, _, span = str(value).partition("=")
        found = parse_duration(span)
        if not name or found is None:
            self.fail(f"expected a job type and a span, such as db_pruning=20m, got {value!r}", param, ctx)
        return name, found
