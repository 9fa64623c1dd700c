"""This is the room for the table ``[plugins.maintenance]``: which tables are looked after, and how carefully."""

import math
from typing import Any

import attrs
from attrs.validators import and_, deep_iterable, ge, le

from owlrunner_maintenance.names import INDEX_ROOM, Names, longest_index_name, problem_with_name

GIGABYTE = 1024**3


def _names(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    problem = problem_with_name(value, most_parts=2)
    if problem:
        raise ValueError(f"{attribute.name} must be a table's name, alone or as schema.name, got {value!r}: {problem}")


def _column(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    problem = problem_with_name(value, most_parts=1)
    if problem:
        raise ValueError(f"{attribute.name} must be a column's name, got {value!r}: {problem}")


def _seconds(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not (value >= 0.001 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of seconds, 0.001 or more, got {value!r}")


def _size(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of gigabytes, 0 or more, got {value!r}")


def _between(least: float, most: float) -> Any:
    return and_(ge(least), le(most))


@attrs.frozen
class PartitionedTable:
    """One table that is ``partition by range`` over a single column of time."""

    table: str = attrs.field(validator=_names)
    indexes: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Suffix of the index's name → its columns; the index of a partition is called ``<partition>_<suffix>``."""

    def __attrs_post_init__(self) -> None:
        for suffix, columns in self.indexes.items():
            if not columns or any(problem_with_name(column, most_parts=1) for column in columns):
                raise ValueError(f"indexes.{suffix} of {self.table} must list columns, got {list(columns)!r}")
        name = longest_index_name(Names.of(self.table), self.indexes)
        if len(name.encode()) > INDEX_ROOM:
            raise ValueError(
                f"table {self.table}: names like {name} would be longer than PostgreSQL's {INDEX_ROOM} bytes; "
                "shorten the suffix"
            )


@attrs.frozen
class LinkedTable:
    """Rows that belong to a row of ``root``, by its primary key, without a foreign key that would say so.

    Rows that do have a foreign key may be listed too, so that they go in batches.
    """

    table: str = attrs.field(validator=_names)
    column: str = attrs.field(validator=_column)
    root: str = attrs.field(validator=_names)
    batches: bool = True
    """Delete them in batches before the root's transaction, as suits millions of rows; else inside of it."""


_EVENTS = PartitionedTable(
    "events",
    {
        "app_ts_idx": ("app_id", "timestamp"),
        "app_level_ts_idx": ("app_id", "level", "timestamp"),
        "app_user_ts_idx": ("app_id", "user_id", "timestamp"),
        "app_screen_name_ts_idx": ("app_id", "screen_name", "timestamp"),
        "client_eid_idx": ("app_id", "client_event_id"),
        "app_session_ts_idx": ("app_id", "session_id", "timestamp"),
        "app_dev_ts_idx": ("app_id", "is_dev", "timestamp"),
    },
)
_METRIC_EVENTS = PartitionedTable(
    "metric_events",
    {
        "app_slug_ts_idx": ("app_id", "metric_slug", "timestamp"),
        "app_slug_phase_ts_idx": ("app_id", "metric_slug", "phase", "timestamp"),
        "app_tracking_id_idx": ("app_id", "tracking_id"),
        "app_client_eid_idx": ("app_id", "client_event_id"),
    },
)
_FUNNEL_EVENTS = PartitionedTable(
    "funnel_events",
    {
        "app_step_ts_idx": ("app_id", "step_name", "timestamp"),
        "app_user_ts_idx": ("app_id", "user_id", "timestamp"),
        "app_step_user_ts_idx": ("app_id", "step_name", "user_id", "timestamp"),
        "app_client_eid_idx": ("app_id", "client_event_id"),
    },
)
_LINKED = (
    LinkedTable("events", "app_id", "apps"),
    LinkedTable("metric_events", "app_id", "apps"),
    LinkedTable("funnel_events", "app_id", "apps"),
    # An API key of an app names it without a foreign key, because apps come with another plugin.
    LinkedTable("api_keys", "app_id", "apps", batches=False),
    # They have foreign keys, but may be millions, which one transaction would hold for minutes.
    LinkedTable("job_runs", "project_id", "projects"),
    LinkedTable("job_runs", "team_id", "teams"),
)


@attrs.frozen
class MaintenanceSettings:
    """What is looked after. The defaults are OwlMetry's tables; name others to look after an application's own."""

    max_database_size_gb: float = attrs.field(default=0.0, validator=_size)
    """Above this, in units of 1024³ bytes, db_pruning removes the oldest; 0 switches it off."""
    # Lists of tables are lists, not tuples: only in those are misspelt keys found.
    partitioned_tables: list[PartitionedTable] = attrs.field(factory=lambda: [_EVENTS, _METRIC_EVENTS, _FUNNEL_EVENTS])
    months_ahead: int = attrs.field(default=2, validator=_between(0, 120))
    """How many months after the current one get their partition; the month before it gets one too."""
    move_from_default: bool = False
    """Whether partition_creation moves the rows of a month out of a default partition, which keep that month from being made."""
    soft_deleted_roots: tuple[str, ...] = attrs.field(
        default=("teams", "projects", "apps"), validator=deep_iterable(_names)
    )
    """Tables each expired row of which is removed with all that hangs on it, in a transaction of its own."""
    soft_deleted_leaves: tuple[str, ...] = attrs.field(
        default=("api_keys", "metric_definitions", "funnel_definitions", "project_integrations"),
        validator=deep_iterable(_names),
    )
    """Tables the expired rows of which are removed on their own, while what they belong to lives."""
    linked_tables: list[LinkedTable] = attrs.field(factory=lambda: list(_LINKED))
    deleted_at_column: str = attrs.field(default="deleted_at", validator=_column)
    grace_days: int = attrs.field(default=7, validator=_between(0, 36_500))
    """How many days a soft-deleted row can still be restored."""
    retention_days: int = attrs.field(default=90, validator=_between(0, 36_500))
    """How many days runs are kept after their end, and fires of schedules; 0 keeps them for ever."""
    retention_share: float = attrs.field(default=0.25, validator=_between(0.01, 1.0))
    """The share of the time in which run_retention works; after each batch it leaves the database to others for the rest."""
    lock_timeout: float = attrs.field(default=0.5, validator=_seconds)
    """Seconds to wait for a lock, for which others may have to wait too. Below PostgreSQL's ``deadlock_timeout`` (1 s)
    it is always the maintenance that gives way in a deadlock, never the application."""
    lock_tries: int = attrs.field(default=10, validator=_between(1, 1000))
    """How often a lock is tried for, with growing pauses of up to two seconds."""
    batch_rows: int = attrs.field(default=1000, validator=_between(1, 1_000_000))
    """How many rows one DELETE takes, with all that hangs on them where these are runs."""
    batch_bytes: int = attrs.field(default=16 * 1024**2, validator=_between(1, 1024**4))
    """How many bytes, as they are stored, go in one transaction of run_retention or one batch of soft_delete_cleanup."""
    max_pruned_rows: int = attrs.field(default=100_000, validator=_between(1, 1_000_000))
    """How many rows db_pruning deletes in one run when there is no old partition left to drop."""

    def __attrs_post_init__(self) -> None:
        for key, names in (
            ("partitioned_tables", [one.table for one in self.partitioned_tables]),
            ("soft_deleted_roots", self.soft_deleted_roots),
            ("soft_deleted_leaves", self.soft_deleted_leaves),
        ):
            twice = sorted({name for name in names if list(names).count(name) > 1})
            if twice:
                raise ValueError(f"{key} must name each table once, got {', '.join(twice)} twice")
        for linked in self.linked_tables:
            if linked.root not in self.soft_deleted_roots:
                raise ValueError(
                    f"linked_tables: the root of {linked.table} must be one of soft_deleted_roots "
                    f"({', '.join(self.soft_deleted_roots) or 'none'}), got {linked.root!r}"
                )

    @property
    def max_database_bytes(self) -> int:
        """The limit in bytes; 0 for none."""
        return round(self.max_database_size_gb * GIGABYTE)
