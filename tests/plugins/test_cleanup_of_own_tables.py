"""soft_delete_cleanup on an application's own tables: what goes, and in which order, follows from their foreign keys."""

from typing import Any

import pytest

from owlrunner_maintenance.foreign_keys import ForeignKey, ForeignKeys
from owlrunner_maintenance.names import Relation
from tests.plugins.maintenance_world import World

SHOP = """
create schema "My Shop";
set search_path to "My Shop";
create table "Owner's" (id bigint primary key, "gone at" timestamptz, main_till int);
create table branch (
    owner bigint references "Owner's" on delete cascade, no int, beside int, "select" text,
    primary key (owner, no), foreign key (owner, beside) references branch on delete cascade
);
create table "till%s" (
    id int primary key, owner bigint, no int, "gone at" timestamptz,
    foreign key (owner, no) references branch (owner, no) on delete cascade
);
alter table "Owner's" add foreign key (main_till) references "till%s";
create table receipt (id int primary key, till int references "till%s" on delete cascade);
create table refund (
    owner bigint references "Owner's" on delete cascade, receipt int references receipt on delete restrict,
    approved_by int references "till%s" on delete set null
);
create table sale (till int, at timestamptz) partition by range (at);
create table sale_1 partition of sale for values from ('2024-01-01') to ('2024-02-01');
create table sale_2 partition of sale for values from ('2024-02-01') to ('2024-03-01');
reset search_path;
"""
SETTINGS: dict[str, Any] = {
    "deleted_at_column": "gone at",
    "soft_deleted_roots": ["My Shop.Owner's", "My Shop.till%s"],
    "soft_deleted_leaves": [],
    "linked_tables": [{"table": "My Shop.sale", "column": "till", "root": "My Shop.till%s"}],
}


@pytest.fixture
def shop(maintained: World) -> World:
    """Two owners with two branches each, one beside the other, and in each branch a till with receipts, refunds and sales."""
    maintained.sql(SHOP)
    maintained.sql('set search_path to "My Shop"')
    for owner in (1, 2):
        maintained.sql("""insert into "Owner's" values (%s)""", owner)
        maintained.sql("insert into branch values (%s, 1, null), (%s, 2, 1)", owner, owner)
        for no in (1, 2):
            till = owner * 10 + no
            maintained.sql('insert into "till%%s" values (%s, %s, %s)', till, owner, no)
            maintained.sql("insert into receipt values (%s, %s)", till, till)
            maintained.sql("insert into refund values (%s, %s, %s)", owner, till, till)
            maintained.sql("insert into sale values (%s, '2024-01-15'), (%s, '2024-02-15')", till, till)
        maintained.sql("""update "Owner's" set main_till = %s where id = %s""", owner * 10 + 1, owner)
    return maintained


def left(world: World) -> dict[str, list[int]]:
    """The tills that are left, by what is left of them."""
    return {
        "tills": [one for (one,) in world.sql('select id from "till%s" order by 1')],
        "receipts": [one for (one,) in world.sql("select till from receipt order by 1")],
        "sales": [one for (one,) in world.sql("select till from sale order by 1")],
    }


async def test_an_owner_goes_with_tables_of_any_kind(shop: World) -> None:
    """Composite keys, a circle, refusing keys, odd names and another schema: one owner goes, the other stays as it is."""
    shop.sql("""update "Owner's" set "gone at" = '2024-01-01' where id = 1""")
    result = await shop.result("soft_delete_cleanup", **SETTINGS)
    assert result == {"Owner's": 1, "till%s": 2, "sale": 4, "branch": 2, "receipt": 2, "refund": 2}
    assert left(shop) == {"tills": [21, 22], "receipts": [21, 22], "sales": [21, 21, 22, 22]}
    assert shop.sql("""select id, main_till from "Owner's" """) == [(2, 21)]
    assert shop.one("select count(*) from refund") == 2


async def test_a_row_that_others_refuse_to_let_go_stays_whole(shop: World) -> None:
    """A till that is its owner's main one, or that has a refund, stays; one that nothing refuses goes by itself."""
    shop.sql("""update "till%%s" set "gone at" = '2024-01-01' where owner = %s""", 1)
    shop.sql("delete from refund where receipt = 12")
    result = await shop.result("soft_delete_cleanup", **SETTINGS)
    assert (result["till%s"], result["receipt"], list(result["notRemoved"])) == (1, 1, ["My Shop.till%s 11"])
    assert "refund_receipt_fkey" in str(result["notRemoved"])
    assert left(shop)["receipts"] == [11, 21, 22]


async def test_a_tree_goes_with_what_is_linked_to_its_leaves(maintained: World) -> None:
    """Folders within a folder, over two tables that refer to each other, go with the notes in them: no note is orphaned."""
    maintained.sql(
        "create table folders (id int primary key, within int references folders on delete cascade, shelf int,"
        " deleted_at timestamptz);"
        "create table shelves (id int primary key, folder int references folders on delete cascade);"
        "alter table folders add foreign key (shelf) references shelves on delete cascade;"
        "create table notes (folder int);"
        "insert into folders values (1, null, null, '2024-01-01'), (2, 1, null, null), (3, 2, null, now()), (9, null, null, null);"
        "insert into shelves values (7, 3), (8, 9);"
        "insert into folders values (4, null, 7, null), (5, null, 8, null);"
        "update folders set shelf = 7 where id = 1;"
        "insert into notes select id from folders"
    )
    result = await maintained.result(
        "soft_delete_cleanup",
        soft_deleted_roots=["folders"],
        soft_deleted_leaves=[],
        linked_tables=[{"table": "notes", "column": "folder", "root": "folders"}],
    )
    assert result == {"folders": 4, "notes": 4, "shelves": 1}
    assert maintained.sql("select folder from notes order by 1") == [(5,), (9,)]
    assert maintained.sql("select id from folders order by 1") == [(5,), (9,)]


async def test_parents_may_be_partitioned(maintained: World) -> None:
    """Rows of two partitions have the same places, and only those that hang on the root go."""
    maintained.sql(
        "create table shops (id int primary key, deleted_at timestamptz);"
        "create table sites (id int, shop int references shops on delete cascade, primary key (id, shop))"
        " partition by list (shop);"
        "create table sites_1 partition of sites for values in (1); create table sites_2 partition of sites for values in (2);"
        "create table doors (id int primary key, site int, shop int, foreign key (site, shop) references sites on delete cascade);"
        "create table locks (door int references doors, site int, shop int,"
        " foreign key (site, shop) references sites on delete cascade);"
        "insert into shops values (1, '2024-01-01'), (2, null);"
        "insert into sites values (1, 1), (2, 1), (1, 2), (2, 2);"
        "insert into doors select shop * 10 + id, id, shop from sites; insert into locks select id, site, shop from doors"
    )
    result = await maintained.result(
        "soft_delete_cleanup", soft_deleted_roots=["shops"], soft_deleted_leaves=[], linked_tables=[]
    )
    assert result == {"shops": 1, "sites": 2, "doors": 2, "locks": 2}
    for table in ("sites", "doors", "locks"):
        assert maintained.sql(f"select shop, count(*) from {table} group by 1") == [(2, 2)]


async def test_millions_below_may_go_in_batches(maintained: World) -> None:
    """A table with a foreign key that is listed as linked goes in batches, before the transaction of its root."""
    maintained.sql(
        "insert into teams (id, name, slug, deleted_at) values (gen_random_uuid(), 'T', 't', '2024-01-01');"
        "insert into projects (team_id, name, slug) select id, 'P', 'p' from teams;"
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive) select 'x', team_id, id, 'x', false"
        " from projects, generate_series(1, 25)"
    )
    report = await maintained.run("soft_delete_cleanup", batch_rows=10)
    assert (report.result["jobRuns"], report.result["teams"]) == (25, 1)
    told = [one.message.split(": ")[1] for one in report.progress if "job_runs" in one.message]
    assert told == [f"{count} rows of job_runs deleted so far" for count in (10, 20, 25)]


async def test_linked_settings_that_do_not_fit_are_told(shop: World) -> None:
    """A linked column that is not there keeps the roots, whole, and is named."""
    shop.sql("""update "Owner's" set "gone at" = '2024-01-01' where id = 1""")
    linked = [{"table": "My Shop.sale", "column": "tile", "root": "My Shop.till%s"}]
    report = await shop.run("soft_delete_cleanup", **(SETTINGS | {"linked_tables": linked}))
    assert report.status == "failed"
    assert """My Shop.Owner's 1: column "tile" does not exist""" in str(report.error)
    assert left(shop)["tills"] == [11, 12, 21, 22]


def test_many_keys_between_many_tables() -> None:
    """Where each of thirty tables refers to all before it, the work grows with the keys, not with the ways through them."""
    tables = [Relation(number, "public", f"t{number:02}") for number in range(30)]
    keys = ForeignKeys(
        tuple(
            ForeignKey(child, parent, ("x",), ("y",), "c")
            for child in tables
            for parent in tables
            if child.oid > parent.oid
        )
    )
    below = keys.below(tables[0], [tables[-1]])
    assert below.order == tuple(reversed(tables))
    assert len(below.hops) == 30 * 29 / 2
