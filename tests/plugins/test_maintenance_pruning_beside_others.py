"""db_pruning beside others: it waits for nobody for long, gives way, and removes only what is still what it was."""

import psycopg
import pytest

from tests.plugins.conftest import OnRetry
from tests.plugins.maintenance_world import NOW, World

PAST = ("2024_01", "2024_02", "2024_03")
OLD = [f"events_{month}" for month in PAST]
NOTHING_FITS = {"max_size_bytes": 1}
ATTACHED_ANEW = """
alter table events detach partition events_2024_01;
alter table events attach partition events_2024_01 for values from ('2024-01-01 00:00+00') to ('2024-06-01 00:00+00')
"""


@pytest.mark.parametrize("locked", ["events", "events_2024_01", "events_2024_04"])
async def test_a_lock_that_is_given_back_is_waited_for(maintained: World, on_retry: OnRetry, locked: str) -> None:
    """A partition, or its table, that somebody reads is tried again, and removed once they are through."""
    maintained.add_months("2024_01", "2024_04", rows=1)
    with maintained.somebody() as reader:
        reader.execute(f"select from {locked}".encode())
        on_retry(reader.rollback)
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=0.01)
    assert report.status == "completed"
    assert report.result["dropped_partitions"] == ["events_2024_01"]
    assert report.result["emptied_partitions"] == ["events_2024_04"]
    assert any("trying again" in line for line in report.logs)


async def test_a_locked_partition_is_passed_over(maintained: World) -> None:
    """Others go, the locked one is named with the reason, and no newer rows are deleted in its stead."""
    maintained.add_months(*PAST, "2024_04", "2024_05", rows=10)
    with maintained.somebody() as reader:
        reader.execute("select from only events_2024_02")
        result = await maintained.result("db_pruning", NOTHING_FITS, lock_timeout=0.01, lock_tries=2)
    assert result["dropped_partitions"] == ["events_2024_01", "events_2024_03"]
    assert list(result["failed"]) == ["events_2024_02"]
    assert result["failed"]["events_2024_02"].startswith("given up after 2 tries: could not obtain lock on relation")
    assert result["deleted_rows"] == 0
    assert maintained.sql("select tableoid::regclass::text, count(*) from events group by 1 order by 1") == [
        ("events_2024_02", 10),
        ("events_2024_04", 10),
        ("events_2024_05", 10),
    ]


async def test_a_run_that_can_do_nothing_fails(maintained: World) -> None:
    """Above the limit and kept from removing anything, a run fails, and its error names what was to go first and the reason."""
    maintained.add_months("2024_01", "2024_04", "2024_05", rows=1)
    with maintained.somebody() as reader:
        reader.execute("select from events")
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=0.01, lock_tries=1)
    assert report.status == "failed"
    assert str(report.error) == (
        "the database is above its limit, and nothing could be removed:"
        " events_2024_01: given up after 1 tries: canceling statement due to lock timeout"
    )
    assert maintained.one("select count(*) from events") == 3


async def test_what_others_depend_on_is_named(maintained: World) -> None:
    """A partition that a view is built upon stays, the view works on, and the other partitions go."""
    maintained.add_months(*PAST, "2024_05", rows=1)
    maintained.sql("create view february as select * from events_2024_02")
    result = await maintained.result("db_pruning", NOTHING_FITS)
    assert result["dropped_partitions"] == ["events_2024_01", "events_2024_03"]
    assert result["failed"] == {
        "events_2024_02": "cannot drop table events_2024_02 because other objects depend on it"
        " (view february depends on table events_2024_02)"
    }
    assert (maintained.one("select count(*) from february"), result["deleted_rows"]) == (1, 0)


async def test_what_must_not_be_dropped_by_this_role_is_named(maintained: World) -> None:
    """Partitions of another owner stay and are named, and the run goes on with the next."""
    maintained.add_months("2024_01", "2024_04", "2024_05", parent="events", rows=1)
    maintained.add_months("2024_02", parent="metric_events", rows=1)
    role = maintained.one("select current_database()")
    maintained.sql(f"create role {role} login; grant {role} to current_user")
    maintained.sql(f"grant create on schema public to {role}; alter table metric_events owner to {role}")
    maintained.sql(
        f"alter table metric_events_2024_02 owner to {role}; grant select on all tables in schema public to {role}"
    )
    try:
        limited = World(psycopg.conninfo.make_conninfo(maintained.url, user=role), maintained.connection)
        result = await limited.result("db_pruning", NOTHING_FITS)
    finally:
        maintained.sql(f"drop owned by {role}; drop role {role}")
    assert result["dropped_partitions"] == ["metric_events_2024_02"]
    assert result["failed"] == {"events_2024_01": "permission denied for table events"}
    assert maintained.one("select count(*) from events") == 3


@pytest.mark.parametrize(
    ("month", "change", "left"),
    [
        ("2024_01", "drop table events_2024_01", None),
        ("2024_01", "alter table events detach partition events_2024_01", "events_2024_01"),
        ("2024_01", "alter table events_2024_01 rename to mine", "mine"),
        ("2024_01", ATTACHED_ANEW, "events_2024_01"),
        ("2024_04", "drop table events_2024_04", None),
        ("2024_04", "alter table events_2024_04 set schema kept", "kept.events_2024_04"),
    ],
    ids=["dropped", "detached", "renamed", "attached anew", "dropped this spring", "moved"],
)
async def test_what_changes_meanwhile_is_left_alone(
    maintained: World, on_retry: OnRetry, month: str, change: str, left: str | None
) -> None:
    """Dropped, detached, renamed or moved by somebody between the look and the lock, a table is no longer ours to remove."""
    maintained.add_months(month, rows=5)
    maintained.sql("create schema kept")
    with maintained.somebody() as somebody:
        somebody.execute("lock table events in share row exclusive mode")
        somebody.execute(f"lock table events_{month} in access exclusive mode".encode())

        def change_it() -> None:
            somebody.execute(change.encode())
            somebody.commit()

        on_retry(change_it)
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=0.01)
    assert report.status == "completed"
    assert (report.result["dropped_partitions"], report.result["emptied_partitions"]) == ([], [])
    assert "failed" not in report.result
    if left is not None:
        assert maintained.one(f"select count(*) from {left}") == 5


async def test_a_dry_run_locks_nobody_out_and_waits_for_nobody(maintained: World) -> None:
    """Beside an open transaction it tells all the same, and one that has a partition locked is not waited for."""
    maintained.add_months(*PAST, "2024_04", rows=1)
    with maintained.somebody() as writer:
        writer.execute("delete from events_2024_01")
        writer.execute("lock table events_2024_02 in access exclusive mode")
        result = await maintained.result("db_pruning", NOTHING_FITS | {"dry_run": True}, lock_timeout=0.01)
    assert (result["would_drop"], result["would_empty"]) == (OLD, ["events_2024_04"])
    assert maintained.one("select count(*) from events") == 4


async def test_a_cancelled_run_returns_what_it_has_done(maintained: World) -> None:
    """A cancel request ends the run after the partition under way; the audit tells what went, and the rest is whole."""
    maintained.add_months(*PAST, rows=1)
    report = await maintained.run("db_pruning", NOTHING_FITS, cancel_when=lambda progress: progress.processed == 1)
    assert report.status == "cancelled"
    assert report.result["cancelled_at"] == 1
    assert report.result["dropped_partitions"] == OLD[:1]
    assert [step["partition"] for step in report.result["audit"]] == OLD[:1]
    assert maintained.partitions("events") == OLD[1:]
    assert maintained.one("select count(*) from events") == 2


async def test_a_cancel_while_waiting_for_a_lock(maintained: World, on_retry: OnRetry) -> None:
    """A run that is asked to end while it waits for somebody ends between two tries."""
    maintained.add_months(*PAST, rows=1)
    asked = []
    on_retry(lambda: asked.append(NOW))
    with maintained.somebody() as reader:
        reader.execute("select from events")
        report = await maintained.run(
            "db_pruning", NOTHING_FITS, cancel_when=lambda _: True, lock_timeout=0.01, lock_tries=1000
        )
    assert (report.status, report.result["cancelled_at"], asked) == ("cancelled", 0, [])
    assert maintained.one("select count(*) from events") == 3


async def test_who_writes_does_not_wait_for_who_reads_an_old_month(maintained: World) -> None:
    """While somebody reads the partition that is to go, nobody who writes to another waits for them to be through."""
    maintained.add_months("2024_01", "2024_05", rows=1)
    with maintained.somebody() as reader, maintained.writers(NOW) as written:
        reader.execute("select from only events_2024_01")
        await written.has_begun()
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=5, lock_tries=2)
    assert (report.status, written.refused) == ("failed", [])
    assert written.longest_wait < 2.5


async def test_who_writes_waits_no_longer_than_lock_timeout(maintained: World) -> None:
    """Beside a transaction that has read the whole table and stays open, each try makes who writes wait for a moment only."""
    maintained.add_months("2024_01", "2024_05", rows=1)
    with maintained.somebody() as reader, maintained.writers(NOW) as written:
        reader.execute("select from events")
        await written.has_begun()
        report = await maintained.run("db_pruning", NOTHING_FITS, lock_timeout=0.1, lock_tries=5)
    assert (report.status, written.refused) == ("failed", [])
    assert written.longest_wait < 1
    assert set(written.messages) <= {message for (message,) in maintained.sql("select message from events")}
