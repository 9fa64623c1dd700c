"""This is the room for reading what recurs: the file of schedules, over the default schedules of the job types."""

from pathlib import Path
from typing import Any

import attrs
import msgspec

from owlrunner.cron import Cron, InvalidCron
from owlrunner.decoding import Undecodable, decode, holds_unstorable_text
from owlrunner.durations import parse_duration
from owlrunner.errors import ConfigError, InvalidParams
from owlrunner.job_type import Scope
from owlrunner.plugins import Catalog
from owlrunner.schedule import MissedPolicy, OverlapPolicy, Schedule
from owlrunner.toml_file import read_toml
from owlrunner.trigger_request import checked_params


def _not_negative(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 <= value <= 86_400:
        raise ValueError(f"{attribute.name} must be between 0 and 86400 seconds, got {value}")


@attrs.frozen
class ScheduleTable:
    """One table ``[schedules.<name>]`` of the file."""

    job_type: str
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    """False switches the schedule off; in a table of a job type's own name also its default schedule."""
    missed: MissedPolicy = "latest"
    missed_window: str = "1d"
    overlap: OverlapPolicy = "skip"
    jitter: float = attrs.field(default=0.0, validator=_not_negative)
    params: dict[str, Any] | None = None


@attrs.frozen
class ScheduleFile:
    """The whole file."""

    schedules: dict[str, dict[str, Any]] = attrs.field(factory=dict)


@attrs.frozen
class Schedules:
    """What a file of schedules comes to."""

    wanted: list[Schedule]
    """Those that hold."""
    off: dict[str, str]
    """Name → why an enabled schedule is left out: its job type has nothing to do with these settings and params."""


def read_schedules(file: Path | None, catalog: Catalog) -> Schedules:
    """The schedules of the file, and the default of each job type that the file has no table for.

    A table of the job type's own name takes the place of its default schedule. Those that are not enabled are left out.

    Raises ConfigError naming file, key, what was expected and what was found, and PluginError when a job type does not tell
    whether it has something to do.
    """
    wanted: list[Schedule] = []
    off: dict[str, str] = {}
    for schedule in _enabled(file, catalog):
        reason = catalog.job_types[schedule.job_type].off_because(schedule.params)
        if reason:
            off[schedule.name] = reason
        else:
            wanted.append(schedule)
    return Schedules(wanted, off)


def load_schedules(file: Path | None, catalog: Catalog) -> list[Schedule]:
    """The schedules that hold. Raises as ``read_schedules``."""
    return read_schedules(file, catalog).wanted


def _enabled(file: Path | None, catalog: Catalog) -> list[Schedule]:
    """All that is not switched off, checked."""
    defaults = {
        job_type.name: ScheduleTable(job_type.name, job_type.default_schedule)
        for job_type in catalog.of_scope(Scope.SYSTEM)
        if job_type.default_schedule is not None
    }
    in_file = _read(file) if file is not None else {}
    return [
        attrs.evolve(
            _schedule(f"{file or 'default schedule'}: schedules.{name}", name, table, catalog),
            source="file" if name in in_file else "default",
        )
        for name, table in sorted((defaults | in_file).items())
        if table.enabled
    ]


def _read(file: Path) -> dict[str, ScheduleTable]:
    try:
        tables = decode(read_toml(file), ScheduleFile, where="").schedules
        # Each by itself, so that a complaint can name the schedule.
        return {name: decode(table, ScheduleTable, where=f".schedules.{name}") for name, table in tables.items()}
    except Undecodable as problem:
        raise ConfigError(f"{file}: {str(problem).removeprefix('.')}") from None


def _schedule(where: str, name: str, table: ScheduleTable, catalog: Catalog) -> Schedule:
    """The table as a schedule, every value checked."""
    if not 1 <= len(name) <= 100 or holds_unstorable_text(name):
        raise ConfigError(f"{where}: a name has 1 to 100 characters")
    job_type = catalog.job_types.get(table.job_type)
    if job_type is None:
        known = ", ".join(job_type.name for job_type in catalog.of_scope(Scope.SYSTEM)) or "none"
        raise ConfigError(f"{where}.job_type: no plugin offers {table.job_type!r}; there are: {known}")
    if job_type.scope is not Scope.SYSTEM:
        raise ConfigError(
            f"{where}.job_type: {table.job_type} works for projects; only system job types can be scheduled"
        )
    try:
        cron = Cron.parse(table.cron, table.timezone)
    except InvalidCron as problem:
        raise ConfigError(f"{where}.cron: {problem}") from None
    try:
        # TOML has dates and times, which JSON writes as text.
        params = checked_params(job_type, msgspec.to_builtins(table.params))
    except InvalidParams as problem:
        raise ConfigError(f"{where}.{problem}") from None
    window = parse_duration(table.missed_window)
    if window is None:
        raise ConfigError(f"{where}.missed_window: expected a duration such as 1d or 6h, got {table.missed_window!r}")
    return Schedule(
        name=name,
        job_type=job_type.name,
        cron=cron,
        params=None if params is None else msgspec.json.decode(params),
        missed=table.missed,
        missed_window=window,
        overlap=table.overlap,
        jitter=table.jitter,
    )
