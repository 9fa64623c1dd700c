"""partition_creation where names are taken, where other partitions lie in the way, and where indexes only seem to be there."""

from typing import Any

import psycopg
import pytest

from tests.plugins.maintenance_world import NOW, World

ONE_INDEX: dict[str, Any] = {
    "partitioned_tables": [{"table": "events", "indexes": {"i": ["app_id"]}}],
    "months_ahead": 0,
}
MAY = "('2024-05-01 00:00+00') to ('2024-06-01 00:00+00')"


@pytest.mark.parametrize(
    ("taken", "kind"),
    [
        ("create table events_2024_05 (a int)", "table"),
        ("create view events_2024_05 as select 1", "view"),
        ("create materialized view events_2024_05 as select 1", "view"),
        ("create sequence events_2024_05", "sequence"),
        ("create index events_2024_05 on users (name)", "index"),
        ("alter table users add constraint events_2024_05 unique (name)", "index"),
        ("create type events_2024_05 as enum ('a')", "type"),
        ("create type events_2024_05 as (a int)", "type"),
        ("create domain events_2024_05 as int", "type"),
        ("create table events_2024_05 partition of metric_events default", "table"),
    ],
)
async def test_whatever_has_the_name(maintained: World, taken: str, kind: str) -> None:
    """A month is made under another name whatever has its own, at the first try, and the result tells what that is."""
    maintained.sql(taken)
    report = await maintained.run("partition_creation", lock_tries=1, **ONE_INDEX)
    assert report.result["created"] == ["events_2024_04", "events_2024_05_2"]
    assert report.result["names_taken"] == {"events_2024_05_2": f"{kind} events_2024_05"}
    maintained.add_event(NOW)
    assert maintained.one("select count(*) from events_2024_05_2") == 1


@pytest.mark.parametrize(
    "taken",
    ["create table {} (a int)", "create sequence {}", "create index {} on users (name)", "create view {} as select 1"],
)
async def test_whatever_has_the_name_of_an_index(maintained: World, taken: str) -> None:
    """Where the name of one of its indexes is taken a new partition takes a number, which its indexes have too."""
    maintained.sql(taken.format("events_2024_05_i"))
    result = await maintained.result("partition_creation", lock_tries=1, **ONE_INDEX)
    assert result["created"] == ["events_2024_04", "events_2024_05_2"]
    assert maintained.sql("select indexname from pg_indexes where tablename = 'events_2024_05_2'") == [
        ("events_2024_05_2_i",)
    ]


async def test_a_detached_partition_keeps_its_name_and_indexes(maintained: World) -> None:
    """Beside one that was detached and renamed, its indexes' names kept, the month is made anew; the detached one is whole."""
    await maintained.result("partition_creation")
    maintained.add_event(NOW)
    maintained.sql("alter table events detach partition events_2024_05; alter table events_2024_05 rename to kept")
    report = await maintained.run("partition_creation", lock_tries=1)
    assert (report.status, report.result["created"]) == ("completed", ["events_2024_05_2"])
    assert maintained.one("select count(*) from pg_indexes where tablename = 'events_2024_05_2'") == 7
    assert maintained.sql("select (select count(*) from kept), (select count(*) from events)") == [(1, 0)]


async def test_what_exists_overlaps_or_was_detached_is_told_apart(maintained: World) -> None:
    """Existing months are counted, partitions of other bounds named, and of a detached one it is told that it has the name."""
    await maintained.result("partition_creation", **ONE_INDEX)
    maintained.sql("drop table events_2024_04")
    maintained.sql(
        "create table early partition of events for values from ('2024-03-20 00:00+00') to ('2024-04-11 00:00+00')"
    )
    maintained.sql("alter table events detach partition events_2024_05")
    settings = ONE_INDEX | {"months_ahead": 1}
    maintained.sql(
        "create table events_2024_06 partition of events for values from ('2024-06-01 00:00+00') to ('2024-07-01 00:00+00')"
    )
    result = await maintained.result("partition_creation", **settings)
    assert result == {
        "events": True,
        "created": ["events_2024_04", "events_2024_05_2"],
        "existing": 2,
        "indexes_created": ["early_i", "events_2024_06_i"],
        "overlapping": ["early"],
        "names_taken": {"events_2024_05_2": "table events_2024_05"},
    }
    assert maintained.bounds("events_2024_04").startswith("('2024-04-11")


async def test_bounds_are_read_whatever_strings_mean(maintained: World) -> None:
    """A database in which backslashes escape has its partitions found all the same."""
    await maintained.result("partition_creation")
    maintained.sql(
        f"alter database {maintained.one('select current_database()')} set standard_conforming_strings = off"
    )
    result = await maintained.result("partition_creation", lock_tries=1)
    assert (result["created"], result["existing"]) == ([], 12)


async def test_what_cannot_change_is_tried_once_more_and_no_oftener(maintained: World) -> None:
    """An error that a second look meets again is there for good: no further try is spent on it."""
    maintained.sql(
        "create table tries (n int);"
        "create function refuse() returns event_trigger language plpgsql as $$ begin"
        " raise duplicate_table using message = 'relation is refused'; end $$;"
        "create event trigger refuse on ddl_command_start when tag in ('CREATE TABLE') execute function refuse()"
    )
    report = await maintained.run("partition_creation", attempt=3, **ONE_INDEX)
    assert report.status == "failed"
    assert "events 2024_04: relation is refused; events 2024_05: relation is refused" in str(report.error)
    assert sum("trying again" in line for line in report.logs) == 2


async def test_only_indexes_that_the_partition_has_are_named(maintained: World) -> None:
    """Where another table's index has the name, the partition gets one under another name, and the result has that."""
    maintained.sql(f"create table events_2024_05 partition of events for values from {MAY}")
    maintained.sql("create index events_2024_05_i on users (name)")
    result = await maintained.result("partition_creation", **ONE_INDEX)
    assert result["indexes_created"] == ["events_2024_05_2_i"]
    assert maintained.sql("select indexname from pg_indexes where tablename = 'events_2024_05'") == [
        ("events_2024_05_2_i",)
    ]
    assert (await maintained.result("partition_creation", **ONE_INDEX))["indexes_created"] == []


async def test_what_an_interrupted_run_left_behind_is_dropped(maintained: World) -> None:
    """An index that was never finished is dropped whatever its number, and made anew; it never adds up."""
    maintained.sql(f"create table events_2024_05 partition of events for values from {MAY}")
    maintained.sql("create index events_2024_05_i on users (name)")
    maintained.sql("create index events_2024_05_2_i on events_2024_05 (app_id)")
    maintained.sql("update pg_index set indisvalid = false where indexrelid = 'events_2024_05_2_i'::regclass")
    result = await maintained.result("partition_creation", **ONE_INDEX)
    assert result["indexes_created"] == ["events_2024_05_2_i"]
    assert (
        maintained.one("select count(*) from pg_index where indrelid = 'events_2024_05'::regclass and indisvalid") == 1
    )


async def test_names_as_long_as_they_may_be(maintained: World) -> None:
    """Indexes on partitions of 63 bytes have names that are cut, told apart and told as they are."""
    long = "m" * 62
    for letter, month in (("a", "04"), ("b", "05")):
        maintained.sql(
            f"create table {long}{letter} partition of events"
            f" for values from ('2024-{month}-01 00:00+00') to ('2024-{int(month) + 1:02}-01 00:00+00')"
        )
    result = await maintained.result("partition_creation", **ONE_INDEX)
    assert result["indexes_created"] == ["m" * 61 + "_i", "m" * 59 + "_2_i"]
    found = maintained.sql("select indexname from pg_indexes where indexname ~ '^mmm' order by tablename")
    assert [name for (name,) in found] == result["indexes_created"]
    assert (await maintained.result("partition_creation", **ONE_INDEX))["indexes_created"] == []


async def test_rows_in_the_default_partition_are_told(maintained: World) -> None:
    """A month whose rows lie in the default partition is told with their number, after all other months were made."""
    maintained.sql("create table rest partition of events default")
    for _ in range(3):
        maintained.add_event(NOW)
    report = await maintained.run("partition_creation")
    assert (report.status, report.result["events"], report.result["metric_events"]) == ("completed", False, True)
    assert report.result["in_default_partition"] == {
        "events 2024_05": {"partition": "rest", "rows": 3, "reason": "move_from_default is not set"}
    }
    assert len(maintained.partitions("events")) == 4
    assert len(maintained.partitions("funnel_events")) == 4
    assert not any("trying again" in line for line in report.logs)


async def test_rows_are_moved_out_of_the_default_partition(maintained: World) -> None:
    """With move_from_default the month's rows are moved, to the last microsecond, generated values and identity too."""
    maintained.sql(
        'create table measured (id bigint generated always as identity, at timestamp not null, "Note %s" text,'
        " twice int generated always as (extract(day from at)::int * 2) stored, primary key (id, at))"
        " partition by range (at)"
    )
    maintained.sql("create table rest partition of measured default")
    moments = ("2024-04-30 23:59:59.999999", "2024-05-01", "2024-05-31 23:59:59.999999", "2024-06-01", "2020-01-01")
    for moment in moments:
        maintained.sql("insert into measured (at, \"Note %%s\") values (%s, 'x')", moment)
    before = maintained.sql("select * from measured order by id")
    settings: dict[str, Any] = {"partitioned_tables": [{"table": "public.measured"}], "months_ahead": 0}
    result = await maintained.result("partition_creation", move_from_default=True, **settings)
    assert result["moved_from_default"] == {"public.measured_2024_04": 1, "public.measured_2024_05": 2}
    assert (result["public.measured"], "in_default_partition" in result) == (True, False)
    assert maintained.sql("select * from measured order by id") == before
    assert maintained.sql("select at::text from rest order by 1") == [
        ("2020-01-01 00:00:00",),
        ("2024-06-01 00:00:00",),
    ]
    assert maintained.one("select count(*) from measured_2024_05") == 2
    maintained.sql("insert into measured (at) values ('2024-05-02')")
    assert maintained.one("select max(id) from measured_2024_05") == len(moments) + 1


@pytest.mark.parametrize(
    ("change", "limit", "reason"),
    [
        (
            "create table child (a int, at timestamptz, foreign key (a, at) references main on delete cascade)",
            100,
            "trigger",
        ),
        ("create trigger t after delete on main for each row execute function nothing()", 100, "trigger"),
        ("select", 2, "max_pruned_rows"),
    ],
)
async def test_rows_that_cannot_be_moved_safely_stay(maintained: World, change: str, limit: int, reason: str) -> None:
    """Where a deletion would take other rows along, or too many rows would be moved at once, they stay, and why is told."""
    maintained.sql("create function nothing() returns trigger language plpgsql as $$ begin return null; end $$")
    maintained.sql("create table main (a int, at timestamptz, primary key (a, at)) partition by range (at)")
    maintained.sql("create table rest partition of main default")
    maintained.sql(change)
    for number in range(3):
        maintained.sql("insert into main values (%s, %s)", number, NOW)
    settings: dict[str, Any] = {"partitioned_tables": [{"table": "main"}], "months_ahead": 0, "max_pruned_rows": limit}
    result = await maintained.result("partition_creation", move_from_default=True, **settings)
    assert reason in result["in_default_partition"]["main 2024_05"]["reason"]
    assert (maintained.one("select count(*) from rest"), result["created"]) == (3, ["main_2024_04"])


async def test_a_writer_beside_a_move_is_given_way_to(maintained: World) -> None:
    """While somebody writes to the default partition, nothing is moved, and the run says so; nobody loses a row."""
    maintained.sql("create table rest partition of events default")
    maintained.add_event(NOW)
    with maintained.somebody() as writer:
        writer.execute(
            "insert into events (app_id, session_id, level, message, timestamp)"
            " values (gen_random_uuid(), gen_random_uuid(), 'info', 'x', %s)",
            (NOW,),
        )
        report = await maintained.run(
            "partition_creation", attempt=3, move_from_default=True, lock_tries=2, lock_timeout=0.01, **ONE_INDEX
        )
        writer.commit()
    assert "events 2024_05: given up after 2 tries: canceling statement due to lock timeout" in str(report.error)
    result = await maintained.result("partition_creation", move_from_default=True, **ONE_INDEX)
    assert result["moved_from_default"] == {"events_2024_05": 2}
    with pytest.raises(psycopg.errors.CheckViolation):
        maintained.sql("insert into rest select * from events_2024_05")
