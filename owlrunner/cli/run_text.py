"""This is the room for how runs and log lines look as text."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from owlrunner.cli.printing import clean, one_line
from owlrunner.cli.tables import table
from owlrunner.durations import format_duration
from owlrunner.job_run import percent_of
from owlrunner.waiting import Reason, Wait

COLOURS = {
    "completed": "green",
    "failed": "red",
    "running": "blue",
    "cancelling": "yellow",
    "cancelled": "yellow",
    "pending": "bright_black",
}
MISSING = "—"

Json = Mapping[str, Any]


def progress_of(run: Json) -> tuple[int, int, str] | None:
    """How far a run has come, as (processed, total, message) with processed ≤ total where total is known."""
    told = run.get("progress")
    if not isinstance(told, Mapping):
        return None
    processed, total = max(0, int(told.get("processed") or 0)), max(0, int(told.get("total") or 0))
    return min(processed, total) if total else processed, total, one_line(str(told.get("message") or ""))


def share(processed: int, total: int) -> str:
    """``120/340 (35%)``, or ``120`` when the total is not known. 100% is said of what is complete, and nothing else."""
    percent = percent_of(processed, total)
    return str(processed) if percent is None else f"{processed}/{total} ({percent}%)"


def progress_text(run: Json) -> str:
    """How far a run has come, with its message; nothing where it told nothing."""
    progress = progress_of(run)
    return "" if progress is None else f"{share(*progress[:2])} {progress[2]}".rstrip()


def status_of(run: Json) -> str:
    """A status as it is shown: a running run whose cancel was requested is *cancelling*."""
    status = str(run["status"])
    return "cancelling" if status == "running" and run.get("cancel_requested_at") else status


def status_text(run: Json) -> str:
    """A status in its colour."""
    return click.style(status_of(run), fg=COLOURS.get(status_of(run)))


def is_queued(run: Json) -> bool:
    """Whether a server takes it as soon as one has room, which is what one expects of a pending run."""
    wait = Wait.from_json(run.get("waiting_for"))
    return wait is None or wait.reason == Reason.QUEUE


def waiting_text(run: Json, *, ticking: bool = True) -> str:
    """What the run waits for, in words; nothing where it waits for nothing. Unless it is ``ticking``, times are absolute."""
    wait = Wait.from_json(run.get("waiting_for"))
    return "" if wait is None else one_line(wait.words(datetime.now(UTC) if ticking else None))


def moment(text: str | None) -> str:
    """A time of the API without its milliseconds; always UTC."""
    return text[:19].replace("T", " ") + "Z" if text else MISSING


def duration(run: Json) -> str:
    """How long a run took, or has been running; of several attempts, the last one, which is named."""
    if not run.get("started_at"):
        return MISSING
    start = datetime.fromisoformat(run["started_at"])
    end = datetime.fromisoformat(run["completed_at"]) if run.get("completed_at") else _latest(run)
    attempt = f" (attempt {run['attempt']})" if run.get("attempt", 1) > 1 else ""
    return format_duration((end - start).total_seconds()) + attempt


def _latest(run: Json) -> datetime:
    """Until when an active run is known to have run: now, unless its server has not been heard of since."""
    wait = Wait.from_json(run.get("waiting_for"))
    is_silent = wait is not None and wait.reason == Reason.SILENT_SERVER
    return (wait.since if wait is not None and is_silent else None) or datetime.now(UTC)


def run_table(runs: Sequence[Json]) -> str:
    """A line for each run, under a header. Ids are never cut: one wants to copy them."""
    is_waiting = any(run.get("waiting_for") for run in runs)
    heads = ("ID", "Status", "Type", "Triggered By", "Duration", "Created", *(("Waiting",) if is_waiting else ()))
    rows = [
        (
            str(run["id"]),
            status_of(run),
            one_line(str(run["job_type"])),
            triggered_by(run),
            duration(run),
            moment(run.get("created_at")),
            *((waiting_text(run),) if is_waiting else ()),
        )
        for run in runs
    ]
    return table(heads, rows, {"Status": COLOURS})


def run_detail(run: Json, further: Mapping[str, str] | None = None) -> str:
    """Everything about one run; ``further`` are facts that the API does not tell."""
    asked, canceller = run.get("cancel_requested_at"), run.get("cancelled_by_name") or run.get("cancelled_by")
    facts = {
        "ID": str(run["id"]),
        "Status": status_text(run),
        "Waiting": waiting_text(run) or MISSING,
        "Triggered": one_line(str(run.get("triggered_by_name") or run.get("triggered_by"))),
        "Due": moment(run.get("run_at")) if run["status"] == "pending" else MISSING,
        "Attempt": _attempt(run),
        "Duration": duration(run),
        "Created": moment(run.get("created_at")),
        "Started": moment(run.get("started_at")),
        "Cancel": f"requested {moment(asked)} by {one_line(str(canceller))}" if asked else MISSING,
        "Completed": moment(run.get("completed_at")),
        "Team ID": run.get("team_id") or MISSING,
        "Project ID": run.get("project_id") or MISSING,
    }
    facts |= further or {}
    facts["Progress"] = progress_text(run) or MISSING
    lines = [click.style(one_line(str(run["job_type"])), bold=True)]
    lines += [f"{caption + ':':<12}{text}" for caption, text in facts.items() if text != MISSING]
    if run.get("error"):
        lines += [click.style("Error:", fg="red"), *(f"  {line}" for line in clean(run["error"]).splitlines())]
    for caption, key in (("Result", "result"), ("Params", "params")):
        if run.get(key) is not None:
            lines += [f"{caption}:", *_json_lines(run[key])]
    return "\n".join(lines)


def _attempt(run: Json) -> str:
    """Which attempt it is, where there may be several."""
    if not run.get("attempt") or run.get("max_attempts", 1) <= 1:
        return MISSING
    return f"{run['attempt']} of {run['max_attempts']}"


def log_line(line: Json) -> str:
    """One line of a run's log; further lines of its message are indented."""
    message = clean(str(line["message"])).replace("\n", "\n    ")
    level = str(line["level"])
    colour = {"warning": "yellow", "error": "red", "critical": "red"}.get(level)
    return f"{line['at']} {click.style(f'{level:<7}', fg=colour)} {one_line(str(line['logger']))}: {message}"


def _json_lines(value: Any) -> list[str]:
    """An object as one line for each key."""
    if isinstance(value, Mapping):
        return [f"  {one_line(str(key))}: {_json(part)}" for key, part in value.items()]
    return [f"  {_json(value)}"]


def _json(value: Any) -> str:
    return clean(json.dumps(value, ensure_ascii=False))


def triggered_by(run: Json) -> str:
    """Who triggered it, in a word."""
    by = str(run.get("triggered_by"))
    return "manual" if by.startswith("manual:") else one_line(by)
