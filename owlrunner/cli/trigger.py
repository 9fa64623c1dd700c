"""This is the room for ``owlrunner jobs trigger``."""

from typing import Any

import click

from owlrunner.cli.api import open_client, team_of
from owlrunner.cli.options import Shared, api_options, format_option, pass_shared
from owlrunner.cli.printing import note, print_json, say
from owlrunner.cli.run_text import is_queued, run_detail, status_text, waiting_text
from owlrunner.cli.waiting import STATUSES, wait_for
from owlrunner.client import Client, LostSight
from owlrunner.json_text import BadJson, read_json

Json = dict[str, Any]


class KeyValue(click.ParamType[tuple[str, str]]):
    """``key=value``, split at the first ``=``; the value stays text, and the job type makes of it what it wants."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split it."""
        key, sign, text = str(value).partition("=")
        if not key or not sign:
            self.fail(f"expected key=value, got {value!r}", param, ctx)
        return key, text


class JsonObject(click.ParamType[Json]):
    """A JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Json:
        """Read it."""
        try:
            read = read_json(value)
        except BadJson as problem:
            self.fail(str(problem), param, ctx)
        if not isinstance(read, dict):
            self.fail(f'expected a JSON object such as {{"days": 3}}, got {value!r}', param, ctx)
        return read


@click.command()
@click.argument("job_type")
@click.option("--team-id", envvar="OWLRUNNER_TEAM_ID", show_envvar=True, help="Default: the API key's own team.")
@click.option("--project-id", envvar="OWLRUNNER_PROJECT_ID", show_envvar=True, help="The project to work for.")
@click.option("--param", "pairs", type=KeyValue(), multiple=True, help="One of the job's params; may be repeated.")
@click.option("--params", type=JsonObject(), help="The job's params as one JSON object; --param goes over it.")
@click.option("--notify", is_flag=True, help="Ask to be told when the run has ended.")
@click.option("--run-at", help="Not before this ISO 8601 time, or after a delay such as 10m.")
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher goes first.  [default: 0]")
@click.option("--wait", is_flag=True, help="Wait for the end; exit with 0 completed, 1 failed, 2 cancelled.")
@api_options
@format_option
@click.pass_context
@pass_shared
def trigger(
    shared: Shared,
    ctx: click.Context,
    job_type: str,
    *,
    team_id: str | None,
    project_id: str | None,
    pairs: tuple[tuple[str, str], ...],
    params: Json | None,
    run_at: str | None,
    priority: int | None,
    notify: bool,
    wait: bool,
) -> None:
    """Start a run of a job type."""
    with open_client(shared) as client:
        run = client.trigger(
            team_of(client, team_id),
            job_type,
            project_id=project_id,
            params={**(params or {}), **dict(pairs)} if pairs or params is not None else None,
            notify=notify,
            run_at=run_at,
            priority=priority,
        )
        if not shared.wants_json:
            say(f"Job triggered: {run['id']}")
        if wait:
            run = _wait(ctx, client, run, shared)
    if shared.wants_json:
        print_json(run)
    elif wait:
        say(run_detail(run))
    else:
        say(f"Status: {status_text(run)}")
        if not is_queued(run):
            say(f"It is {waiting_text(run)}")
        say(f"Use owlrunner jobs view {run['id']} to check progress")
    if wait:
        ctx.exit(STATUSES.get(run["status"], 1))


def _wait(ctx: click.Context, client: Client, run: Json, shared: Shared) -> Json:
    """Wait for the run to end. Whatever ends the waiting leaves the run alone, and says how to find it again."""
    follow = f"follow it with: owlrunner jobs logs --follow {run['id']}, or: owlrunner jobs view {run['id']}"
    try:
        return wait_for(client, run, quiet=shared.wants_json)
    except KeyboardInterrupt:
        note(f"Stopped waiting; the run goes on: {follow}")
        ctx.exit(130)
    except LostSight as error:
        raise LostSight(f"{error}; the run may go on: {follow}") from None
