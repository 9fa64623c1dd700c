"""db_pruning and partition_creation on a million events, beside those who write: nothing is lost, and nobody waits long."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.plugins.maintenance_world import APP, NOW, World, Written

pytestmark = pytest.mark.slow

EVENTS: dict[str, Any] = {"partitioned_tables": [{"table": "events"}]}
MONTHS = ("2023_11", "2023_12", "2024_01", "2024_02", "2024_03", "2024_04", "2024_05")
LOCK_TIMEOUT = 0.2
LONGEST_WAIT = 10 * LOCK_TIMEOUT
"""Many times what is promised, because a machine that tests is busy with other things too."""
DECEMBER, JANUARY = datetime(2023, 12, 5, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC)
MARCH, APRIL = datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 4, 5, tzinfo=UTC)


def stored(world: World) -> set[str]:
    """What the writers have put in that is there."""
    return {message for (message,) in world.sql("select message from events where message like 'writer%%'")}


def sizes(world: World) -> dict[str, int]:
    """The months' partitions and what they take."""
    return dict(
        world.sql("select relname, pg_total_relation_size(oid) from pg_class where relname ~ '^events_[0-9_]{7}$'")
    )


def assert_only_dropped_months_refuse(written: Written, refused: set[datetime]) -> None:
    """Whoever was refused wrote to a month that is gone, and was told so in PostgreSQL's usual words."""
    for moment, error in written.refused:
        assert moment in refused, error
        assert 'no partition of relation "events" found for row' in str(error)


async def test_the_million_is_there(million_events: World) -> None:
    """The events that these tests begin with are a million, half of them one app's, over seven months with two indexes."""
    assert million_events.sql(
        "select count(*), count(*) filter (where app_id = %s), count(distinct tableoid) from events", APP
    ) == [(1_000_000, 500_000, 7)]
    assert million_events.one("select count(*) from pg_indexes where tablename ~ '^events_[0-9_]{7}$'") == 18


async def test_writers_go_on_while_old_months_are_dropped(million_events: World) -> None:
    """While the oldest go, no event of a month that stays is refused or lost, and nobody waits for long."""
    world, size = million_events, sizes(million_events)
    going = [f"events_{month}" for month in MONTHS[:3]]
    limit = world.size - sum(size[name] for name in going) + size["events_2024_01"] // 2
    with world.writers(NOW, APRIL, MARCH, DECEMBER, JANUARY, count=4) as written:
        await written.has_begun()
        result = await world.result("db_pruning", {"max_size_bytes": limit}, lock_timeout=LOCK_TIMEOUT, **EVENTS)
    assert (result["dropped_partitions"], result["emptied_partitions"], result["deleted_rows"]) == (going, [], 0)
    assert_only_dropped_months_refuse(written, {DECEMBER, JANUARY})
    assert {moment for moment, _ in written.refused} == {DECEMBER, JANUARY}
    lost = set(written.messages) - stored(world)
    assert {written.moment_of[message] for message in lost} <= {DECEMBER, JANUARY}
    assert written.longest_wait < LONGEST_WAIT
    assert world.one("select count(*) from events where message not like 'writer%%'") == 1_000_000 - gone(world)


def gone(world: World) -> int:
    """How many of the million lay in the months that were dropped."""
    start, end = datetime(2023, 11, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    count: int = world.one(
        "select count(*) from generate_series(1, 1000000) n where %s::timestamptz + n * (%s::timestamptz - %s) / 1000000 < %s",
        start, NOW, start, end,
    )  # fmt: skip
    return count


async def test_writers_go_on_while_the_previous_month_is_pruned(million_events: World) -> None:
    """With a limit that nothing satisfies, late events of the previous month are never refused, and new ones never lost."""
    world = million_events
    with world.writers(NOW, APRIL, MARCH, count=4) as written:
        await written.has_begun()
        result = await world.result(
            "db_pruning",
            {"max_size_bytes": 1},
            lock_timeout=LOCK_TIMEOUT,
            lock_tries=100,
            max_pruned_rows=20_000,
            **EVENTS,
        )
    assert result["dropped_partitions"] == [f"events_{month}" for month in MONTHS[:5]]
    assert (result["emptied_partitions"], result["deleted_rows"]) == ([], 20_000)
    assert_only_dropped_months_refuse(written, {MARCH})
    # Those of April and of this moment are newer than the rows that went.
    assert {written.moment_of[message] for message in set(written.messages) - stored(world)} <= {MARCH}
    assert written.longest_wait < LONGEST_WAIT


async def test_the_oldest_of_a_million_rows(maintained: World) -> None:
    """Row by row, too, the oldest go from a million, within bounds, and a second run with nothing to gain deletes nothing."""
    world = maintained
    world.sql(
        "create table everything partition of events for values from ('2024-05-01 00:00+00') to ('2024-06-01 00:00+00')"
    )
    world.sql(
        "insert into everything (id, app_id, session_id, level, message, timestamp)"
        " select null, %s, %s, 'info', 'event ' || n, timestamptz '2024-05-01 00:00+00' + n * interval '1 second'"
        # The oldest last, where no order of storage helps to find them.
        " from generate_series(1000000, 1, -1) n",
        APP,
        APP,
    )
    world.sql("create index on everything (app_id, timestamp)")
    size = world.size
    limit = size - world.one("select pg_total_relation_size('everything')") // 20
    with world.writers(NOW, count=2) as written:
        await written.has_begun()
        report = await world.run("db_pruning", {"max_size_bytes": limit}, lock_timeout=LOCK_TIMEOUT)
    assert report.status == "completed"
    deleted = report.result["deleted_rows"]
    # A twentieth, and what the writers added meanwhile.
    assert 50_000 <= deleted <= 100_000
    assert len(report.progress) >= deleted / 1000
    left = world.sql("select count(*), min(substr(message, 7)::int) from everything where message like 'event%%'")
    assert left == [(1_000_000 - deleted, deleted + 1)]
    assert (written.refused, set(written.messages) - stored(world)) == ([], set())
    assert written.longest_wait < LONGEST_WAIT
    # What the writers added since it was measured, also into space that was free, is something to gain: by now, once.
    await world.result("db_pruning", {"max_size_bytes": limit})
    again = await world.result("db_pruning", {"max_size_bytes": limit})
    assert (again["deleted_rows"], again["within_limit"]) == (0, True)


async def test_writers_go_on_while_partitions_are_made(million_events: World) -> None:
    """While months and indexes are made beside a million events, nobody is refused, nothing is lost, and nobody waits long."""
    world = million_events
    with world.writers(NOW, APRIL, MARCH, count=4) as written:
        await written.has_begun()
        result = await world.result("partition_creation", lock_timeout=LOCK_TIMEOUT, months_ahead=3)
    assert [name for name in result["created"] if name.startswith("events")] == ["events_2024_08"]
    # Five that are declared besides the two, on each of the four months that were there.
    assert len(result["indexes_created"]) == 20
    assert (written.refused, set(written.messages) - stored(world)) == ([], set())
    assert written.longest_wait < LONGEST_WAIT
    assert world.one("select bool_and(indisvalid) from pg_index")
