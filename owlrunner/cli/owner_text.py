"""This is the room for how the owner's view looks as text, made from its JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from owlrunner.cli.printing import clean, one_line
from owlrunner.cli.run_text import (
    COLOURS,
    MISSING,
    duration,
    log_line,
    moment,
    run_detail,
    status_of,
    triggered_by,
    waiting_text,
)
from owlrunner.cli.tables import table
from owlrunner.durations import format_duration

Json = Mapping[str, Any]

SHORT = 60
"""How much of an error a table shows; ``system view`` shows it all."""
SERVER_COLOURS = {"alive": "green", "lapsed": "yellow", "dead": "bright_black"}
SENDING_COLOURS = {"sent": "green", "given_up": "red"}
FIRE_COLOURS = COLOURS | {"skipped": "yellow", "missed": "yellow", "queued": "bright_black"}


def owned_runs_table(runs: Sequence[Json], *, of_teams: bool) -> str:
    """A line for each run; with the project where runs of teams are among them."""
    project = ["Project"] if of_teams else []
    heads = ["ID", "Status", "Type", "Triggered By", "Started", "Duration", *project, "Waiting or Error"]
    rows = [
        [
            run["id"],
            status_of(run),
            one_line(run["job_type"]),
            triggered_by(run),
            moment(run["started_at"]),
            duration(run),
            *([_project(run)] if of_teams else []),
            waiting_text(run) or _short(run["error"]),
        ]
        for run in runs
    ]
    return table(heads, rows, {"Status": COLOURS})


def owned_run_detail(run: Json) -> str:
    """Everything about one run, its notifications and, where they were asked for, the lines of its log."""
    further = {
        "Project": _project(run),
        "Priority": str(run["priority"] or MISSING),
        "Attempt": f"{run['attempt']} of {run['max_attempts']}",
        "Restarts": str(run["restarts"] or MISSING),
        "Server": f"{one_line(run['server'] or 'forgotten')} ({run['server_id']})" if run["server_id"] else MISSING,
        "Schedule": one_line(run["schedule"] or MISSING),
        "Fire time": moment(run["fire_time"]),
    }
    lines = [run_detail(run, further)]
    if run["notifications"]:
        lines += ["Notifications:", *(f"  {_sending(one)}" for one in run["notifications"])]
    if "logs" in run:
        lines += ["Log:", *(f"  {log_line(line)}" for line in run["logs"])]
    return "\n".join(lines)


def audit_table(told: Json, limit: int) -> str:
    """A line for each act and each event, newest first; nothing where there are none."""
    rows = [
        (
            one["timestamp"],
            one_line(one["actor_name"] or one["actor_id"]),
            f"{one['action']} {one['resource_type']}",
            one["resource_id"],
            one_line(one["team"] or MISSING),
            one["client"] or MISSING,
        )
        for one in told["audit_logs"]
    ]
    rows += [
        (one["at"], one_line(one["email"] or MISSING), one["action"], MISSING, MISSING, one["client"] or MISSING)
        for one in told["security_events"]
    ]
    newest = sorted(rows, reverse=True)[:limit]
    heads = ("Time", "Who", "What", "Which", "Team", "Client")
    return table(heads, [(moment(at), *rest) for at, *rest in newest], {}) if newest else ""


def schedules_table(schedules: Sequence[Json]) -> str:
    """A line for each schedule."""
    heads = ("Schedule", "Job Type", "Next Fire", "Last Fire", "Outcome", "Cron", "In Words", "Run or Reason")
    rows = []
    for one in schedules:
        fire = one["last_fire"] or {}
        rows.append(
            (
                one_line(one["name"]),
                one_line(one["job_type"]),
                moment(one["next_fire"]),
                moment(fire.get("fire_time")),
                _outcome(fire),
                f"{one_line(one['cron'])} ({one_line(one['timezone'])})",
                one_line(one["words"]),
                _run_or_reason(fire),
            )
        )
    return table(heads, rows, {"Outcome": FIRE_COLOURS})


def fires_table(fires: Sequence[Json]) -> str:
    """A line for each fire time."""
    rows = [
        (
            one_line(one["schedule"]),
            moment(one["fire_time"]),
            _outcome(one),
            moment(one["decided_at"]),
            _run_or_reason(one),
        )
        for one in fires
    ]
    return table(("Schedule", "Fire Time", "Outcome", "Decided", "Run or Reason"), rows, {"Outcome": FIRE_COLOURS})


def _outcome(fire: Json) -> str:
    return ": ".join(filter(None, (fire.get("outcome"), fire.get("run_status")))) or MISSING


def _run_or_reason(fire: Json) -> str:
    return fire.get("run_id") or _joined(fire.get("reason"), fire.get("active_run_id"))


def servers_table(servers: Sequence[Json]) -> str:
    """A line for each server."""
    heads = ("Name", "State", "Since", "Lease Left", "Held", "Capacity", "Job Types", "Version", "Started", "ID")
    rows = [
        (
            one_line(one["name"]),
            one["state"],
            moment(one["since"]),
            format_duration(one["lease_left"]) if one["state"] == "alive" else MISSING,
            str(one["held_runs"]),
            str(one["capacity"]),
            str(len(one["job_types"])),
            one_line(one["version"]),
            moment(one["started_at"]),
            one["id"],
        )
        for one in servers
    ]
    return table(heads, rows, {"State": SERVER_COLOURS})


def notifications_table(notifications: Sequence[Json]) -> str:
    """A line for each notification."""
    heads = ("Run", "Status", "About", "Notifier", "Recipient", "Tries", "Next Try", "Created", "ID", "Last Error")
    rows = [
        (
            one["run_id"] or MISSING,
            one["status"],
            one_line(_about(one)),
            one_line(one["notifier"]),
            one_line(one["recipient"]),
            str(one["attempt"]),
            moment(one["due_at"]),
            moment(one["created_at"]),
            one["id"],
            _short(one["last_error"]),
        )
        for one in notifications
    ]
    return table(heads, rows, {"Status": SENDING_COLOURS})


def _about(one: Json) -> str:
    """The job type, or the schedules that have missed fire times."""
    return str(one["job_type"]) if one["run_id"] else f"missed: {', '.join(one['schedules'])}"


def _sending(one: Json) -> str:
    status = click.style(one["status"], fg=SENDING_COLOURS.get(one["status"]))
    told = f"{status}: {one_line(one['recipient'])} by {one_line(one['notifier'])}, {one['attempt']} tries"
    told += f", next {moment(one['due_at'])}" if one["due_at"] else f", settled {moment(one['settled_at'])}"
    return told + (f": {one_line(one['last_error'])}" if one["last_error"] else "")


def _project(run: Json) -> str:
    return f"{clean(str(run['team']))}/{clean(str(run['project']))}" if run["project_id"] else MISSING


def _short(text: str | None) -> str:
    line = one_line(text or "")
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def _joined(*parts: str | None) -> str:
    """What there is of it, on one line."""
    given: Iterable[str] = (one_line(part) for part in parts if part)
    return ": ".join(given) or MISSING
