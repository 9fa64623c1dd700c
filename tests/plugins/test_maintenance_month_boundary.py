"""db_pruning over the turn of a month: midnight makes another partition an old one, and nothing else."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owlrunner_maintenance.months import Month
from owlrunner_maintenance.oldest import OldRow, Part, Space, excess, next_to_go, room_to_leave, rows_to_go
from tests.plugins.maintenance_world import World

DAY = timedelta(days=1)
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
BATCH = 10
"""Rows."""
TABLES = ("events", "metric_events")
Key = tuple[str, Month]


@attrs.define
class Stored:
    """A partition of the model: its rows by age, each with the bytes it takes, and the space that deleted ones have left."""

    rows: list[tuple[float, float]] = attrs.field(factory=list)
    free: float = 0.0

    @property
    def total(self) -> float:
        """What its file takes."""
        return sum(size for _, size in self.rows) + self.free

    def add(self, moment: float, size: float) -> None:
        """A row comes in, into free space where there is some."""
        self.rows.append((moment, size))
        self.free = max(0.0, self.free - size)

    @property
    def space(self) -> Space:
        """As it would be measured."""
        return Space(round(self.total), len(self.rows), round(self.free), 1.0, emptying_frees=self.total > 0)


@attrs.define
class Model:
    """A database of two tables with a partition for each month, in which the decisions of db_pruning are carried out."""

    limit: int
    rest: int
    stored: dict[Key, Stored] = attrs.field(factory=dict)
    newest: float = 0.0

    @property
    def size(self) -> int:
        """What the database takes."""
        return self.rest + sum(round(one.total) for one in self.stored.values())

    def live_in_the_week(self, now: float) -> set[tuple[Key, float]]:
        """What came in within the last days."""
        return {(key, moment) for key, one in self.stored.items() for moment, _ in one.rows if moment > now - 2}

    def write(self, day: datetime, sizes: Iterable[float]) -> None:
        """The rows of a day, of every table by turns."""
        for number, size in enumerate(sizes):
            self.newest = (day - NEW_YEAR) / DAY + number / 100
            key = (TABLES[number % 2], Month.of(day))
            self.stored.setdefault(key, Stored()).add(self.newest, size)

    def parts(self, day: datetime) -> dict[Key, Part]:
        """As a run sees them, oldest first."""
        previous = Month.of(day).plus(-1)
        return {
            key: Part(one.space, stays=key[1] >= previous, over=key[1] < Month.of(day))
            for key, one in sorted(self.stored.items(), key=lambda found: found[0][1])
        }

    def prune(self, day: datetime) -> tuple[float, list[Key]]:
        """A run: the bytes of rows that it deletes one by one, and the partitions with rows that it drops."""
        dropped = []
        while key := next_to_go(self.size, self.parts(day), self.limit):
            part = self.parts(day)[key]
            dropped += [key] if part.space.rows else []
            assert not (part.stays and part.space.rows), "a partition that stays is never emptied of rows"
            self.stored.pop(key)
        deleted = 0.0
        parts = self.parts(day)
        listed = {
            key: [OldRow("", "", moment, size) for moment, size in self.stored[key].rows]
            for key, part in parts.items()
            if part.stays
        }
        needed = excess(self.size, [part.space for part in parts.values()], self.limit)
        if needed <= 0:
            return 0.0, dropped
        needed += round(room_to_leave([part.space for part in parts.values() if part.stays], BATCH))
        for key, count in rows_to_go(listed, needed, 100_000, frozenset()).items():
            one = self.stored[key]
            freed = sum(size for _, size in one.rows[:count])
            deleted += freed
            one.rows, one.free = one.rows[count:], one.free + freed
        return deleted, dropped


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    growth=st.lists(st.integers(1, 9), min_size=12, max_size=12),
    size=st.integers(50, 400),
    days=st.integers(8, 70),
    bloat=st.floats(0, 0.5),
)
def test_a_year_of_days(growth: list[int], size: int, days: int, bloat: float) -> None:
    """On no day of a year does more go than a batch beyond the limit, but for whole old months; the newest events always stay."""
    model = Model(limit=1000 + days * 5 * size, rest=1000)
    for number in range(366):
        day = NEW_YEAR + number * DAY
        model.write(day, [size + row % 3 for row in range(growth[day.month - 1])])
        if number % 11 == 0:
            for one in model.stored.values():
                # Somebody else deletes from the middle, which leaves free space.
                kept = [
                    row
                    for position, row in enumerate(one.rows)
                    if position % 10 >= bloat * 10 or row[0] == model.newest
                ]
                one.free += sum(row[1] for row in one.rows) - sum(row[1] for row in kept)
                one.rows = kept
        # The last look of the day and the first of the next, in which only the month may have changed.
        for look in (day + timedelta(hours=23), day + DAY):
            before = model.size - round(sum(one.free for one in model.stored.values())) - model.limit
            recent = model.live_in_the_week(model.newest)
            deleted, dropped = model.prune(look)
            assert deleted <= max(0, before) + (BATCH + 1) * (size + 2) + len(model.stored)
            assert before > 0 or not (dropped or deleted)
            assert all(month < Month.of(look).plus(-1) for _, month in dropped)
            assert recent == model.live_in_the_week(model.newest)
            ages = [moment for one in model.stored.values() for moment, _ in one.rows]
            assert max(ages) == model.newest


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=20), min_size=1, max_size=4),
    st.integers(-5, 300),
    st.integers(0, 40),
    st.sets(st.integers(0, 3)),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_rows_go_by_age_over_all_tables(
    tables: list[list[tuple[int, int]]], needed: int, most: int, partly: set[int]
) -> None:
    """What goes is older than what stays, in whichever table; without its last row it would not suffice."""
    listed = {
        key: [OldRow("", "", float(moment), float(size)) for moment, size in sorted(table)]
        for key, table in enumerate(tables)
    }
    cut = frozenset(key for key in partly if listed.get(key))
    counts = rows_to_go(listed, needed, most, cut)
    gone = [row for key, count in counts.items() for row in listed[key][:count]]
    left = [row for key, count in counts.items() for row in listed[key][count:]]
    assert max((row.moment for row in gone), default=-1.0) <= min((row.moment for row in left), default=99.0)
    assert sum(row.size for row in gone) - max((row.size for row in gone), default=0) < max(needed, 1)
    horizon = min((listed[key][-1].moment for key in cut), default=99.0)
    stopped = len(gone) == most or sum(row.size for row in gone) >= needed or not left
    assert stopped or min(row.moment for row in left) > horizon
    assert all(row.moment <= horizon for row in gone)


@pytest.mark.parametrize("partitioned", ["", " partition by list (level)"])
async def test_the_turn_of_a_month_takes_nothing(maintained: World, partitioned: str) -> None:
    """The last look of a month and the first of the next find the same space free, and after midnight growth goes, not months."""
    maintained.sql(
        "create table may partition of events for values from ('2024-05-01 00:00+00') to ('2024-06-01 00:00+00')"
        + partitioned
    )
    if partitioned:
        maintained.sql("create table may_rest partition of may default")
    maintained.add_months("2024_06")
    maintained.fill("events", "timestamptz '2024-05-10 00:00+00'", 20_000)
    maintained.set_now(datetime(2024, 5, 31, 23, tzinfo=UTC))
    limit = {"max_size_bytes": maintained.size - maintained.one("select pg_relation_size('events_2024_06')") - 600_000}
    first = await maintained.result("db_pruning", limit)
    assert (0 < first["deleted_rows"] < 10_000, first["within_limit"]) == (True, True)
    for moment in (
        datetime(2024, 5, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2024, 6, 1, tzinfo=UTC),
        datetime(2024, 6, 1, 1, tzinfo=UTC),
    ):
        maintained.set_now(moment)
        again = await maintained.result("db_pruning", limit)
        assert (again["deleted_rows"], again["emptied_partitions"], again["within_limit"]) == (0, [], True)
        assert again["reusable_gb"] == first["reusable_gb"]
    left = maintained.one("select count(*) from events")
    for _ in range(3):
        maintained.fill("events", "timestamptz '2024-06-01 00:00+00'", 2000)
        again = await maintained.result("db_pruning", limit)
        # What a row takes is estimated, and older versions of PostgreSQL fill the pages of indexes less.
        assert (again["deleted_rows"], again["emptied_partitions"]) == (pytest.approx(2000, rel=0.3), [])
        assert maintained.one("select count(*) from events where timestamp >= '2024-06-01 00:00+00'") % 2000 == 0
    assert maintained.one("select count(*) from events") == pytest.approx(left, rel=0.1)
    # July makes May an old month, which goes as a whole once something has to go, and not before.
    maintained.set_now(datetime(2024, 7, 1, 1, tzinfo=UTC))
    assert (await maintained.result("db_pruning", limit))["dropped_partitions"] == []
    maintained.fill("events", "timestamptz '2024-06-20 00:00+00'", 2000)
    result = await maintained.result("db_pruning", limit)
    assert (result["dropped_partitions"], result["deleted_rows"]) == (["may"], 0)


async def test_the_oldest_rows_of_all_tables_go(maintained: World) -> None:
    """Rows go by their age over all tables: no table loses today's events while another keeps older ones."""
    for parent in ("events", "metric_events"):
        maintained.add_months("2024_05", parent=parent, rows=5000)
    limit = maintained.size - maintained.one("select pg_total_relation_size('events_2024_05')")
    result = await maintained.result("db_pruning", {"max_size_bytes": limit})
    gone = {step["partition"]: step["rows"] for step in result["audit"]}
    assert gone["events_2024_05"] == pytest.approx(gone["metric_events_2024_05"], abs=1)
    assert 2000 < gone["events_2024_05"] < 3000
    oldest = [maintained.one(f"select min(timestamp) from {table}") for table in ("events", "metric_events")]
    assert abs(oldest[0] - oldest[1]) <= timedelta(minutes=1)
