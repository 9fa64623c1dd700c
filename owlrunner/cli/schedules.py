"""This is the room for ``owlrunner schedules``: what the file of schedules means, told without a server or a database."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from owlrunner.cli.local import catalog_of, configured
from owlrunner.cli.moments import Instant, NamedSpan, Span
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.printing import one_line, print_json, say
from owlrunner.cli.run_text import MISSING, moment
from owlrunner.cli.tables import table
from owlrunner.cron import describe
from owlrunner.plugins import Catalog
from owlrunner.schedule import FireOutcome, Schedule
from owlrunner.schedules_file import load_schedules
from owlrunner.simulation import SimulatedFire, simulate, upcoming
from owlrunner.web.rendering import instant, maybe_instant

Json = dict[str, Any]

COLOURS = {"ran": "green", "skipped": "yellow", "queued": "bright_black"}


@click.group()
def schedules() -> None:
    """See what the file of schedules means, without a database."""


@schedules.command("next")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many fire times.")
@config_option
@format_option
@pass_shared
def next_fires(shared: Shared, *, count: int) -> None:
    """Show the next fire times of all schedules, in order."""
    wanted, _ = _loaded(shared)
    words = {schedule.name: describe(schedule.cron.expression) for schedule in wanted}
    fires = [
        _fire_json(schedule, time) | {"cron": schedule.cron.expression, "words": words[schedule.name]}
        for time, schedule in itertools.islice(upcoming(wanted, datetime.now(UTC)), count)
    ]
    if shared.wants_json:
        print_json({"fires": fires})
    elif not fires:
        say("No schedules")
    else:
        say(_fires_table(fires, ("In Words", "words")))


@schedules.command("simulate")
@click.option("--from", "start", type=Instant(), required=True, help="An ISO 8601 time, UTC unless it says otherwise.")
@click.option(
    "--to", "end", type=Instant(), required=True, help="Like --from; a fire time at this instant is left out."
)
@click.option(
    "--duration",
    "durations",
    type=NamedSpan(),
    multiple=True,
    metavar="TYPE=SPAN",
    help="How long runs of a job type take, such as db_pruning=20m; may be repeated.",
)
@click.option("--default-duration", type=Span(), metavar="SPAN", help="How long the others take.  [default: 0s]")
@config_option
@format_option
@pass_shared
def simulate_fires(
    shared: Shared,
    *,
    start: datetime,
    end: datetime,
    durations: tuple[tuple[str, timedelta], ...],
    default_duration: timedelta | None,
) -> None:
    """Show which fire times would lead to runs if runs took so long, and which would be skipped or queued.

    It supposes that servers are there all the time, with room for every run, and that nothing is active at the beginning.
    """
    if start >= end:
        raise click.UsageError("--to must be later than --from")
    wanted, catalog = _loaded(shared)
    _check_durations(dict(durations), wanted)
    fires = simulate(
        wanted,
        start,
        end,
        durations=dict(durations),
        default=default_duration or timedelta(0),
        overlapping={job_type.name for job_type in catalog.job_types.values() if not job_type.exclusive},
    )
    told = [_simulated_json(fire) for fire in fires]
    counts = {outcome: sum(fire.outcome is outcome for fire in fires) for outcome in _OUTCOMES}
    if shared.wants_json:
        print_json({"fires": told, "counts": counts})
        return
    if told:
        say(_fires_table(told, ("Outcome", "outcome"), ("Starts", "starts_at"), ("Ends", "ends_at"), ("Why", "reason")))
    say(f"{len(told)} fire times: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


_OUTCOMES = (FireOutcome.RAN, FireOutcome.SKIPPED, FireOutcome.QUEUED)


def _loaded(shared: Shared) -> tuple[list[Schedule], Catalog]:
    """The schedules that hold by the configuration, and the catalog."""
    config = configured(shared)
    catalog = catalog_of(config)
    return load_schedules(config.server.schedules, catalog), catalog


def _check_durations(durations: dict[str, timedelta], wanted: Sequence[Schedule]) -> None:
    """Raise UsageError for a job type that no schedule starts: a misspelt one would change nothing."""
    known = sorted({schedule.job_type for schedule in wanted})
    for name in durations:
        if name not in known:
            raise click.UsageError(
                f"--duration: no schedule starts {one_line(name)!r}; there are: {', '.join(known) or 'none'}"
            )


def _fire_json(schedule: Schedule, time: datetime) -> Json:
    return {
        "fire_time": instant(time),
        "local_time": time.astimezone(ZoneInfo(schedule.cron.timezone)).isoformat(),
        "timezone": schedule.cron.timezone,
        "schedule": schedule.name,
        "job_type": schedule.job_type,
    }


def _simulated_json(fire: SimulatedFire) -> Json:
    return _fire_json(fire.schedule, fire.time) | {
        "outcome": str(fire.outcome),
        "starts_at": maybe_instant(fire.starts_at),
        "ends_at": maybe_instant(fire.ends_at),
        "reason": _reason(fire),
    }


def _reason(fire: SimulatedFire) -> str | None:
    """Why it does not run at once."""
    active = fire.blocked_by
    if active is None:
        return None
    name, since, until = active.schedule.name, moment(instant(active.time)), moment(maybe_instant(active.ends_at))
    more = ", and a fire waits already" if fire.another_waits else ""
    return f"the run of {name} for {since} is active until {until}{more}"


def _fires_table(fires: Sequence[Json], *columns: tuple[str, str]) -> str:
    """A line for each fire time; with the local time where a zone is not UTC."""
    is_local = any(fire["timezone"] != "UTC" for fire in fires)
    heads = ["Fire Time", *(["Local Time"] if is_local else []), "Schedule", "Job Type", *(head for head, _ in columns)]
    rows = [
        [
            moment(fire["fire_time"]),
            *([_local(fire)] if is_local else []),
            one_line(fire["schedule"]),
            fire["job_type"],
            *(_cell(fire[key], key) for _, key in columns),
        ]
        for fire in fires
    ]
    return table(heads, rows, {"Outcome": COLOURS})


def _local(fire: Json) -> str:
    if fire["timezone"] == "UTC":
        return MISSING
    return f"{fire['local_time'].replace('T', ' ')} {fire['timezone']}"


def _cell(value: str | None, key: str) -> str:
    return moment(value) if key.endswith("_at") else one_line(value or MISSING)
