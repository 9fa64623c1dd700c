"""This is the room for ``owlrunner system``: what the owner sees and does, straight on the database."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import click

from owlrunner.actor import OperatorActor
from owlrunner.cli.live_text import keep_drawing, require_terminal, watch_option
from owlrunner.cli.local import at_the_door, in_current_schema
from owlrunner.cli.moments import Since
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.owner_json import (
    audit_json,
    event_json,
    fire_json,
    logs_json,
    notification_json,
    run_json,
    schedule_json,
    server_json,
    view_json,
)
from owlrunner.cli.owner_text import (
    audit_table,
    fires_table,
    notifications_table,
    owned_run_detail,
    owned_runs_table,
    schedules_table,
    servers_table,
)
from owlrunner.cli.printing import print_json, say
from owlrunner.cli.system_trigger import trigger
from owlrunner.job_run import RunStatus
from owlrunner.owner import Owner
from owlrunner.schedule import FireOutcome
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.postgres import Database

Json = dict[str, Any]

OPERATOR = OperatorActor()

since_option = click.option(
    "--since", type=Since(), help="An ISO 8601 time, or a span before now such as 30m, 12h, 7d."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many to show at most."
)


@click.group()
@config_option
@format_option
def system() -> None:
    """See and do what the owner may, straight on the database: system runs, schedules, servers, notifications."""


system.add_command(trigger)


@system.command()
@click.option("--type", "job_type", help="Runs of this job type alone.")
@click.option("--status", type=click.Choice([status.value for status in RunStatus]))
@since_option
@click.option("--all", "of_teams", is_flag=True, help="Teams' runs, too.")
@limit_option
@watch_option
@config_option
@format_option
@click.pass_context
@pass_shared
def runs(
    shared: Shared,
    ctx: click.Context,
    *,
    job_type: str | None,
    status: str | None,
    since: datetime | timedelta | None,
    of_teams: bool,
    limit: int,
    watch: bool,
) -> None:
    """List the system's runs, newest first."""
    filters = Filters(job_type=job_type, status=status, since=since)

    async def look(owner: Owner) -> Json:
        found, has_more = await owner.runs(filters, limit, of_teams=of_teams)
        return {"job_runs": [run_json(one) for one in found], "has_more": has_more}

    def text(told: Json) -> str:
        if not told["job_runs"]:
            return "No job runs found"
        return owned_runs_table(told["job_runs"], of_teams=of_teams) + _more(told)

    _show(ctx, shared, look, text, watching=watch)


@system.command()
@click.argument("run_id", type=click.UUID)
@click.option("--logs", is_flag=True, help="With the lines of its log.")
@config_option
@format_option
@click.pass_context
@pass_shared
def view(shared: Shared, ctx: click.Context, run_id: UUID, *, logs: bool) -> None:
    """Show everything about one run, a team's or the system's: also who held it, why it fired, and who was told."""

    async def look(owner: Owner) -> Json:
        told = view_json(await owner.run(run_id))
        return told | {"logs": logs_json(await owner.log(run_id))} if logs else told

    _show(ctx, shared, look, owned_run_detail)


@system.command()
@click.argument("run_id", type=click.UUID)
@config_option
@format_option
@pass_shared
def cancel(shared: Shared, run_id: UUID) -> None:
    """Ask for a run to be cancelled, a team's or the system's.

    A pending run is cancelled at once. A running one ends when its handler has left, which its job type's cancel grace limits.
    """
    status = at_the_door(shared, lambda jobs: jobs.cancel(OPERATOR, run_id))
    if shared.wants_json:
        print_json({"cancelled": True})
    elif status is RunStatus.CANCELLED:
        say("Job cancelled successfully")
    else:
        say(f"Cancel requested; see how it ends with: owlrunner system view {run_id}")


@system.command()
@click.option("--team", help="What was done in this team alone: its id or slug.")
@since_option
@limit_option
@config_option
@format_option
@click.pass_context
@pass_shared
def audit(
    shared: Shared, ctx: click.Context, *, team: str | None, since: datetime | timedelta | None, limit: int
) -> None:
    """List who has done what, and what happened about sign-ins, newest first."""

    async def look(owner: Owner) -> Json:
        entries, events = await owner.audit(team, since, limit)
        return {
            "audit_logs": [audit_json(one) for one in entries],
            "security_events": [event_json(one) for one in events],
        }

    _show(ctx, shared, look, lambda told: audit_table(told, limit) or "Nothing has been done yet")


@system.command()
@watch_option
@config_option
@format_option
@click.pass_context
@pass_shared
def schedules(shared: Shared, ctx: click.Context, *, watch: bool) -> None:
    """List the deployed schedules with what came of their last fire time, and with their next one."""

    async def look(owner: Owner) -> Json:
        found = [schedule_json(one) for one in await owner.schedules()]
        is_anybody, _ = await owner.anybody_for(None)
        return {"schedules": found, "server_alive": is_anybody}

    def text(told: Json) -> str:
        if not told["schedules"]:
            return "No schedules are deployed"
        warning = "" if told["server_alive"] else "\nNo server is alive: nothing fires until one starts"
        return schedules_table(told["schedules"]) + warning

    _show(ctx, shared, look, text, watching=watch)


@system.command()
@click.option("--schedule", help="Of this schedule alone.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in FireOutcome]))
@since_option
@limit_option
@watch_option
@config_option
@format_option
@click.pass_context
@pass_shared
def fires(
    shared: Shared,
    ctx: click.Context,
    *,
    schedule: str | None,
    outcome: str | None,
    since: datetime | timedelta | None,
    limit: int,
    watch: bool,
) -> None:
    """List the fire times that have been decided, newest first: which of them ran, and why others did not."""

    async def look(owner: Owner) -> Json:
        found, has_more = await owner.fires(schedule, outcome, since, limit)
        return {"fires": [fire_json(one) for one in found], "has_more": has_more}

    def text(told: Json) -> str:
        return fires_table(told["fires"]) + _more(told) if told["fires"] else "No fires found"

    _show(ctx, shared, look, text, watching=watch)


@system.command()
@limit_option
@watch_option
@config_option
@format_option
@click.pass_context
@pass_shared
def servers(shared: Shared, ctx: click.Context, *, limit: int, watch: bool) -> None:
    """List the servers with what they hold, the living first.

    One whose lease has lapsed may be gone or cut off: others end or take over its runs as soon as they find out. Dead ones are
    kept for a week.
    """

    async def look(owner: Owner) -> Json:
        return {"servers": [server_json(one) for one in await owner.servers(limit)]}

    def text(told: Json) -> str:
        return servers_table(told["servers"]) if told["servers"] else "No servers found"

    _show(ctx, shared, look, text, watching=watch)


@system.command()
@click.option("--status", type=click.Choice(["pending", "sent", "given_up"]))
@limit_option
@watch_option
@config_option
@format_option
@click.pass_context
@pass_shared
def notifications(shared: Shared, ctx: click.Context, *, status: str | None, limit: int, watch: bool) -> None:
    """List the notifications, about runs and about missed fire times, sent and still to be sent, newest first."""

    async def look(owner: Owner) -> Json:
        found, has_more = await owner.notifications(status, limit)
        return {"notifications": [notification_json(one) for one in found], "has_more": has_more}

    def text(told: Json) -> str:
        if not told["notifications"]:
            return "No notifications found"
        return notifications_table(told["notifications"]) + _more(told)

    _show(ctx, shared, look, text, watching=watch)


def _show(
    ctx: click.Context,
    shared: Shared,
    look: Callable[[Owner], Awaitable[Json]],
    text: Callable[[Json], str],
    *,
    watching: bool = False,
) -> None:
    """Print what the owner sees; when watching, draw it anew until Ctrl-C, which is how that ends."""
    if not watching:
        told = in_current_schema(shared, lambda db: look(Owner(db)))
        if shared.wants_json:
            print_json(told)
        else:
            say(text(told))
        return
    require_terminal(shared)

    async def draw(db: Database) -> None:
        async def see() -> str:
            return text(await look(Owner(db)))

        await keep_drawing(see)

    try:
        in_current_schema(shared, draw)
    except* KeyboardInterrupt:
        pass
    ctx.exit(130)


def _more(told: Json) -> str:
    return "\nThere are more. Use --limit" if told["has_more"] else ""
