"""Maintenance for OwlRunner: the system jobs that keep a PostgreSQL database in shape.

``partition_creation`` makes partitions before they are needed, ``db_pruning`` removes the oldest data when the database
outgrows its limit, ``soft_delete_cleanup`` removes for good what was deleted and not restored, and ``run_retention`` deletes
runs that ended long ago.
"""

import functools
import os
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

import owlrunner
from owlrunner_maintenance.db_pruning import SKIPPED, prune
from owlrunner_maintenance.partition_creation import create_partitions
from owlrunner_maintenance.run_retention import KEEPS_ALL, forget
from owlrunner_maintenance.settings import MaintenanceSettings
from owlrunner_maintenance.soft_delete_cleanup import clean_up

__all__ = [
    "MaintenanceSettings",
    "PruningParams",
    "RetentionParams",
    "db_pruning_job",
    "partition_creation_job",
    "run_retention_job",
    "soft_delete_cleanup_job",
]

SIZE_VARIABLE = "MAX_DATABASE_SIZE_GB"
"""The environment variable that sets ``max_database_size_gb``, as OwlMetry has it."""
CANCEL_GRACE = 10.0
"""Seconds for the statement under way, with its wait for locks."""
LONGEST_RUN = 6 * 3600.0

_maintenance_job = functools.partial(
    owlrunner.job_type, scope="system", timeout=LONGEST_RUN, cancel_grace=CANCEL_GRACE, on_restart="requeue"
)
"""What the jobs have in common: they are the owner's, and start over where a server leaves them."""


@attrs.frozen
class PruningParams:
    """What a run of db_pruning may be given."""

    max_size_bytes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    """The limit for this run; unset, the one of the settings. 0 is none."""
    dry_run: bool = False
    """Only tell what would go."""


@attrs.frozen
class RetentionParams:
    """What a run of run_retention may be given."""

    older_than_days: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(36_500))),
    )
    """The age for this run; unset, the one of the settings. 0 keeps everything."""
    dry_run: bool = False
    """Only tell what would go."""


def db_pruning_job(settings: MaintenanceSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    def limit_of(params: PruningParams) -> int:
        return settings.max_database_bytes if params.max_size_bytes is None else params.max_size_bytes

    def off(params: PruningParams) -> str:
        # Without a limit there is nothing to do, and a run each hour that says so would be noise.
        return "" if limit_of(params) else f"no limit is set ({SIZE_VARIABLE}, or max_size_bytes in its params)"

    @_maintenance_job(
        label="Database Pruning",
        default_schedule="0 * * * *",
        off=off,
    )
    async def db_pruning(ctx: owlrunner.JobContext, params: PruningParams) -> dict[str, object]:
        """Remove the oldest events while the database is larger than its limit.

        Returns ``dropped_partitions``, ``emptied_partitions``, ``deleted_rows``, ``current_size_gb`` and an ``audit``;
        without a limit ``skipped`` and ``reason``. Raises OwlRunnerError when others kept it from removing anything.
        """
        limit = limit_of(params)
        return await prune(ctx, settings, limit=limit, dry_run=params.dry_run) if limit else dict(SKIPPED)

    return db_pruning


def soft_delete_cleanup_job(settings: MaintenanceSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    @_maintenance_job(
        label="Soft-Delete Cleanup",
        default_schedule="0 3 * * *",
    )
    async def soft_delete_cleanup(ctx: owlrunner.JobContext) -> dict[str, object]:
        """Remove for good what was deleted longer ago than it could be restored, with all that hangs on it.

        Returns the rows removed by table, such as ``projects`` and ``metricEvents``. Raises OwlRunnerError when a configured
        table cannot be soft-deleted, or when others kept it from removing anything.
        """
        return await clean_up(ctx, settings)

    return soft_delete_cleanup


def partition_creation_job(settings: MaintenanceSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    @_maintenance_job(
        label="Partition Creation",
        default_schedule="0 4 * * *",
        # Without partitions events are refused, so the next try does not wait for tomorrow.
        retry=owlrunner.Retry(max_attempts=3, first_delay=60.0),
    )
    async def partition_creation(ctx: owlrunner.JobContext) -> dict[str, object]:
        """Create the monthly partitions of the previous, the current and the coming months where they are missing.

        Returns for each table whether its months are there, and ``created``, ``existing`` and ``indexes_created``.
        Raises OwlRunnerError when a partition could not be made.
        """
        return await create_partitions(ctx, settings)

    return partition_creation


def run_retention_job(settings: MaintenanceSettings) -> owlrunner.AnyJobType:
    """The job type, holding the settings of the server that runs it."""

    def days_of(params: RetentionParams) -> int:
        return settings.retention_days if params.older_than_days is None else params.older_than_days

    def off(params: RetentionParams) -> str:
        return "" if days_of(params) else "nothing is too old (retention_days is 0, or older_than_days in its params)"

    @_maintenance_job(
        label="Run Retention",
        default_schedule="30 2 * * *",
        off=off,
    )
    async def run_retention(ctx: owlrunner.JobContext, params: RetentionParams) -> dict[str, object]:
        """Delete runs that ended long ago, with all that hangs on them, and old fires of schedules.

        Returns ``runs``, ``logs``, ``progress``, ``notifications``, ``fires``, ``login_codes``, ``sign_ins`` and the
        ``cutoff``; without an age ``skipped`` and ``reason``. Raises OwlRunnerError when others had a table locked for too long.
        """
        days = days_of(params)
        return await forget(ctx, settings, days=days, dry_run=params.dry_run) if days else dict(KEEPS_ALL)

    return run_retention


@owlrunner.hookimpl
def owlrunner_job_types(settings: owlrunner.Settings) -> list[owlrunner.AnyJobType]:
    """Offer the four system jobs."""
    size = os.environ.get(SIZE_VARIABLE, "").strip()
    if not size:
        loaded = settings.load(MaintenanceSettings)
    else:
        # The environment goes over the file, as it does everywhere.
        settings.table["max_database_size_gb"] = size
        try:
            loaded = settings.load(MaintenanceSettings)
        except owlrunner.OwlRunnerError as problem:
            if "max_database_size_gb" not in str(problem):
                raise
            raise type(problem)(f"environment variable {SIZE_VARIABLE}: {problem}") from None
    return [
        db_pruning_job(loaded),
        soft_delete_cleanup_job(loaded),
        partition_creation_job(loaded),
        run_retention_job(loaded),
    ]


@owlrunner.hookimpl
def owlrunner_migrations() -> Traversable:
    """The tables of events, and of what is defined on them."""
    return files(__name__) / "migrations"
