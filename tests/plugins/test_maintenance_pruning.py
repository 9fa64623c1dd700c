"""db_pruning: the oldest partitions go first, no more than is needed, and never what is still wanted."""

from datetime import UTC, datetime

import pytest

from tests.plugins.maintenance_world import World

PAST = ("2024_01", "2024_02", "2024_03")
OLD = [f"events_{month}" for month in PAST]
NOTHING_FITS = {"max_size_bytes": 1}
FILES = """
    select oid, relname, relfilenode, pg_relation_size(oid) from pg_class
    where relkind in ('r', 'p') and not relisshared order by oid
"""
KEYS = {
    "dropped_partitions", "emptied_partitions", "deleted_rows", "current_size_gb", "reusable_gb", "within_limit", "audit",
}  # fmt: skip


async def test_old_partitions_go_and_the_current_one_stays(maintained: World) -> None:
    """With a limit that nothing satisfies, all past partitions are dropped, oldest first, and the current month stays."""
    maintained.add_months(*PAST, "2024_05", "2024_06")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert result["dropped_partitions"] == OLD
    assert maintained.partitions("events") == ["events_2024_05", "events_2024_06"]
    assert (set(result), result["deleted_rows"], result["within_limit"]) == (KEYS, 0, False)
    assert result["current_size_gb"] == round(maintained.size / 1024**3, 2) > 0


async def test_nothing_goes_under_a_huge_limit(maintained: World) -> None:
    """A database that fits keeps everything, and the result says how big it is."""
    maintained.add_months(*PAST, rows=1)
    result = await maintained.result("db_pruning", max_database_size_gb=1000)
    assert (result["dropped_partitions"], result["deleted_rows"], result["audit"]) == ([], 0, [])
    assert (result["current_size_gb"] > 0, result["within_limit"]) == (True, True)
    assert maintained.partitions("events") == OLD


@pytest.mark.parametrize(("params", "gigabytes"), [(None, 0), ({"max_size_bytes": 0}, 0.001), ({"dry_run": True}, 0)])
async def test_without_a_limit_nothing_happens(maintained: World, params: object, gigabytes: float) -> None:
    """Without a limit, or with 0 in the params, a run does nothing and says so as the original does."""
    maintained.add_months(*PAST)
    result = await maintained.result("db_pruning", params, max_database_size_gb=gigabytes)
    assert result == {"skipped": True, "reason": "max_size_bytes not configured"}
    assert maintained.partitions("events") == OLD


async def test_the_limit_of_the_settings_counts(maintained: World) -> None:
    """Gigabytes in the settings are units of 1024³ bytes, and hold for a run without params."""
    maintained.add_months(*PAST)
    result = await maintained.result("db_pruning", max_database_size_gb=0.001)
    assert result["dropped_partitions"] == OLD


async def test_the_oldest_of_all_tables_go_until_it_fits(maintained: World) -> None:
    """Partitions go by age over all tables, the size is measured after each, and the first that makes it fit is the last."""
    for parent in ("metric_events", "funnel_events", "events"):
        maintained.add_months(*PAST, "2024_05", parent=parent, rows=4000)
    sizes = dict(
        maintained.sql("select relname, pg_total_relation_size(oid) from pg_class where relname ~ '_01$|_02$'")
    )
    before = maintained.size
    going = ["events_2024_01", "metric_events_2024_01", "funnel_events_2024_01", "events_2024_02"]
    limit = before - sum(sizes[name] for name in going) + sizes["events_2024_02"] // 2
    report = await maintained.run("db_pruning", {"max_size_bytes": limit})
    assert report.status == "completed"
    result = report.result
    assert (result["dropped_partitions"], result["within_limit"], result["deleted_rows"]) == (going, True, 0)
    assert [(step["partition"], step["action"]) for step in result["audit"]] == [(name, "dropped") for name in going]
    assert result["audit"][0]["from"] == "2024-01-01T00:00:00.000Z"
    assert result["audit"][0]["to"] == "2024-02-01T00:00:00.000Z"
    for step in result["audit"]:
        # The catalogue and its free space maps move by a few pages.
        assert step["freed_bytes"] == pytest.approx(sizes[step["partition"]], rel=0.25)
    assert maintained.size < limit < maintained.size + sizes["events_2024_02"]
    assert [(one.processed, one.total) for one in report.progress] == [(0, 9), (1, 9), (2, 9), (3, 9), (9, 9)]
    assert report.progress[1].message == "metric_events_2024_01 goes"
    assert any(line.startswith("dropped events_2024_02, ") for line in report.logs)


async def test_bounds_decide_and_not_names(maintained: World) -> None:
    """What a partition is called does not matter: only one that lies wholly before the month goes, however it is named."""
    for name, bounds in {
        "ancient": "(minvalue) to ('2022-01-01 00:00+00')",
        '"Events; drop table ""users"""': "('2023-12-01 00:00+00') to ('2024-01-01 00:00+00')",
        "events_2030_01": "('2024-01-01 00:00+00') to ('2024-01-05 00:00+00')",
        "short": "('2024-03-31 23:59+00') to ('2024-04-01 00:00+00')",
        "events_2023_01": "('2024-04-20 00:00+00') to ('2024-05-02 00:00+00')",
        "events_2023_02": "('2024-05-02 00:00+00') to ('2024-05-03 00:00+00')",
        "events_2023_03": "('2024-05-20 00:00+00') to (maxvalue)",
    }.items():
        maintained.sql(f"create table {name} partition of events for values from {bounds}")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert result["dropped_partitions"] == ["ancient", 'Events; drop table "users"', "events_2030_01", "short"]
    assert maintained.partitions("events") == ["events_2023_01", "events_2023_02", "events_2023_03"]
    assert result["audit"][0]["from"].startswith("0001-01-02")


async def test_tables_of_any_schema(maintained: World) -> None:
    """An application's own tables are pruned by their own settings; what others have of the same name is not touched."""
    maintained.sql('create schema "My ""Schema"')
    maintained.sql('create table "My ""Schema"."Log Line" (day date not null) partition by range (day)')
    for schema, parent in (('"My ""Schema"', '"My ""Schema"."Log Line"'), ("public", "events")):
        maintained.sql(
            f"create table {schema}.january partition of {parent} for values from ('2024-01-01') to ('2024-02-01')"
        )
    result = await maintained.result(
        "db_pruning",
        NOTHING_FITS,
        partitioned_tables=[{"table": 'My "Schema.Log Line'}, {"table": "nothing"}, {"table": "users"}],
    )
    assert result["dropped_partitions"] == ['My "Schema.january']
    assert result["skipped_tables"] == {"nothing": "missing", "users": "not partitioned"}
    assert maintained.partitions("events") == ["january"]


async def test_partitions_of_every_kind(maintained: World) -> None:
    """One that is partitioned further goes as a whole; foreign, default and detached ones stay, whatever they hold."""
    maintained.add_months("2024_01", "2024_02")
    maintained.sql("alter table events detach partition events_2024_02")
    maintained.sql("create table rest partition of events default")
    maintained.add_event("2020-01-01")
    maintained.sql("create foreign data wrapper far; create server away foreign data wrapper far")
    maintained.sql(
        "create foreign table elsewhere partition of events for values from ('2024-02-01') to ('2024-03-01') server away"
    )
    maintained.sql(
        "create table deep partition of events for values from ('2024-03-01 00:00+00') to ('2024-03-05 00:00+00')"
        " partition by list (level)"
    )
    maintained.sql("create table deep_info partition of deep for values in ('info')")
    maintained.sql("create table deep_rest partition of deep default")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert result["dropped_partitions"] == ["events_2024_01", "deep"]
    assert maintained.partitions("events") == ["elsewhere", "rest"]
    assert maintained.one("select count(*) from rest") == 1
    found = maintained.sql("select to_regclass('deep_info'), to_regclass('deep_rest'), to_regclass('events_2024_02')")
    assert found == [(None, None, "events_2024_02")]


async def test_what_late_events_need_is_emptied(maintained: World) -> None:
    """A partition that reaches into the previous month loses its rows and stays, with its indexes, for events to come."""
    await maintained.result("partition_creation")
    maintained.sql(
        "create table across partition of events for values from ('2024-03-15 00:00+00') to ('2024-04-01 00:00+00')"
    )
    maintained.fill("events", "timestamptz '2024-04-30 00:00+00'", 100)
    maintained.sql("alter table events detach partition across")
    maintained.sql("create index on events_2024_04 (message)")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["emptied_partitions"]) == ([], ["events_2024_04"])
    assert [step["action"] for step in result["audit"]] == ["deleted_rows", "emptied"]
    assert (result["deleted_rows"], result["audit"][1]["freed_bytes"] > 0) == (100, True)
    assert maintained.one("select count(*) from pg_indexes where tablename = 'events_2024_04'") == 8
    maintained.add_event("2024-04-30 23:59+00")
    assert maintained.one("select count(*) from events_2024_04") == 1


async def test_what_is_empty_is_not_emptied_again(maintained: World) -> None:
    """The previous month's partition without rows is left alone; one of rows deleted but not vacuumed gives its space back."""
    maintained.sql("create table quarter partition of events for values from (minvalue) to ('2024-04-02 00:00+00')")
    maintained.sql("create index on quarter (message)")
    assert (await maintained.result("db_pruning", NOTHING_FITS))["emptied_partitions"] == []
    maintained.sql("alter table quarter set (autovacuum_enabled = false)")
    maintained.fill("events", "timestamptz '2024-03-01 00:00+00'", 1000)
    maintained.sql("delete from quarter")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert (result["emptied_partitions"], result["dropped_partitions"]) == (["quarter"], [])
    assert maintained.one("select pg_relation_size('quarter')") == 0


@pytest.mark.parametrize(
    ("now", "dropped", "emptied"),
    [
        (datetime(2024, 5, 31, 23, 59, 59, tzinfo=UTC), OLD, ["events_2024_04"]),
        (datetime(2024, 5, 1, tzinfo=UTC), OLD, ["events_2024_04"]),
        (datetime(2024, 4, 30, 23, 59, 59, tzinfo=UTC), OLD[:2], ["events_2024_03"]),
    ],
)
async def test_months_are_utc_wherever_the_server_lives(
    auckland: World, now: datetime, dropped: list[str], emptied: list[str]
) -> None:
    """In the last and first hours of a month neither the process's zone nor the database's takes a month too many."""
    auckland.set_now(now)
    auckland.add_months(*PAST, "2024_04", "2024_05", rows=1)
    result = await auckland.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["emptied_partitions"]) == (dropped, emptied)
    assert "events_2024_05" in auckland.partitions("events")
    assert result["audit"][0]["from"] == "2024-01-01T00:00:00.000Z"


async def test_a_dry_run_tells_what_the_real_one_does(maintained: World) -> None:
    """It changes nothing, and names the very partitions and the number of rows that a real run then removes."""
    maintained.sql("create table ancient partition of events for values from (minvalue) to ('2023-01-01')")
    maintained.add_months(*PAST, "2024_04", rows=2000)
    maintained.add_months("2024_04", parent="metric_events")
    maintained.add_months("2024_05", rows=20_000)
    sizes = dict(
        maintained.sql("select relname, pg_total_relation_size(oid) from pg_class where relname like 'events%%'")
    )
    for limit, rows_go in (
        (maintained.size - sizes["events_2024_01"] - 1, 0),
        (maintained.size - sum(sizes[name] for name in (*OLD, "events_2024_04")) - sizes["events_2024_05"] // 4, 7000),
    ):
        before = maintained.sql(FILES)
        told = await maintained.result("db_pruning", {"max_size_bytes": limit, "dry_run": True})
        assert maintained.sql(FILES) == before
        assert (told["dry_run"], told["dropped_partitions"], told["audit"]) == (True, [], [])
        real = await maintained.result("db_pruning", {"max_size_bytes": limit})
        assert told["would_drop"] == real["dropped_partitions"] != []
        assert told["would_empty"] == real["emptied_partitions"] == (["events_2024_04"] if rows_go else [])
        assert told["would_delete_rows"] == pytest.approx(real["deleted_rows"], rel=0.02)
        assert real["deleted_rows"] == pytest.approx(rows_go, rel=0.1)
