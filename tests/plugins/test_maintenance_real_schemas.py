"""The maintenance jobs on what is found in the schemas of others: policies, publications, generated values, and odd names."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.plugins.maintenance_world import NOW, World

NOTHING_FITS = {"max_size_bytes": 1}
LONG = 'Q"' + "u" * 50
"""With _2024_05 and an index's suffix it is as long as a name may be."""
LONGEST = 'Z"' + "é" * 30 + "%"
"""63 bytes."""


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def owner(maintained: World) -> Iterator[World]:
    """The database as a role sees it that owns the events and is no superuser."""
    role = maintained.one("select current_database()")
    maintained.sql(f"create role {role} login; grant {role} to current_user; grant create on schema public to {role}")
    maintained.sql(f"grant select, insert, update, delete on all tables in schema public to {role}")
    maintained.sql(f"alter table events owner to {role}")
    try:
        yield World(psycopg.conninfo.make_conninfo(maintained.url, user=role), maintained.connection)
    finally:
        maintained.sql(f"reassign owned by {role} to current_user; drop owned by {role}; drop role {role}")


def add_may(world: World, rows: int = 20) -> None:
    """The previous month and this one, of the owner of the events, with rows in both."""
    role = world.one("select tableowner from pg_tables where tablename = 'events'")
    world.add_months("2024_01", "2024_04", "2024_05", rows=rows)
    for month in ("2024_01", "2024_04", "2024_05"):
        world.sql(f"alter table events_{month} owner to {role}")


async def test_rows_that_a_policy_hides_are_not_taken_for_none(owner: World) -> None:
    """Where row-level security is forced upon the owner, what it hides is no empty partition: none is emptied, and why is told."""
    add_may(owner)
    for table in ("events_2024_04", "events_2024_05"):
        owner.sql(f"alter table {table} enable row level security, force row level security")
    result = await owner.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["emptied_partitions"]) == (["events_2024_01"], [])
    assert result["failed"] == {
        f"events_{month}": f'query would be affected by row-level security policy for table "events_{month}"'
        for month in ("2024_04", "2024_05")
    }
    assert owner.one("select count(*) from events") == 40


async def test_policies_that_are_not_forced_hide_nothing_from_the_owner(owner: World) -> None:
    """Row-level security that does not bind the owner is no hindrance, also to months that are made."""
    add_may(owner)
    owner.sql("alter table events enable row level security; alter table events_2024_04 enable row level security")
    result = await owner.result("db_pruning", NOTHING_FITS)
    assert (result["deleted_rows"], result["emptied_partitions"]) == (40, ["events_2024_04"])
    made = await owner.result("partition_creation", partitioned_tables=[{"table": "events"}])
    assert made["created"] == ["events_2024_06", "events_2024_07"]


async def test_a_forced_policy_keeps_rows_in_the_default_partition(owner: World) -> None:
    """Rows of the default partition that a policy hides fail the month by name, instead of being left behind unseen."""
    role = owner.one("select tableowner from pg_tables where tablename = 'events'")
    owner.sql(f"create table rest partition of events default; alter table rest owner to {role}")
    owner.add_event(NOW)
    owner.sql("alter table rest enable row level security, force row level security")
    report = await owner.run(
        "partition_creation", attempt=3, move_from_default=True, partitioned_tables=[{"table": "events"}]
    )
    assert report.status == "failed"
    assert 'events 2024_05: query would be affected by row-level security policy for table "rest"' in str(report.error)
    assert owner.one("select count(*) from rest") == 1


async def test_a_policy_keeps_roots_whole(owner: World) -> None:
    """A soft-deleted row that a policy hides fails the run by name; it is not reported as if there was nothing to remove."""
    role = owner.one("select tableowner from pg_tables where tablename = 'events'")
    owner.sql(
        "create table things (id int primary key, deleted_at timestamptz); insert into things values (1, '2024-01-01');"
        f"alter table things owner to {role}; alter table things enable row level security, force row level security"
    )
    for settings in (
        {"soft_deleted_roots": ["things"], "soft_deleted_leaves": [], "linked_tables": []},
        {"soft_deleted_roots": [], "soft_deleted_leaves": ["things"], "linked_tables": []},
    ):
        report = await owner.run("soft_delete_cleanup", **settings)
        assert report.status == "failed"
        assert "row-level security policy" in str(report.error)
    assert owner.one("select count(*) from things") == 1


async def test_published_tables_without_a_replica_identity_are_named(maintained: World) -> None:
    """PostgreSQL deletes no rows of a published table that nothing identifies: named; with an identity they go, months are made."""
    maintained.add_months("2024_01", "2024_05", rows=20)
    maintained.sql("create publication everything for all tables")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["deleted_rows"]) == (["events_2024_01"], 0)
    assert "does not have a replica identity and publishes deletes" in result["failed"]["events_2024_05"]
    maintained.sql("alter table events_2024_05 replica identity full")
    assert (await maintained.result("db_pruning", NOTHING_FITS))["deleted_rows"] == 20
    made = await maintained.result("partition_creation", partitioned_tables=[{"table": "events"}])
    assert made["created"] == ["events_2024_04", "events_2024_06", "events_2024_07"]


async def test_generated_values_identity_and_long_names(maintained: World) -> None:
    """Tables with generated and identity columns, and names in upper case with quotes up to the last byte, are made and pruned."""
    table, column = quoted(LONG), quoted(LONGEST)
    maintained.sql(
        f"create table {table} (id bigint generated always as identity, {column} timestamptz not null, large text,"
        f" twice bigint generated always as (length(large) * 2) stored, primary key (id, {column}))"
        f" partition by range ({column})"
    )
    settings: dict[str, Any] = {
        "partitioned_tables": [{"table": LONG, "indexes": {}}],
        "months_ahead": 0,
    }
    made = await maintained.result("partition_creation", **settings)
    assert made["created"] == [f"{LONG}_2024_04", f"{LONG}_2024_05"]
    maintained.sql(
        f"insert into {table} ({column}, large) select timestamptz '2024-04-20 00:00+00' + n * interval '1 hour',"
        " repeat('x', n) from generate_series(0, 479) n"
    )
    result = await maintained.result("db_pruning", NOTHING_FITS, max_pruned_rows=300, **settings)
    assert [(step["partition"], step["action"]) for step in result["audit"]] == [
        (f"{LONG}_2024_04", "deleted_rows"),
        (f"{LONG}_2024_05", "deleted_rows"),
        (f"{LONG}_2024_04", "emptied"),
    ]
    assert maintained.one(f"select min(id) from {table}") == 301


async def test_soft_deletes_in_odd_schemas(maintained: World) -> None:
    """Identity keys, generated columns, long quoted names, rows that refer to themselves, and circles of keys that refuse."""
    root, child, mark = quoted(LONGEST), quoted(LONG), quoted("Deleted At")
    maintained.sql(
        f"create table {root} (id bigint generated always as identity primary key, {mark} timestamptz,"
        " twice bigint generated always as (1 + 1) stored, myself bigint);"
        f"alter table {root} add foreign key (myself) references {root};"
        f"create table {child} (id bigint generated always as identity primary key,"
        f" root bigint references {root} on delete cascade, next bigint);"
        f"alter table {child} add foreign key (next) references {child};"
        f"create table linked (id bigint generated always as identity primary key, root bigint);"
        f"insert into {root} ({mark}) values ('2024-01-01'), (null); update {root} set myself = id;"
        f"insert into {child} (root) values (1), (1), (2);"
        f"update {child} set next = case id when 1 then 2 when 2 then 1 else 3 end;"
        "insert into linked (root) values (1), (1), (2)"
    )
    result = await maintained.result(
        "soft_delete_cleanup",
        soft_deleted_roots=[LONGEST],
        soft_deleted_leaves=[],
        deleted_at_column="Deleted At",
        linked_tables=[{"table": "linked", "column": "root", "root": LONGEST}],
    )
    assert "notRemoved" not in result, result
    assert [maintained.sql(f"select id from {table}") for table in (root, child, "linked")] == [[(2,)], [(3,)], [(3,)]]


async def test_roots_that_refuse_each_other(maintained: World) -> None:
    """Two soft-deleted rows that refer to each other by keys that refuse stay and are named, and others go."""
    maintained.sql(
        "create table things (id int primary key, other int, deleted_at timestamptz);"
        "alter table things add constraint pair foreign key (other) references things;"
        "insert into things values (1, null, '2024-01-01'), (2, 1, '2024-01-01'), (3, null, '2024-01-01');"
        "update things set other = 2 where id = 1"
    )
    settings: dict[str, Any] = {"soft_deleted_roots": ["things"], "soft_deleted_leaves": [], "linked_tables": []}
    result = await maintained.result("soft_delete_cleanup", **settings)
    assert (result["things"], sorted(result["notRemoved"])) == (1, ["things 1", "things 2"])
    assert "pair" in result["notRemoved"]["things 1"]
    assert maintained.sql("select id from things order by 1") == [(1,), (2,)]
