"""This is the room for what every command prints alike: clean text, JSON, and complaints."""

import json
import re
from typing import Any

import click

from owlrunner.errors import RunAlreadyActive

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text from elsewhere, made safe for a terminal: what could move its cursor or fake a line is shown escaped.

    Line ends and tabs stay.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    """Clean text on one line."""
    return clean(" ".join(text.split()))


def say(text: str = "") -> None:
    """Print text on standard output. Colours are left out where nobody would see them."""
    click.echo(text)


def print_json(value: Any) -> None:
    """Print one JSON value on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """Print one JSON value on one line of standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))


def note(text: str) -> None:
    """Print a line on standard error: not an error, but not what was asked for either."""
    click.echo(one_line(text), err=True)


def complain(problem: object, *, as_json: bool) -> None:
    """Print why a command ends early, on standard error: one sentence, or one JSON object."""
    run_id = getattr(problem, "existing_run_id", None)
    if as_json:
        told: dict[str, Any] = {"error": one_line(str(getattr(problem, "message", problem)))}
        if hasattr(problem, "status"):
            told["status"] = problem.status
        if run_id:
            told["existing_run_id"] = str(run_id)
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
        return
    # The door says it here, a server's API elsewhere; the API would know nothing of a system run.
    group = "system" if isinstance(problem, RunAlreadyActive) else "jobs"
    more = f": {run_id} (see it with: owlrunner {group} view {run_id})" if run_id else ""
    click.echo(f"Error: {one_line(str(problem) + more)}", err=True)
