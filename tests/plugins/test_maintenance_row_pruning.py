"""db_pruning without old partitions: the oldest rows go, in batches, as many as are needed and never again for the same space."""

from collections.abc import Callable
from typing import Any

import pytest

from owlrunner.job_run import Progress
from tests.plugins.maintenance_world import APP, NOW, World

NOTHING_FITS = {"max_size_bytes": 1}
COUNT = "select count(*) from events"


async def test_the_current_partition_is_never_dropped(maintained: World) -> None:
    """With a limit that nothing satisfies, an empty current partition stays, and its rows go when it has some."""
    maintained.add_months("2024_05")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["deleted_rows"], result["audit"]) == ([], 0, [])
    maintained.fill("events", "timestamptz '2024-05-02 00:00+00'", 10)
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert (result["dropped_partitions"], result["deleted_rows"], result["within_limit"]) == ([], 10, False)
    assert result["audit"] == [
        {"partition": "events_2024_05", "action": "deleted_rows", "rows": 10, "until": "2024-05-02T00:10:00.000Z"}
    ]
    assert (maintained.partitions("events"), maintained.one(COUNT)) == (["events_2024_05"], 0)


def small(world: World, rows: int) -> None:
    """Rows of one page's hundredth."""
    world.fill("events", "timestamptz '2024-05-01 00:00+00'", rows)


def large(world: World, rows: int) -> None:
    """As many bytes in rows that are mostly stored outside of the table."""
    world.sql(
        "insert into events (app_id, session_id, level, timestamp, message)"
        f" select %s, gen_random_uuid(), 'info', timestamptz '2024-05-01 00:00+00' + n * interval '1 minute',"
        f" (select string_agg(md5((n * 300 + m)::text), '') from generate_series(1, 250) m)"
        f" from generate_series(1, {rows // 50}) n",
        APP,
    )


@pytest.mark.parametrize("fill", [small, large])
async def test_no_more_rows_go_than_are_needed(maintained: World, fill: Callable[[World, int], None]) -> None:
    """The oldest fifth goes where a fifth is too much; a second run finds the space that is left and deletes nothing."""
    await maintained.result("partition_creation")
    fill(maintained, 20_000)
    size, rows = maintained.one("select pg_total_relation_size('events_2024_05')"), maintained.one(COUNT)
    limit = maintained.size - size // 5
    result = await maintained.result("db_pruning", {"max_size_bytes": limit})
    assert result["deleted_rows"] == pytest.approx(rows / 5, rel=0.2)
    assert (result["within_limit"], result["dropped_partitions"]) == (True, [])
    assert maintained.one(COUNT) == rows - result["deleted_rows"]
    until = result["audit"][0]["until"]
    assert maintained.one("select count(*) from events where timestamp <= %s", until) == 0
    for _ in range(2):
        again = await maintained.result("db_pruning", {"max_size_bytes": limit})
        assert (again["deleted_rows"], again["audit"], again["within_limit"]) == (0, [], True)
    assert maintained.one(COUNT) == rows - result["deleted_rows"]


async def test_new_rows_use_the_space_before_more_go(maintained: World) -> None:
    """Rows that come in take the place of the deleted ones: the database does not grow, and then the oldest go again."""
    maintained.add_months("2024_05", rows=20_000)
    limit = maintained.size - maintained.one("select pg_total_relation_size('events_2024_05')") // 5
    first = (await maintained.result("db_pruning", {"max_size_bytes": limit}))["deleted_rows"]
    size = maintained.size
    maintained.fill("events", "timestamptz '2024-05-20 00:00+00'", first * 9 // 10)
    assert maintained.size == pytest.approx(size, abs=400_000)
    second = (await maintained.result("db_pruning", {"max_size_bytes": limit}))["deleted_rows"]
    assert second == pytest.approx(first * 9 / 10, rel=0.3)


async def test_space_that_others_freed_counts(maintained: World) -> None:
    """Rows deleted by somebody else, vacuumed or not, have left space: as long as it suffices, nothing goes."""
    maintained.add_months("2024_05", rows=20_000)
    maintained.sql("alter table events_2024_05 set (autovacuum_enabled = false)")
    maintained.sql("delete from events where ctid in (select ctid from events order by random() limit 8000)")
    limit = maintained.size - maintained.one("select pg_total_relation_size('events_2024_05')") // 3
    result = await maintained.result("db_pruning", {"max_size_bytes": limit})
    assert (result["deleted_rows"], result["within_limit"]) == (0, True)
    assert maintained.one(COUNT) == 12_000


async def test_rows_go_in_batches_and_no_more_than_allowed(maintained: World) -> None:
    """Each batch is a transaction of its own and no larger than ``batch_rows``, and a run stops at ``max_pruned_rows``."""
    maintained.add_months("2024_05", rows=1000)
    maintained.sql("create table deletions (batch bigint, message text)")
    maintained.sql(
        "create function note() returns trigger language plpgsql as"
        " $$ begin insert into deletions values (txid_current(), old.message); return null; end $$;"
        " create trigger note after delete on events_2024_05 for each row execute function note()"
    )
    report = await maintained.run("db_pruning", NOTHING_FITS, batch_rows=100, max_pruned_rows=250)
    assert (report.status, report.result["deleted_rows"], report.result["within_limit"]) == ("completed", 250, False)
    assert maintained.sql("select count(*) from deletions group by batch order by batch") == [(100,), (100,), (50,)]
    assert maintained.one("select max(substr(message, 7)::int) from deletions") == 250
    assert [one.processed for one in report.progress] == [100, 200, 250]
    assert report.progress[-1].message == "events_2024_05: 250 rows deleted"
    assert "deleted 250 rows of events_2024_05, until 2024-05-01T04:10:00.000Z" in report.logs


async def test_rows_of_every_table_go(maintained: World) -> None:
    """Where one table's rows do not suffice, those of the next follow; partitions of the future and of others keep theirs."""
    for parent in ("events", "metric_events", "funnel_events"):
        maintained.add_months("2024_05", "2024_06", parent=parent, rows=5)
    maintained.sql("create table plain (at timestamptz); insert into plain values (now())")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert [(step["partition"], step["rows"]) for step in result["audit"]] == [
        ("events_2024_05", 5), ("metric_events_2024_05", 5), ("funnel_events_2024_05", 5),
    ]  # fmt: skip
    assert maintained.sql("select tableoid::regclass::text, count(*) from events group by 1") == [("events_2024_06", 5)]
    assert maintained.one("select count(*) from plain") == 1


async def test_a_key_of_another_kind(maintained: World) -> None:
    """Rows go by whichever column partitions the table, be it called and typed as it may."""
    maintained.sql('create table logged ("The Day" date not null, line text) partition by range ("The Day")')
    maintained.sql("create table may partition of logged for values from ('2024-05-01') to ('2024-06-01')")
    maintained.sql("insert into logged select date '2024-05-31' - n, n from generate_series(0, 29) n")
    result = await maintained.result(
        "db_pruning", NOTHING_FITS, partitioned_tables=[{"table": "public.logged"}], max_pruned_rows=10
    )
    assert result["audit"] == [{"partition": "public.may", "action": "deleted_rows", "rows": 10, "until": "2024-05-11"}]
    assert maintained.one('select min("The Day")::text from logged') == "2024-05-12"


def at(processed: int, action: Callable[[], Any]) -> Callable[[Progress], bool]:
    """What looks at the progress to cancel, but only does something once so many rows are gone."""

    def when(progress: Progress) -> bool:
        if progress.processed == processed:
            action()
        return False

    return when


async def test_a_new_row_in_an_old_ones_place_stays(maintained: World) -> None:
    """Where somebody deletes an old row and a new one is stored in its place before its batch comes, the new one stays."""
    maintained.add_months("2024_05", rows=200)
    places = (
        "select array_agg(ctid::text) from events_2024_05 where message like 'new %%' or substr(message, 7)::int > 100"
    )

    def replace() -> None:
        old = maintained.one(places)
        maintained.sql("delete from events_2024_05")
        maintained.sql("vacuum events_2024_05")
        for number in range(200):
            maintained.add_event(NOW, f"new {number}")
        assert set(maintained.one(places)) & set(old), "the test is of no use where no place is taken again"

    report = await maintained.run(
        "db_pruning", NOTHING_FITS, batch_rows=100, max_pruned_rows=200, cancel_when=at(100, replace)
    )
    assert (report.status, report.result["deleted_rows"]) == ("completed", 100)
    assert maintained.one("select count(*) from events where message like 'new %%'") == 200


async def test_a_cancelled_run_tells_what_it_deleted(maintained: World) -> None:
    """A cancel request ends the run after the batch under way; the audit has the rows of the batches before."""
    maintained.add_months("2024_05", rows=1000)
    report = await maintained.run(
        "db_pruning", NOTHING_FITS, batch_rows=100, cancel_when=lambda progress: progress.processed == 300
    )
    assert (report.status, report.result["deleted_rows"], report.result["cancelled_at"]) == ("cancelled", 300, 0)
    assert report.result["audit"][0]["rows"] == 300
    assert maintained.one(COUNT) == 700


async def test_rows_that_somebody_holds_are_named(maintained: World) -> None:
    """A partition with a locked row is named, what was deleted before it is told, and the next table's rows go all the same."""
    for parent in ("events", "metric_events"):
        maintained.add_months("2024_05", parent=parent, rows=100)
    with maintained.somebody() as somebody:
        somebody.execute("select from events where message = 'event 42' for update")
        result = await maintained.result("db_pruning", NOTHING_FITS, batch_rows=10, lock_timeout=0.01, lock_tries=2)
    assert result["failed"] == {"events_2024_05": "given up after 2 tries: canceling statement due to lock timeout"}
    assert [(step["partition"], step["rows"]) for step in result["audit"]] == [
        ("events_2024_05", 40), ("metric_events_2024_05", 100),
    ]  # fmt: skip
    assert (maintained.one(COUNT), result["deleted_rows"]) == (60, 140)


async def test_a_locked_partition_is_named(maintained: World) -> None:
    """Where the only partition with rows is locked, the run fails and says so."""
    maintained.add_months("2024_05", rows=10)
    with maintained.somebody() as somebody:
        somebody.execute("lock table events_2024_05 in access exclusive mode")
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=0.01, lock_tries=2)
    assert report.status == "failed"
    reason = "events_2024_05: given up after 2 tries: canceling statement due to lock timeout"
    assert str(report.error).endswith(f"removed: {reason}")
    assert maintained.one(COUNT) == 10
