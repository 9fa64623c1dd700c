"""This is the room for the page of one run: what became of it, what it told, and the buttons to cancel it or run it again."""

from datetime import datetime
from uuid import UUID

import attrs
from quart import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.errors import RunAlreadyActive, RunAlreadyEnded
from owlrunner.job_run import JobRun
from owlrunner.jobs import TriggerRequest
from owlrunner.web.api import Api
from owlrunner.web.dashboard.runs import shown
from owlrunner.web.dashboard.visitor import require_own_form, visitor
from owlrunner.web.dashboard.words import RunShown
from owlrunner.web.inputs import required_uuid

LINES = 500
"""How many lines of the log a page shows."""
NOTES = {
    "exists": "This run was active already, so no second one was started.",
    "ended": "The run had ended before it could be cancelled.",
    "asked": "The run has been asked to stop. It is cancelled when its work has really ended.",
    "started": "Started.",
}


@attrs.frozen
class Step:
    """One moment in the life of a run."""

    text: str
    at: datetime


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs/<run_id>")
    async def one_run(run_id: str) -> str:
        who = await visitor(api.accounts)
        run = await api.jobs.view(who.actor, _uuid(run_id))
        lines = await api.jobs.logs(who.actor, run.id, (0, 0), LINES + 1)
        projects = await api.accounts.projects(who.actor, run.team_id) if run.team_id is not None else []
        team = who.team_of(run.team_id)
        run_shown = shown(api, run, {project.id: project.name for project in projects}, who)
        return await render_template(
            "run.html",
            who=who,
            team=team.team if team is not None else None,
            one=run_shown,
            run=run,
            steps=_steps(run_shown),
            lines=lines[:LINES],
            is_cut=len(lines) > LINES,
            note=NOTES.get(request.args.get("note", "")),
        )

    @pages.post("/dashboard/jobs/<run_id>/cancel")
    async def cancel(run_id: str) -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        try:
            await api.jobs.cancel(who.actor, _uuid(run_id))
        except RunAlreadyEnded:
            return _to(_uuid(run_id), "ended")
        return _to(_uuid(run_id), "asked")

    @pages.post("/dashboard/jobs/<run_id>/again")
    async def again(run_id: str) -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        run = await api.jobs.view(who.actor, _uuid(run_id))
        try:
            started = await api.jobs.trigger(who.actor, run.team_id, _same(run))
        except RunAlreadyActive as taken:
            return _to(taken.existing_run_id, "exists")
        return _to(started.id, "started")


def _uuid(text: str) -> UUID:
    return required_uuid(text, "run id")


def _same(run: JobRun) -> TriggerRequest:
    project = str(run.project_id) if run.project_id is not None else None
    return TriggerRequest(run.job_type, project, run.params, run.notify, priority=run.priority)


def _to(run_id: UUID, note: str) -> BaseResponse:
    return redirect(f"/dashboard/jobs/{run_id}?note={note}", 303)


def _steps(one: RunShown) -> list[Step]:
    """The lifecycle, in the order in which it happened."""
    run = one.run
    steps = [Step(f"Created by {one.who}", run.created_at)]
    if run.run_at > run.created_at:
        steps.append(Step("Due", run.run_at))
    if run.started_at is not None:
        attempt = f"Attempt {run.attempt} of {run.max_attempts} started" if run.max_attempts > 1 else "Started"
        steps.append(Step(attempt, run.started_at))
    if run.cancel_requested_at is not None:
        steps.append(Step("Cancel requested", run.cancel_requested_at))
    if run.completed_at is not None:
        steps.append(Step(f"Ended: {run.status}", run.completed_at))
    return steps
