"""This is the room for ``owlrunner jobs``: looking at runs and ending them, through a server's API."""

import click

from owlrunner.cli.api import open_client, team_of
from owlrunner.cli.options import Shared, api_options, format_option, pass_shared
from owlrunner.cli.printing import note, print_json, print_json_line, say
from owlrunner.cli.run_text import log_line, run_detail, run_table
from owlrunner.cli.trigger import trigger
from owlrunner.cli.watching_runs import watching_runs
from owlrunner.client import ApiError
from owlrunner.job_run import RunStatus


@click.group()
@api_options
@format_option
def jobs() -> None:
    """Trigger, watch and cancel runs through a server's API."""


jobs.add_command(trigger)


@jobs.command("list")
@click.option("--team-id", envvar="OWLRUNNER_TEAM_ID", show_envvar=True, help="Default: the API key's own team.")
@click.option("--type", "job_type", help="Runs of this job type alone.")
@click.option("--status", type=click.Choice([status.value for status in RunStatus]))
@click.option("--project-id", help="Runs for this project alone.")
@click.option("--since", help="An ISO 8601 time, or a span before now such as 30m, 12h, 7d.")
@click.option("--until", help="Like --since.")
@click.option("--limit", type=click.IntRange(1, 200), help="How many runs to show at most.  [default: 50]")
@click.option("--cursor", help="Go on where an earlier list ended.")
@api_options
@format_option
@pass_shared
def list_runs(shared: Shared, /, team_id: str | None, **filters: str | int | None) -> None:
    """List a team's runs, newest first."""
    with open_client(shared) as client:
        page = client.runs(team_of(client, team_id), **filters)
    if shared.wants_json:
        print_json(page)
        return
    say(run_table(page["job_runs"]) if page["job_runs"] else "No job runs found")
    if page["has_more"]:
        say(f"More results available. Use --cursor '{page['cursor']}'")


@jobs.command()
@click.option("--team-id", envvar="OWLRUNNER_TEAM_ID", show_envvar=True, help="Default: the API key's own team.")
@click.option("--type", "job_type", help="Runs of this job type alone.")
@click.option("--project-id", help="Runs for this project alone.")
@api_options
@format_option
@pass_shared
@click.pass_context
def watch(ctx: click.Context, shared: Shared, /, team_id: str | None, **filters: str | None) -> None:
    """Watch a team's runs live, until Ctrl-C.

    On a terminal it is a table that stays true; elsewhere a line for each change, and as JSON the run that has changed.
    """
    with open_client(shared) as client:
        team = team_of(client, team_id)
        with watching_runs(wants_json=shared.wants_json) as watcher:
            try:
                for run in client.follow(team, watcher.tell_outage, **filters):
                    watcher.show(run)
            except KeyboardInterrupt:
                # The way in which it is meant to end.
                ctx.exit(130)


@jobs.command()
@click.argument("run_id")
@api_options
@format_option
@pass_shared
def view(shared: Shared, run_id: str) -> None:
    """Show one run."""
    with open_client(shared) as client:
        run = client.view(run_id)
    if shared.wants_json:
        print_json(run)
    else:
        say(run_detail(run))


@jobs.command()
@click.argument("run_id")
@api_options
@format_option
@pass_shared
def cancel(shared: Shared, run_id: str) -> None:
    """Ask for a run to be cancelled.

    A pending run is cancelled at once. A running one ends when its handler has left, which its job type's cancel grace limits.
    """
    with open_client(shared) as client:
        client.cancel(run_id)
        if shared.wants_json:
            print_json({"cancelled": True})
            return
        try:
            status = client.view(run_id)["status"]
        except ApiError:
            # A key may hold jobs:write alone.
            status = ""
    if status == "cancelled":
        say("Job cancelled successfully")
    else:
        say(f"Cancel requested; see how it ends with: owlrunner jobs view {run_id}")


@jobs.command()
@click.argument("run_id")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@api_options
@format_option
@pass_shared
def logs(shared: Shared, run_id: str, *, follow: bool) -> None:
    """Print a run's log.

    As JSON it is one object for each line of the log.
    """
    with open_client(shared) as client:
        for line in client.all_logs(run_id, follow=follow, on_outage=lambda error: note(f"{error}; trying again")):
            if shared.wants_json:
                print_json_line(line)
            else:
                say(log_line(line))
