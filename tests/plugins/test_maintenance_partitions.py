"""partition_creation: the months are there before they are needed, whoever made them, and nobody who writes waits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import trio

from owlrunner_maintenance.settings import MaintenanceSettings
from tests.plugins.conftest import OnRetry, migrated, opened
from tests.plugins.maintenance_world import APP, NOW, World
from tests.postgres import fresh_database

TABLES = ("events", "metric_events", "funnel_events")
MONTHS = ("2024_04", "2024_05", "2024_06", "2024_07")
ONE_TABLE: dict[str, Any] = {
    "partitioned_tables": [{"table": "events", "indexes": {"app_ts_idx": ["app_id", "timestamp"]}}]
}


async def test_previous_current_and_coming_months_are_made(maintained: World) -> None:
    """A first run makes the previous month, the current one and two more for each table, and names what it made."""
    report = await maintained.run("partition_creation")
    assert report.status == "completed"
    assert report.result == {
        "events": True,
        "metric_events": True,
        "funnel_events": True,
        "created": [f"{table}_{month}" for table in TABLES for month in MONTHS],
        "existing": 0,
        "indexes_created": [],
    }
    assert maintained.partitions("events") == [f"events_{month}" for month in MONTHS]
    assert (report.progress[0].processed, report.progress[-1].processed, report.progress[-1].total) == (0, 12, 12)
    assert "created partition events_2024_04" in report.logs
    # What was late by a month, and what is early by two.
    for when in (NOW - timedelta(days=44), NOW, NOW + timedelta(days=76)):
        maintained.add_event(when)
    assert maintained.one("select count(*) from events") == 3


async def test_a_second_run_finds_everything_in_place(maintained: World) -> None:
    """Running again changes nothing and says so; a month later there is one partition more for each table."""
    await maintained.result("partition_creation")
    result = await maintained.result("partition_creation")
    assert (result["created"], result["existing"], result["indexes_created"]) == ([], 12, [])
    maintained.set_now(NOW + timedelta(days=31))
    result = await maintained.result("partition_creation", months_ahead=2)
    assert result["created"] == [f"{table}_2024_08" for table in TABLES]


@pytest.mark.parametrize(
    ("now", "first", "last"),
    [
        (datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), "events_2024_11", "events_2025_02"),
        (datetime(2025, 1, 1, tzinfo=UTC), "events_2024_12", "events_2025_03"),
    ],
)
async def test_years_end(maintained: World, now: datetime, first: str, last: str) -> None:
    """Months go on over the end of a year, to the second."""
    maintained.set_now(now)
    await maintained.result("partition_creation")
    partitions = maintained.partitions("events")
    assert (partitions[0], partitions[-1]) == (first, last)


def indexes(world: World, partition: str) -> dict[str, str]:
    """The indexes of a table: name → columns as PostgreSQL writes them."""
    found = world.sql("select indexname, indexdef from pg_indexes where tablename = %s", partition)
    return {name: definition.partition("USING btree ")[2] for name, definition in found}


async def test_partitions_have_the_declared_indexes(maintained: World) -> None:
    """Every partition has exactly the indexes that the settings declare, by name and columns."""
    await maintained.result("partition_creation")
    for table in MaintenanceSettings().partitioned_tables:
        for month in MONTHS:
            partition = f"{table.table}_{month}"
            assert indexes(maintained, partition) == {
                f"{partition}_{suffix}": "("
                + ", ".join('"timestamp"' if c == "timestamp" else c for c in columns)
                + ")"
                for suffix, columns in table.indexes.items()
            }


DEVICE = "environment environment,os_version varchar(50),app_version varchar(50),device_model varchar(100),build_number varchar(50)"
DECLARED = {
    "events": (
        "id uuid,app_id uuid!,client_event_id uuid,session_id uuid!,user_id varchar(255),api_key_id uuid,level log_level!,"
        "source_module text,message text!,screen_name varchar(255),custom_attributes jsonb,"
        + DEVICE
        + ",locale varchar(20),"
        "is_dev bool!,experiments jsonb,timestamp timestamptz!,received_at timestamptz!"
    ),
    "metric_events": (
        "id uuid,app_id uuid!,session_id uuid!,user_id varchar(255),api_key_id uuid,metric_slug varchar(255)!,phase metric_phase!,"
        "tracking_id uuid,duration_ms int4,error text,attributes jsonb,"
        + DEVICE
        + ",is_dev bool!,client_event_id uuid,"
        "timestamp timestamptz!,received_at timestamptz!"
    ),
    "funnel_events": (
        "id uuid,app_id uuid!,session_id uuid!,user_id varchar(255),api_key_id uuid,step_name varchar(255)!,message text!,"
        "screen_name varchar(255),custom_attributes jsonb,experiments jsonb,"
        + DEVICE
        + ",is_dev bool!,client_event_id uuid,"
        "timestamp timestamptz!,received_at timestamptz!"
    ),
}


@pytest.mark.parametrize("table", TABLES)
async def test_columns_are_as_declared(maintained: World, table: str) -> None:
    """The table and its partitions have the original's columns, types, lengths and defaults, in the original's order."""
    await maintained.result("partition_creation")
    for relation in (table, f"{table}_2024_05"):
        found = maintained.sql(
            "select column_name || ' ' || udt_name || coalesce('(' || character_maximum_length || ')', '')"
            " || case is_nullable when 'NO' then '!' else '' end, column_default"
            " from information_schema.columns where table_name = %s order by ordinal_position",
            relation,
        )
        assert ",".join(column for column, _ in found) == DECLARED[table]
        assert {column.split()[0]: default for column, default in found if default} == {
            "id": "gen_random_uuid()",
            "is_dev": "false",
            "received_at": "now()",
        }


@pytest.fixture
def new(postgres_url: str) -> Iterator[World]:
    """A database that has just been migrated, with the real clock."""
    for url in fresh_database(postgres_url, "template0"):
        migrated(url)
        with opened(url) as world:
            yield world


async def test_a_new_database_takes_events_at_once(new: World) -> None:
    """The migration makes the partitions that the job would make, and the same indexes; last month's event is welcome."""
    new.set_now(new.one("select now()"))
    result = await new.result("partition_creation")
    assert (result["created"], result["existing"], result["indexes_created"]) == ([], 12, [])
    for table in MaintenanceSettings().partitioned_tables:
        for partition in new.partitions(table.table):
            assert set(indexes(new, partition)) == {f"{partition}_{suffix}" for suffix in table.indexes}
    new.sql("set timezone = 'UTC'")
    new.add_event(new.one("select date_trunc('month', now()) - interval '1 second'"))
    assert new.one("select count(*) from events") == 1


@pytest.mark.parametrize("now", [datetime(2024, 5, 31, 23, 59, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)])
async def test_months_are_utc_wherever_the_server_lives(auckland: World, now: datetime) -> None:
    """Neither the process's time zone nor the database's moves a month or its bounds."""
    auckland.set_now(now)
    await auckland.result("partition_creation")
    assert auckland.partitions("events") == [f"events_{month}" for month in MONTHS]
    assert auckland.bounds("events_2024_05") == "('2024-05-01 00:00:00+00') TO ('2024-06-01 00:00:00+00')"


async def test_partitions_made_in_another_zone_are_adopted(auckland: World) -> None:
    """Bounds that somebody's session shifted stay, the gaps they leave are filled, and no moment is without partition."""
    for month, following in (("04", "05"), ("05", "06")):
        auckland.sql(
            f"create table events_2024_{month} partition of events for values from ('2024-{month}-01') to ('2024-{following}-01')"
        )
    result = await auckland.result("partition_creation")
    assert [name for name in result["created"] if name.startswith("events")] == [
        # From the shifted end to the end of the month by UTC; its plain name is taken.
        "events_2024_05_2",
        "events_2024_06",
        "events_2024_07",
    ]
    assert auckland.bounds("events_2024_05_2") == "('2024-05-31 12:00:00+00') TO ('2024-06-01 00:00:00+00')"
    assert len(result["indexes_created"]) == 14
    for day in range(122):
        auckland.add_event(datetime(2024, 4, 1, tzinfo=UTC) + timedelta(days=day))
        auckland.add_event(datetime(2024, 4, 1, 23, 59, 59, 999999, tzinfo=UTC) + timedelta(days=day))


async def test_a_partition_that_covers_more_is_adopted(maintained: World) -> None:
    """Months within somebody's quarter need no partition, and a default partition without rows is no hindrance."""
    maintained.sql(
        "create table quarter partition of events for values from ('2024-04-01 00:00+00') to ('2024-07-01 00:00+00')"
    )
    maintained.sql("create table rest partition of events default")
    result = await maintained.result("partition_creation", **ONE_TABLE)
    assert (result["created"], result["existing"]) == (["events_2024_07"], 3)
    assert result["indexes_created"] == ["quarter_app_ts_idx"]
    maintained.sql("create table ever partition of metric_events for values from (minvalue) to (maxvalue)")
    result = await maintained.result("partition_creation")
    assert not [name for name in result["created"] if name.startswith("metric_events")]


async def test_a_name_that_is_taken(maintained: World) -> None:
    """A table that was detached keeps its name and its rows; the new partition takes another."""
    maintained.sql("create table events_2024_05 (like events)")
    result = await maintained.result("partition_creation", **ONE_TABLE)
    assert "events_2024_05_2" in result["created"]
    assert maintained.bounds("events_2024_05_2").startswith("('2024-05-01")


async def test_a_missing_index_is_made_and_a_broken_one_again(maintained: World) -> None:
    """An adopted partition gets the indexes it lacks; one that is there under another name counts; an invalid one is rebuilt."""
    await maintained.result("partition_creation", **ONE_TABLE)
    maintained.sql("drop index events_2024_04_app_ts_idx")
    maintained.sql("create index mine on events_2024_04 (app_id, timestamp)")
    maintained.sql("drop index events_2024_06_app_ts_idx")
    maintained.sql("update pg_index set indisvalid = false where indexrelid = 'events_2024_05_app_ts_idx'::regclass")
    result = await maintained.result("partition_creation", **ONE_TABLE)
    assert result["indexes_created"] == ["events_2024_05_app_ts_idx", "events_2024_06_app_ts_idx"]
    assert maintained.one("select bool_and(indisvalid) from pg_index")


async def test_writers_and_readers_are_no_hindrance(maintained: World) -> None:
    """A transaction that has written to the table and stays open delays nothing, and is not waited for."""
    maintained.sql(
        "create table events_2024_05 partition of events for values from ('2024-05-01 00:00+00') to ('2024-06-01 00:00+00')"
    )
    with maintained.somebody() as writer:
        writer.execute(
            "insert into events (app_id, session_id, level, message, timestamp)"
            " values (%s, gen_random_uuid(), 'info', 'x', %s)",
            (APP, NOW),
        )
        result = await maintained.result(
            "partition_creation", partitioned_tables=[{"table": "events"}], lock_tries=1, lock_timeout=0.01
        )
        writer.commit()
    assert len(result["created"]) == 3
    assert maintained.one("select count(*) from events") == 1


async def test_a_locked_partition_is_no_hindrance(maintained: World) -> None:
    """The months beside one that somebody has locked are made without waiting for them."""
    maintained.add_months("2024_05")
    with maintained.somebody() as somebody:
        somebody.execute("lock table events_2024_05 in access exclusive mode")
        result = await maintained.result(
            "partition_creation", partitioned_tables=[{"table": "events"}], lock_tries=1, lock_timeout=0.01
        )
    assert (len(result["created"]), result["existing"]) == (3, 1)


async def test_a_lock_that_is_given_back_is_waited_for(maintained: World, on_retry: OnRetry) -> None:
    """A table that somebody has locked is tried again, and done once they are through."""
    with maintained.somebody() as somebody:
        somebody.execute("lock table events in access exclusive mode")
        on_retry(somebody.rollback)
        report = await maintained.run("partition_creation", lock_timeout=0.01)
    assert report.status == "completed"
    assert len(report.result["created"]) == 12
    assert any("lock timeout; trying again" in line for line in report.logs)


async def test_a_lock_that_is_kept_fails_the_run(maintained: World) -> None:
    """A table that stays locked fails the run by name; nobody waits behind it for long, and the other tables are done."""
    with maintained.somebody() as somebody:
        somebody.execute("lock table metric_events in access exclusive mode")
        report = await maintained.run("partition_creation", attempt=3, lock_timeout=0.01, lock_tries=2)
    assert report.status == "failed"
    assert "metric_events 2024_04: given up after 2 tries: canceling statement due to lock timeout" in str(report.error)
    assert "(created: events_2024_04, " in str(report.error)
    assert [len(maintained.partitions(table)) for table in TABLES] == [4, 0, 4]
    assert (await maintained.run("partition_creation", attempt=1)).status == "completed"


async def test_a_failed_run_is_tried_again(maintained: World) -> None:
    """The first failure is not the last word: the run goes back to pending for another attempt."""
    maintained.sql("drop table events")
    assert (await maintained.run("partition_creation", attempt=1)).status == "pending"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("drop table events", "events 2024_04: there is no such table; correct partitioned_tables"),
        (
            "drop table events; create table events (timestamp timestamptz)",
            "events 2024_04: the table is not partitioned",
        ),
        (
            "drop table events; create table events (a int, timestamp timestamptz) partition by range (timestamp, a)",
            "events 2024_04: the table is not partitioned by range over one column of time",
        ),
    ],
)
async def test_a_table_that_cannot_be_worked_on_is_told(maintained: World, change: str, reason: str) -> None:
    """A configured table that is missing or not partitioned fails the run by name, after the others were done."""
    maintained.sql(change)
    report = await maintained.run("partition_creation", attempt=3)
    assert (report.status, reason in str(report.error)) == ("failed", True)
    assert len(maintained.partitions("metric_events")) == 4


async def test_any_table_of_any_schema(maintained: World) -> None:
    """Tables of an application's own, with names that need quotes, keys of date or timestamp, and a tablespace's default."""
    maintained.sql('create schema "My ""Schema"')
    maintained.sql('create table "My ""Schema"."Log Line" (day date not null, "from" int) partition by range (day)')
    maintained.sql("create table plain_time (at timestamp not null, check (at > '2000-01-01')) partition by range (at)")
    result = await maintained.result(
        "partition_creation",
        partitioned_tables=[
            {"table": 'My "Schema.Log Line', "indexes": {"from": ["from", "day"]}},
            {"table": "plain_time"},
        ],
        months_ahead=0,
    )
    assert result == {
        'My "Schema.Log Line': True,
        "plain_time": True,
        "created": [
            'My "Schema.Log Line_2024_04',
            'My "Schema.Log Line_2024_05',
            "plain_time_2024_04",
            "plain_time_2024_05",
        ],
        "existing": 0,
        "indexes_created": [],
    }
    assert maintained.bounds('"My ""Schema"."Log Line_2024_05"') == "('2024-05-01') TO ('2024-06-01')"
    assert maintained.bounds("plain_time_2024_05") == "('2024-05-01 00:00:00') TO ('2024-06-01 00:00:00')"
    assert indexes(maintained, "Log Line_2024_05") == {"Log Line_2024_05_from": '("from", day)'}
    again = await maintained.result("partition_creation", partitioned_tables=[{"table": "plain_time"}], months_ahead=0)
    assert (again["created"], again["existing"]) == ([], 2)


async def test_a_parent_with_keys_and_triggers(maintained: World) -> None:
    """A new partition takes over its parent's primary key, identity column, checks, triggers and foreign keys."""
    maintained.sql(
        "create table measured (id bigint generated always as identity, at timestamptz not null, team uuid references teams"
        " on delete cascade, twice int generated always as (1 + 1) stored, check (at > '2000-01-01'), primary key (id, at))"
        " partition by range (at)"
    )
    maintained.sql("create index measured_team on measured (team)")
    result = await maintained.result(
        "partition_creation",
        partitioned_tables=[{"table": "measured", "indexes": {"team_idx": ["team"]}}],
        months_ahead=0,
    )
    assert result["created"] == ["measured_2024_04", "measured_2024_05"]
    maintained.sql("insert into measured (at) values (%s)", NOW)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        maintained.sql("insert into measured (at, team) values (%s, gen_random_uuid())", NOW)
    assert maintained.sql("select id, twice from measured_2024_05") == [(1, 2)]
    assert len(indexes(maintained, "measured_2024_05")) == 2


async def test_two_runs_at_once(maintained: World) -> None:
    """Two servers that make the same partitions at the same time both succeed, and each partition is made once."""
    results: list[dict[str, Any]] = []

    async def run() -> None:
        results.append(await maintained.result("partition_creation", lock_tries=100))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)
    assert sorted(results[0]["created"] + results[1]["created"]) == sorted(f"{t}_{m}" for t in TABLES for m in MONTHS)


async def test_a_cancelled_run_returns_what_it_made(maintained: World) -> None:
    """A cancel request ends the run after the month under way; what it made is whole, and the result names it."""
    report = await maintained.run("partition_creation", cancel_when=lambda progress: progress.processed == 5)
    assert report.status == "cancelled"
    assert report.result["cancelled_at"] == 5
    assert report.result["created"] == [f"events_{month}" for month in MONTHS] + ["metric_events_2024_04"]
    assert [report.result[table] for table in TABLES] == [True, False, False]
    assert len(indexes(maintained, "metric_events_2024_04")) == 4
