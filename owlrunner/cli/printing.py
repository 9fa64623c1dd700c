"""This is the room for what every command prints alike: clean text, JSON, and complaints."""

import json
from typing import Any

import click

from owlrunner.errors import RunAlreadyActive
from owlrunner.unseen_text import UNSEEN


def clean(text: str) -> str:
    """Text from elsewhere, made safe for a terminal: what could move its cursor, fake a line or hide is shown escaped.

    Line ends and tabs stay.
    """
    return UNSEEN.sub(
        lambda match: match[0] if match[0] in "\n\t" else match[0].encode("unicode_escape").decode("ascii"), text
    )


def _json(value: Any, indent: int | None = None) -> str:
    """JSON for programs and for terminals: what nobody sees is escaped, which means the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return UNSEEN.sub(lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """Clean text on one line."""
    return clean(" ".join(text.split()))


def say(text: str = "") -> None:
    """Print text on standard output. Colours are left out where nobody would see them."""
    click.echo(text)


def print_json(value: Any) -> None:
    """Print one JSON value on standard output."""
    click.echo(_json(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print one JSON value on one line of standard output."""
    click.echo(_json(value))


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
        click.echo(_json(told), err=True)
        return
    # The door says it here, a server's API elsewhere; the API would know nothing of a system run.
    group = "system" if isinstance(problem, RunAlreadyActive) else "jobs"
    more = f": {run_id} (see it with: owlrunner {group} view {run_id})" if run_id else ""
    click.echo(f"Error: {one_line(str(problem) + more)}", err=True)
