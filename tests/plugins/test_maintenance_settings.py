"""What the plugin hands over, which settings it refuses, and its arithmetic of months."""

from datetime import UTC, datetime
from typing import Any

import pytest

from owlrunner.errors import PluginError
from owlrunner.job_type import Scope
from owlrunner.schedules_file import load_schedules
from owlrunner_maintenance.months import Month, Span, as_bound, as_instant, gaps
from owlrunner_maintenance.names import in_camel_case
from tests.plugins.maintenance_world import catalog


@pytest.fixture(autouse=True)
def _no_limit_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAX_DATABASE_SIZE_GB", raising=False)


@pytest.mark.parametrize(
    ("name", "label", "schedule"),
    [
        ("db_pruning", "Database Pruning", "0 * * * *"),
        ("soft_delete_cleanup", "Soft-Delete Cleanup", "0 3 * * *"),
        ("partition_creation", "Partition Creation", "0 4 * * *"),
    ],
)
def test_the_job_types_are_offered(name: str, label: str, schedule: str) -> None:
    """Three system jobs with the original's names, labels and times, which a restarted server takes up again."""
    job_type = catalog(max_database_size_gb=10).job_types[name]
    assert (job_type.label, job_type.scope, job_type.default_schedule) == (label, Scope.SYSTEM, schedule)
    assert (job_type.exclusive, job_type.requeue_on_restart) == (True, True)
    assert job_type.description


def test_without_a_limit_pruning_is_not_scheduled() -> None:
    """As long as no size is set there is no schedule, so that no row is written each hour to say so."""
    pruning = catalog().job_types["db_pruning"]
    assert "MAX_DATABASE_SIZE_GB" in pruning.off_because(None)
    assert pruning.off_because({"max_size_bytes": 5_000_000}) == ""
    assert "db_pruning" not in [one.name for one in load_schedules(None, catalog())]


def test_the_limit_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MAX_DATABASE_SIZE_GB switches pruning on, goes over the settings, and is refused when it is no number."""
    monkeypatch.setenv("MAX_DATABASE_SIZE_GB", "0.5")
    assert "db_pruning" in [one.name for one in load_schedules(None, catalog(max_database_size_gb=0))]
    monkeypatch.setenv("MAX_DATABASE_SIZE_GB", "much")
    with pytest.raises(PluginError, match=r"MAX_DATABASE_SIZE_GB.*max_database_size_gb: expected float, got str"):
        catalog()


def test_settings_may_be_text() -> None:
    """Numbers written as text, as the environment has them, are numbers."""
    assert len(catalog(months_ahead="3", lock_timeout="0.2", grace_days="30").job_types) >= 3


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"max_database_size_gb": -1}, "max_database_size_gb must be a finite number of gigabytes, 0 or more, got -1"),
        ({"max_database_size_gb": float("nan")}, "max_database_size_gb must be a finite number"),
        ({"max_database_size_gb": "5 GB"}, "max_database_size_gb: expected float, got str"),
        ({"months_ahead": -1}, "'months_ahead' must be >= 0: -1"),
        ({"grace_days": 1.5}, "grace_days: expected int, got float"),
        ({"lock_timeout": 0}, "lock_timeout must be a finite number of seconds"),
        ({"batch_rows": 0}, "'batch_rows' must be >= 1: 0"),
        ({"tables": []}, "tables: unknown key"),
        ({"partitioned_tables": [{"table": "a.b.c"}]}, "table must be a table's name, .* got 'a.b.c': too many dots"),
        ({"partitioned_tables": [{"table": ""}]}, "table must be a table's name"),
        ({"partitioned_tables": [{"table": "a", "index": {}}]}, r"partitioned_tables\[0\].index: unknown key"),
        ({"partitioned_tables": [{"table": "a", "indexes": {"i": []}}]}, "indexes.i of a must list columns"),
        (
            {"partitioned_tables": [{"table": "a" * 50, "indexes": {"long": ["b"]}}]},
            "longer than PostgreSQL's 63 bytes",
        ),
        (
            {"partitioned_tables": [{"table": "a"}, {"table": "a"}]},
            "partitioned_tables must name each table once, got a",
        ),
        ({"soft_deleted_leaves": ["a", "a"]}, "soft_deleted_leaves must name each table once"),
        ({"soft_deleted_roots": ["users"]}, "one of soft_deleted_roots .users., got 'apps'"),
        ({"deleted_at_column": ""}, "deleted_at_column must be a column's name"),
        ({"linked_tables": [{"table": "a", "column": "b", "root": "c"}]}, "got 'c'"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(table: dict[str, Any], complaint: str) -> None:
    """A setting out of range, of the wrong type, unknown or at odds with another is refused, naming table and key."""
    with pytest.raises(PluginError, match=f"plugins.maintenance.*{complaint}"):
        catalog(**table)


def test_months_add_up() -> None:
    """Months go on over the ends of years in both directions, and begin and end in UTC."""
    december = Month.of(datetime(2024, 12, 31, 23, 59, tzinfo=UTC))
    assert [str(december.plus(step)) for step in (-12, -1, 0, 1, 13)] == [
        "2023_12", "2024_11", "2024_12", "2025_01", "2026_01",
    ]  # fmt: skip
    assert [as_bound(end) for end in december.span] == ["2024-12-01 00:00:00+00:00", "2025-01-01 00:00:00+00:00"]


def test_gaps_are_what_is_not_covered() -> None:
    """Spans that touch, overlap, contain or miss the wanted one leave exactly the rest of it."""

    def span(first: int, last: int) -> Span:
        return Span(datetime(2024, 5, first, tzinfo=UTC), datetime(2024, 5, last, tzinfo=UTC))

    wanted = span(10, 20)
    assert gaps(wanted, []) == [wanted]
    assert gaps(wanted, [span(1, 10), span(20, 30)]) == [wanted]
    assert gaps(wanted, [span(1, 30)]) == []
    assert gaps(wanted, [span(18, 25), span(5, 12), span(11, 14)]) == [span(14, 18)]
    assert gaps(wanted, [span(12, 13)]) == [span(10, 12), span(13, 20)]


def test_tables_are_counted_in_camel_case() -> None:
    """A result names a table's rows as the original does."""
    assert [in_camel_case(name) for name in ("apps", "app_users", "a__b")] == ["apps", "appUsers", "aB"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("2024-05-02 00:10:00+00", "2024-05-02T00:10:00.000Z"),
        ("2024-05-02 00:10:00.987654+02", "2024-05-01T22:10:00.987Z"),
        ("2024-05-02 00:10:00", "2024-05-02T00:10:00.000Z"),
        ("2024-05-11", "2024-05-11"),
        ("infinity", "infinity"),
        ("4713-01-01 00:00:00+00 BC", "4713-01-01 00:00:00+00 BC"),
    ],
)
def test_times_are_told_as_the_api_tells_them(written: str, told: str) -> None:
    """In UTC with a Z and milliseconds; a day stays a day, and what Python's calendar has not stays as PostgreSQL wrote it."""
    assert as_instant(written) == told
