"""This is the room for what a cron expression means: at which instants it fires, in any time zone, across changes of the clock.

The rule at such a change is Vixie cron's as Debian has it, told with examples in docs/explanation/clock-changes.md.
"""

import difflib
import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import attrs
import cron_descriptor  # type: ignore[import-untyped]
from croniter import croniter  # type: ignore[import-untyped]

NICKNAMES: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Short names with the five fields that they stand for."""

_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
_ITEM = re.compile(r"(?P<low>\*|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?", re.ASCII)
_EXTENSION = re.compile(r"[?#]|\b(\d*[LW]+\d*|[HR])\b", re.ASCII | re.IGNORECASE)
# ZoneInfo opens these, but the first two are another zone on each machine, and clocks under right/ count leap seconds.
_NO_ZONE = re.compile(r"localtime|posixrules|(posix|right)/.*")


class InvalidCron(ValueError):
    """The expression or the zone cannot be used; ``str()`` names the field, what is wrong and what to write instead."""


@attrs.frozen
class _Field:
    """One of the five fields: its name, its bounds, and the names that its values have."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        """The values that ``text`` stands for."""
        items = text.split(",")
        if "*" in items[1:] or (items[0] == "*" and len(items) > 1):
            raise InvalidCron(f'{self.name} "{text}" has a star among others, which makes them pointless; write *')
        return set().union(*(self._item(item) for item in items))

    def _item(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None or (match["low"] == "*" and match["high"]):
            raise InvalidCron(self._unreadable(item))
        step = int(match["step"] or 1)
        low, high = self.low, self.high
        if match["low"] != "*":
            low = self._value(match["low"])
            high = self._value(match["high"]) if match["high"] else low
            if match["step"] and not match["high"]:
                # Some crons read it as a range to the end, some drop the step, Debian's refuses it.
                raise InvalidCron(
                    f'{self.name} "{item}" has a step but no range; write {match["low"]}-{self.high}/{step}'
                )
        if low > high:
            raise InvalidCron(f'{self.name} "{item}" runs backwards; write it as two ranges')
        if not 1 <= step <= self.high - self.low + 1:
            # cron would take */90 minutes for "at minute 0", which nobody means who writes it.
            raise InvalidCron(f'{self.name} "{item}" has a step outside 1 to {self.high - self.low + 1}')
        return range(low, high + 1, step)

    def _value(self, text: str) -> int:
        if text.upper() in self.names:
            return self.names.index(text.upper()) + self.low
        if not text.isdigit():
            raise InvalidCron(self._unreadable(text))
        if len(text) > 2 or not self.low <= int(text) <= self.high:
            raise InvalidCron(f'{self.name} "{text}" is not within {self.low} to {self.high}')
        return int(text)

    def _unreadable(self, text: str) -> str:
        if _EXTENSION.search(text):
            return f'{self.name} "{text}": L, W, #, ?, H and R are extensions of other crons and mean nothing here'
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f'{self.name} "{text}" cannot be read; write *, numbers {self.low} to {self.high}{names}, a-b, */n, a-b/n or a list'


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    _Field("day of week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


@attrs.frozen
class Cron:
    """A cron expression in a time zone. Made by ``Cron.parse``."""

    expression: str
    """As it was written."""
    timezone: str
    """An IANA name."""
    fixed_time: bool
    """Neither minute nor hour begin with a star: such an entry fires once per local day and time, whatever the clock does.
    Any other follows elapsed time: it fires whenever the local clock shows a matching minute."""
    _zone: ZoneInfo = attrs.field(repr=False)
    _stepper: croniter = attrs.field(repr=False, eq=False)
    """Read once, which takes it a millisecond. It may be shared: nothing of one step is needed for the next."""

    @classmethod
    def parse(cls, expression: str, timezone: str = "UTC") -> "Cron":
        """Read five classic fields, or one of NICKNAMES, to be understood on the clocks of ``timezone``.

        Raises InvalidCron, also for an expression that would never fire.
        """
        try:
            texts = _five(expression)
            values = [field.values(text) for field, text in zip(_FIELDS, texts, strict=True)]
        except InvalidCron as problem:
            raise InvalidCron(f'cron "{expression}": {problem}') from None
        minute, hour, day_of_month, _, day_of_week = texts
        cron = cls(
            expression=expression,
            timezone=timezone,
            fixed_time=not minute.startswith("*") and not hour.startswith("*"),
            zone=_zone(timezone),
            stepper=croniter(
                # Spelt out, because croniter reads 5-5 as "all", 1/2 and fri-mon in its own way, and knows more than five fields.
                # Sunday may stay 7.
                " ".join(",".join(map(str, sorted(numbers))) for numbers in values),
                ret_type=datetime,
                # Two restricted day fields mean either; one that begins with a star, even */2, means both. Odd, and the standard.
                day_or=not day_of_month.startswith("*") and not day_of_week.startswith("*"),
            ),
        )
        if cron._match(datetime(2000, 1, 1)) is None:  # noqa: DTZ001  local time has no zone here
            raise InvalidCron(
                f'cron "{expression}": never fires, because month "{texts[3]}" has no day of month "{texts[2]}"'
            )
        return cron

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Fire times strictly after ``instant`` (aware), in UTC, ascending, computed as they are asked for.

        They end with the calendar, in the year 9999. Raises ValueError for a naive instant.
        """
        if instant.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, got {instant}")
        # No fire has a part of a second, so that dropping it changes nothing.
        instant = instant.astimezone(UTC).replace(microsecond=0)
        return _to_the_end(self._per_day(instant) if self.fixed_time else self._elapsing(instant))

    def next(self, instant: datetime) -> datetime:
        """The first fire time strictly after ``instant``. Raises as ``after``, and OverflowError past the year 9999."""
        for fire in self.after(instant):
            return fire
        raise OverflowError(f'cron "{self.expression}" has no fire between {instant} and the end of the calendar')

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Fire times with ``start`` < time <= ``end``."""
        return itertools.takewhile(lambda fire: fire <= end, self.after(start))

    def _per_day(self, last: datetime) -> Iterator[datetime]:
        """Each matching local time once: what a gap swallows right after it, what a fold repeats when it comes first."""
        wall = self._wall(last)
        while (match := self._match(wall)) is not None:
            wall = match + _SECOND
            fire = self._instant(match)
            # Not later: several times in one gap come together at its end; or the first of two was over before we began.
            if fire > last:
                yield fire
                last = fire

    def _elapsing(self, last: datetime) -> Iterator[datetime]:
        """Each instant whose local time matches: none in a gap, in a fold both."""
        at = last + _SECOND
        while (match := self._match(wall := self._wall(at))) is not None:
            fire = at + (match - wall)
            change = self._change(at, fire)
            if change is None:
                yield fire
                at = fire + _SECOND
            else:
                # The clock changes before it shows the match; until then it shows none. Look again from there.
                at = change

    def _match(self, wall: datetime) -> datetime | None:
        """The first local time at or after ``wall`` that the fields allow."""
        try:
            match: datetime = self._stepper.get_next(start_time=wall - _SECOND)
        except (ValueError, OverflowError):
            # No such date in fifty years (forty is the most between two that there are), or the calendar is over.
            return None
        return match

    def _wall(self, instant: datetime) -> datetime:
        """What the zone's clocks show, without a zone."""
        return instant.astimezone(self._zone).replace(tzinfo=None)

    def _instant(self, wall: datetime) -> datetime:
        """When the clocks first show ``wall``, or the next minute that they do show."""
        while self._wall(fire := wall.replace(tzinfo=self._zone).astimezone(UTC)) != wall:
            wall += _MINUTE
        return fire

    def _change(self, start: datetime, end: datetime) -> datetime | None:
        """The first instant in (start, end] at which the zone's offset is another one than before.

        Looks once a day: no zone changes its clocks twice within a day.
        """
        while start < end:
            probe = min(start + _DAY, end)
            if self._offset(probe) != self._offset(start):
                return self._first_unlike(start, probe)
            start = probe
        return None

    def _first_unlike(self, start: datetime, end: datetime) -> datetime:
        """The first whole second whose offset is not the one at ``start``; at ``end`` it is another."""
        before = self._offset(start)
        seconds = range(int((end - start).total_seconds()))
        return start + _SECOND * bisect_left(
            seconds, x=True, key=lambda second: self._offset(start + _SECOND * second) != before
        )

    def _offset(self, instant: datetime) -> timedelta | None:
        return instant.astimezone(self._zone).utcoffset()


def describe(expression: str) -> str:
    """The expression in English words. Raises InvalidCron.

    >>> describe("15 3 * * mon-fri")
    'At 03:15, Monday through Friday'
    """
    Cron.parse(expression)
    minute, hour, day, month, weekday = _five(expression)
    if "*" in (day, weekday):
        return _words(minute, hour, day, month, weekday)
    # Left to itself it says "on day 1, Monday through Friday" of what means either, and "or" where a star makes it mean both.
    link = "and only" if day.startswith("*") or weekday.startswith("*") else "or"
    weekdays = _words("*", "*", "*", "*", weekday).removeprefix("Every minute, ").removeprefix("only ")
    months = _words("*", "*", "*", month, "*").removeprefix("Every minute")
    return f"{_words(minute, hour, day, '*', '*')}, {link} {weekdays}{months}"


def _words(*texts: str) -> str:
    options = cron_descriptor.Options()
    options.locale_code = "en_US"
    options.use_24hour_time_format = True
    words: str = cron_descriptor.get_description(" ".join(texts), options)
    return words


def _five(expression: str) -> list[str]:
    """The five fields' texts."""
    texts = NICKNAMES.get(expression.strip().lower(), expression).split()
    if len(texts) == 1 and texts[0].startswith("@"):
        raise InvalidCron(f"no such short name; there are {', '.join(NICKNAMES)}")
    if len(texts) != len(_FIELDS):
        raise InvalidCron(f"expected 5 fields ({', '.join(field.name for field in _FIELDS)}), got {len(texts)}")
    return texts


def _zone(name: str) -> ZoneInfo:
    """The zone of that IANA name."""
    try:
        if _NO_ZONE.fullmatch(name) is None:
            return ZoneInfo(name)
    # KeyError: no such file. ValueError: a path that leads astray. OSError: a folder, such as America.
    except (KeyError, ValueError, OSError):
        pass
    known = (zone for zone in available_timezones() if _NO_ZONE.fullmatch(zone) is None)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "expected an IANA name such as Europe/Berlin"
    raise InvalidCron(f'timezone "{name}" is not known; {hint}')


def _to_the_end(fires: Iterator[datetime]) -> Iterator[datetime]:
    """The fires up to where Python's calendar ends."""
    try:
        yield from fires
    except OverflowError:
        return
