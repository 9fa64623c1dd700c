"""This is the room for ``owlrunner system trigger``: any job type, for the server itself or for any project."""

from typing import Any
from uuid import UUID

import attrs
import click
import trio

from owlrunner.accounts import Administration
from owlrunner.actor import OperatorActor
from owlrunner.cli.local import at_the_door
from owlrunner.cli.options import Shared, config_option, format_option, pass_shared
from owlrunner.cli.owner_json import view_json
from owlrunner.cli.owner_text import owned_run_detail
from owlrunner.cli.printing import note, print_json, say
from owlrunner.cli.run_text import status_text
from owlrunner.cli.trigger import JsonObject, KeyValue
from owlrunner.cli.waiting import STATUSES, watching
from owlrunner.client import ENDED, FIRST_PAUSE, LONGEST_PAUSE, OUTAGE_PATIENCE, LostSight
from owlrunner.errors import DatabaseTrouble
from owlrunner.job_type import AnyJobType
from owlrunner.jobs import Jobs
from owlrunner.owner import Owner
from owlrunner.trigger_request import TriggerRequest

Json = dict[str, Any]

OPERATOR = OperatorActor()


@click.command()
@click.argument("job_type")
@click.option("--project", "--project-id", help="The project to work for: its id, or the slugs team/project.")
@click.option("--param", "pairs", type=KeyValue(), multiple=True, help="One of the job's params; may be repeated.")
@click.option("--params", type=JsonObject(), help="The job's params as one JSON object; --param goes over it.")
@click.option("--run-at", help="Not before this ISO 8601 time, or after a delay such as 10m.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Higher goes first.  [default: 0]")
@click.option("--wait", is_flag=True, help="Wait for the end; exit with 0 completed, 1 failed, 2 cancelled.")
@config_option
@format_option
@click.pass_context
@pass_shared
def trigger(
    shared: Shared,
    ctx: click.Context,
    job_type: str,
    *,
    project: str | None,
    pairs: tuple[tuple[str, str], ...],
    params: Json | None,
    run_at: str | None,
    priority: int,
    wait: bool,
) -> None:
    """Start a run of a job type, the system's or a project's. A running server executes it."""
    wanted = TriggerRequest(
        job_type,
        params={**(params or {}), **dict(pairs)} if pairs or params is not None else None,
        run_at=run_at,
        priority=priority,
    )
    run: Json = {}

    async def work(jobs: Jobs) -> None:
        nonlocal run
        run = await _trigger(jobs, wanted, project)
        if not shared.wants_json:
            say(f"Job triggered: {run['id']}")
        await _note_who_is_there(jobs, run)
        if wait:
            run = await until_ended(Owner(jobs.db), run, quiet=shared.wants_json)

    interrupted = False
    try:
        at_the_door(shared, work)
    except* KeyboardInterrupt:
        interrupted = True
    if interrupted:
        if run:
            note(f"Stopped waiting; the run goes on: see it with: owlrunner system view {run['id']}")
        ctx.exit(130)
    _tell(shared, run, waited=wait)
    if wait:
        ctx.exit(STATUSES.get(run["status"], 1))


def _tell(shared: Shared, run: Json, *, waited: bool) -> None:
    if shared.wants_json:
        print_json(run)
    elif waited:
        say(owned_run_detail(run))
    else:
        say(f"Status: {status_text(run)}")
        say(f"Use owlrunner system view {run['id']} to check progress")


async def _trigger(jobs: Jobs, wanted: TriggerRequest, project: str | None) -> Json:
    """Trigger through the door, which knows the overlap guard, and return the run."""
    team_id = None
    if project is not None:
        found = await Administration(jobs.db).project(project)
        team_id = found.team_id
        wanted = attrs.evolve(wanted, project_id=str(found.id))
    run = await jobs.trigger(OPERATOR, team_id, wanted)
    return view_json(await Owner(jobs.db).run(run.id))


async def _note_who_is_there(jobs: Jobs, run: Json) -> None:
    """Say so where nobody is there to execute the run."""
    is_anybody, offers = await Owner(jobs.db).anybody_for(run["job_type"])
    if not is_anybody and _is_failed_by_a_start(jobs.catalog.job_types[run["job_type"]]):
        note(
            "No server is alive. A run that is due when the first one starts is ended as failed, unless its job type is requeued "
            f"or retried, and {run['job_type']} is not"
        )
    elif not offers:
        note(f"No living server offers {run['job_type']}; the run waits for one")


def _is_failed_by_a_start(job_type: AnyJobType) -> bool:
    """Whether a run that waited while no server was alive is ended at the next start."""
    return not job_type.requeue_on_restart and job_type.retry.max_attempts == 1


async def until_ended(owner: Owner, run: Json, *, quiet: bool) -> Json:
    """Watch a run until it has ended. Raises LostSight when the database stays away."""
    with watching(run, quiet=quiet) as watcher:
        pause, lost_at = FIRST_PAUSE, trio.current_time() + OUTAGE_PATIENCE
        while True:
            watcher.show(run)
            if run["status"] in ENDED:
                return run
            await trio.sleep(pause)
            pause = min(pause * 1.25, LONGEST_PAUSE)
            try:
                run = view_json(await owner.run(UUID(run["id"])))
                lost_at = trio.current_time() + OUTAGE_PATIENCE
            except DatabaseTrouble as error:
                if trio.current_time() > lost_at:
                    raise LostSight(
                        f"{error}; the run may go on: see it with: owlrunner system view {run['id']}"
                    ) from None
                watcher.tell_outage(error)
