"""Cron expressions in time zones, against two independent judges and against cases worked out by hand.

Entries with a fixed time are judged by cronsim. Those that follow elapsed time are judged by brute force, minute by minute:
cronsim loses fires of ``0 */2 * * *`` in the hours after some gaps (Antarctica/Casey, October 2020).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from owlrunner.cron import Cron, InvalidCron, describe

FIXED = ("30 1 * * *", "30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "5 0 * * 0")
ELAPSING = {
    "*/30 * * * *": (range(0, 60, 30), range(24)),
    "0 */2 * * *": ((0,), range(0, 24, 2)),
    "45 * * * *": ((45,), range(24)),
}
"""Expressions with their minutes and hours."""
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
WEEK = 7


def judged(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """What cronsim says, in UTC; it tells a fire at which several come together more than once, so each is taken once."""
    fires: list[datetime] = []
    for fire in CronSim(expression, start.astimezone(zone)):
        instant = fire.astimezone(UTC)
        if instant > end:
            return fires
        if instant > start and (not fires or instant > fires[-1]):
            fires.append(instant)
    return fires


def elapsed(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every minute in (start, end] at which the zone's clocks show what the expression wants."""
    minutes, hours = ELAPSING[expression]
    instants = (start + timedelta(minutes=number) for number in range(1, int((end - start).total_seconds()) // 60 + 1))
    return [
        instant
        for instant in instants
        if (wall := instant.astimezone(zone)).minute in minutes and wall.hour in hours and wall.second == 0
    ]


def transitions(name: str) -> tuple[datetime, ...]:
    """The days in 2020-2035 on which the zone's offset changes."""
    zone = ZoneInfo(name)
    days: list[datetime] = []
    before = FIRST.astimezone(zone).utcoffset()
    for start in range(0, (LAST - FIRST).days, WEEK):
        # Nowhere did an offset come and go within a week.
        if (FIRST + timedelta(days=start + WEEK)).astimezone(zone).utcoffset() == before:
            continue
        for number in range(start + 1, start + WEEK + 1):
            day = FIRST + timedelta(days=number)
            offset = day.astimezone(zone).utcoffset()
            if offset != before:
                days.append(day)
                before = offset
    return tuple(days)


def zones_that_change() -> Iterator[tuple[str, tuple[datetime, ...]]]:
    """One zone of each set that changes on the same days by the same offsets: the others would be the same test again."""
    seen = set()
    for name in sorted(available_timezones()):
        if name in {"localtime", "posixrules", "Factory"} or name.startswith(("posix/", "right/")):
            continue
        days = transitions(name)
        zone = ZoneInfo(name)
        shape = tuple((day, day.astimezone(zone).utcoffset()) for day in days)
        if days and shape not in seen:
            seen.add(shape)
            yield name, days


@pytest.mark.parametrize(
    ("every", "at_least"), [(8, 5), pytest.param(1, 40, marks=pytest.mark.slow)], ids=["a sample", "all of them"]
)
def test_every_zone_agrees_with_its_judge_around_changes(every: int, at_least: int) -> None:
    """In the zones of the database, around changes of 2020-2035, nasty expressions fire when their judge says they do."""
    zones = 0
    for number, (name, days) in enumerate(zones_that_change()):
        if number % every:
            continue
        zones += 1
        zone = ZoneInfo(name)
        # The first and last changes of each zone, with the expressions taken in turn: all of everything takes an hour.
        for position, day in enumerate((*days[:3], *days[-1:])):
            start, end = day - timedelta(days=2), day + timedelta(days=2)
            fixed = FIXED[(number + position) % len(FIXED)]
            assert list(Cron.parse(fixed, name).between(start, end)) == judged(fixed, zone, start, end), (name, fixed)
            elapsing = list(ELAPSING)[(number + position) % len(ELAPSING)]
            fires = list(Cron.parse(elapsing, name).between(start, end))
            assert fires == elapsed(elapsing, zone, start, end), (name, elapsing)
    assert zones > at_least


FIELD = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "weekday": (0, 6)}


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Expressions of all classic forms with a fixed time."""
    texts = []
    for name, (low, high) in FIELD.items():
        a, b = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, high - low))
        stars = [] if name in {"minute", "hour"} else ["*", "*", f"*/{step}"]
        texts.append(draw(st.sampled_from([*stars, f"{a}", f"{a},{b}", f"{a}-{b}", f"{a}-{b}/{step}"])))
    return " ".join(texts)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    expressions(),
    st.sampled_from(
        ["UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "America/Havana"]
    ),
    st.datetimes(datetime(2020, 1, 1), datetime(2034, 1, 1)),  # noqa: DTZ001 - hypothesis wants its bounds naive
)
def test_any_expression_agrees_with_the_judge(expression: str, zone: str, start: datetime) -> None:
    """Generated expressions, zones and instants: the next ten fires are cronsim's."""
    begin = start.replace(tzinfo=UTC, microsecond=0)
    fires = list(islice(Cron.parse(expression, zone).after(begin), 10))
    assert fires == judged(expression, ZoneInfo(zone), begin, fires[-1])


@pytest.mark.parametrize(
    ("zone", "expression", "day", "expected"),
    [
        ("America/New_York", "30 2 * * *", "2026-03-08", ["07:00"]),  # the gap swallows 02:30: right after it
        ("America/New_York", "30 1 * * *", "2026-11-01", ["05:30"]),  # the fold repeats 01:30: the first
        ("America/New_York", "30 * * * *", "2026-11-01", [f"{hour:02}:30" for hour in range(24)]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03", ["15:30"]),  # a gap of half an hour
        ("America/Havana", "30 0 * * *", "2026-11-01", ["04:30"]),  # the fold is at midnight
        ("Asia/Beirut", "0 0 * * *", "2026-03-28", ["22:00"]),  # the gap is at midnight
        (
            "Pacific/Apia",
            "0 12 * * *",
            "2011-12-30",
            ["10:00", "22:00"],
        ),  # the 30th does not exist: its noon is made up for
    ],
)
def test_changes_worked_out_by_hand(zone: str, expression: str, day: str, expected: list[str]) -> None:
    """Fires of one UTC day around a change of the clock."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    fires = Cron.parse(expression, zone).between(start - timedelta(seconds=1), start + timedelta(days=1, seconds=-1))
    assert [f"{fire:%H:%M}" for fire in fires] == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("* * * *", "expected 5 fields"),
        ("* * * * * *", "expected 5 fields"),
        ("60 * * * *", 'minute "60"'),
        ("* 24 * * *", 'hour "24"'),
        ("* * 0 * *", 'day of month "0"'),
        ("* * * 13 *", 'month "13"'),
        ("* * * * 8", 'day of week "8"'),
        ("* * L * *", "extensions of other crons"),
        ("5,* * * * *", "has a star among others"),
        ("*,5 * * * *", "has a star among others"),
        ("*-5 * * * *", 'minute "*-5" cannot be read'),
        ("1-2-3 * * * *", 'minute "1-2-3" cannot be read'),
        ("005 * * * *", 'minute "005" is not within 0 to 59'),
        ("* * * FOO *", "numbers 1 to 12 or JAN to DEC, a-b"),
        ("FOO * * * *", "numbers 0 to 59, a-b"),
        ("5/10 * * * *", "has a step but no range"),
        ("*/0 * * * *", 'minute "*/0" has a step outside 1 to 60'),
        ("*/61 * * * *", 'minute "*/61" has a step outside 1 to 60'),
        ("0 0 */32 * *", 'day of month "*/32" has a step outside 1 to 31'),
        ("@sometimes", "no such short name; there are @hourly, @daily"),
        ("@sometimes @never", "expected 5 fields"),
        ("10-5 * * * *", "runs backwards"),
        ("0 0 30 2 *", "never fires"),
        ("", "expected 5 fields"),
    ],
)
def test_what_cannot_be_used_is_told(expression: str, complaint: str) -> None:
    """The message names the field and what is wrong with it; what would never fire is refused without searching for ever."""
    with pytest.raises(InvalidCron) as told:
        Cron.parse(expression)
    assert complaint in str(told.value)


def test_the_bounds_of_a_field_belong_to_it() -> None:
    """The last minute, hour, day and month there are can be named, and so can the first."""
    last, first = Cron.parse("59 23 31 12 *"), Cron.parse("0 0 1 1 *")
    assert last.next(FIRST) == datetime(2020, 12, 31, 23, 59, tzinfo=UTC)
    assert first.next(FIRST) == datetime(2021, 1, 1, tzinfo=UTC)


def test_a_step_may_be_as_wide_as_its_field() -> None:
    """Then it means the first value alone."""
    for stepping, first in (("*/60 */24 */31 */12 *", "0 0 1 1 *"), ("0 0 * * 0-7/8", "0 0 * * 0")):
        assert Cron.parse(stepping).next(FIRST) == Cron.parse(first).next(FIRST)


@pytest.mark.parametrize("day", ["0", "7", "sun", "0,7", "7-7"])
def test_sunday_has_two_numbers(day: str) -> None:
    """The day of the week 7 is Sunday, as 0 is, in whatever form it is written."""
    fires = Cron.parse(f"0 0 * * {day}").between(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC))
    assert [fire.day for fire in fires] == [8, 15]


def test_months_and_days_have_names() -> None:
    """In upper or lower case, alone or as a range, each of them means its number."""
    months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    for number, name in enumerate(months, 1):
        assert Cron.parse(f"0 0 1 {name} *").next(FIRST).month == number
    days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
    for number, name in enumerate(days):
        assert Cron.parse(f"0 0 * * {name}").next(FIRST).isoweekday() % 7 == number
    fires = Cron.parse("0 0 1 Mar-may *").between(FIRST, FIRST + timedelta(days=365))
    assert [fire.month for fire in fires] == [3, 4, 5]


def test_a_zone_must_exist() -> None:
    """A misspelt zone is told."""
    with pytest.raises(InvalidCron, match="Europe/Zurrich"):
        Cron.parse("@daily", "Europe/Zurrich")


def test_both_day_fields_mean_either() -> None:
    """With day of month and day of week restricted, either is enough, as cron has always had it."""
    fires = Cron.parse("0 0 13 * 5").between(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC))
    assert [fire.day for fire in fires] == [6, 13, 20, 27]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 4 * * *", "At 04:00"),
        ("0 4 1 * *", "At 04:00, on day 1 of the month"),
        ("0 4 1 6 1-5", "At 04:00, on day 1 of the month, or Monday through Friday, only in June"),
        ("* * 1 * 5", "Every minute, on day 1 of the month, or on Friday"),
        ("0 4 */2 * 1-5", "At 04:00, every 2 days, and only Monday through Friday"),
        ("0 4 1 * */2", "At 04:00, on day 1 of the month, and only every 2 days of the week"),
    ],
)
def test_words(expression: str, words: str) -> None:
    """An expression in English: two days mean either, unless one of them has a star, and then both."""
    assert describe(expression) == words


@pytest.mark.parametrize(
    ("expression", "zone", "problem"),
    [
        ("x * * * *", "UTC", 'minute "x" cannot be read; write *, numbers 0 to 59, a-b, */n, a-b/n or a list'),
        (
            "* * * x *",
            "UTC",
            'month "x" cannot be read; write *, numbers 1 to 12 or JAN to DEC, a-b, */n, a-b/n or a list',
        ),
        (
            "* * * * x",
            "UTC",
            'day of week "x" cannot be read; write *, numbers 0 to 7 or SUN to SAT, a-b, */n, a-b/n or a list',
        ),
        ("60 * * * *", "UTC", 'minute "60" is not within 0 to 59'),
        ("007 * * * *", "UTC", 'minute "007" is not within 0 to 59'),
        ("* * 0 * *", "UTC", 'day of month "0" is not within 1 to 31'),
        ("@daily", "Europe/Zurrich", 'timezone "Europe/Zurrich" is not known; did you mean Europe/Zurich?'),
        ("@daily", "Mars", 'timezone "Mars" is not known; expected an IANA name such as Europe/Berlin'),
    ],
)
def test_what_is_wrong_is_told(expression: str, zone: str, problem: str) -> None:
    """The field, what was found and what may stand there; of a zone the one that was probably meant."""
    with pytest.raises(InvalidCron) as caught:
        Cron.parse(expression, zone)
    assert str(caught.value).endswith(problem)


def test_words_are_for_what_can_fire() -> None:
    """An expression that cannot be used has no words, but the same complaint."""
    with pytest.raises(InvalidCron, match="is not within 0 to 59"):
        describe("61 * * * *")


@pytest.mark.parametrize("last", ["59 23 31 12 7", "59 23 31 12 0"])
def test_the_last_values_of_each_field(last: str) -> None:
    """The bounds are values, too; Sunday is 0 and 7."""
    fires = Cron.parse(last).between(datetime(2028, 12, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))
    assert [fire.day for fire in fires] == [3, 10, 17, 24, 31]
