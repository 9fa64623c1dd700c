"""This is the room for the page of one run: what became of it, what it told, and the buttons to cancel it or run it again."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import attrs
from quart import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.errors import RunAlreadyActive, RunAlreadyEnded
from owlrunner.job_run import JobRun
from owlrunner.jobs import AboutRun
from owlrunner.storage.job_runs import LogFilter, ProgressAt, StoredLogLine
from owlrunner.trigger_request import TriggerRequest
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw, draw_part
from owlrunner.web.dashboard.live import Seen, View, answer
from owlrunner.web.dashboard.pace import Pace
from owlrunner.web.dashboard.runs import names_of, shown
from owlrunner.web.dashboard.visitor import Visitor, require_own_form, token_of_request, visitor, visitor_with
from owlrunner.web.dashboard.words import RunShown
from owlrunner.web.inputs import required_uuid

LINES = 500
"""How many lines of the log a page begins with."""
LEVELS = ("debug", "info", "warning", "error", "critical")
LONGEST_SEARCH = 200
NOTES = {
    "exists": "This run was active already, so no second one was started.",
    "ended": "The run had ended before it could be cancelled.",
    "started": "Started.",
}


@attrs.frozen
class Step:
    """One moment in the life of a run."""

    text: str
    at: datetime
    kind: str = ""
    """A status, where it is the end."""


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs/<run_id>")
    async def one_run(run_id: str) -> str:
        who = await visitor(api.accounts)
        about = await api.jobs.about(who.actor, _uuid(run_id))
        run = about.run
        wanted = _wanted_lines(request.args)
        lines = await api.jobs.newest_lines(who.actor, run.id, wanted, (0, 0), LINES)
        team = who.team_of(run.team_id)
        projects = names_of(await api.accounts.projects(who.actor, run.team_id)) if run.team_id is not None else {}
        return draw(
            "run",
            who=who,
            team=team.team if team is not None else None,
            here="jobs",
            run=run,
            view=_view(about, shown(api, run, projects, who), who, lines, Seen()),
            live=f"/dashboard/jobs/{run.id}/live?{request.query_string.decode()}",
            wanted=wanted,
            least=request.args.get("level", ""),
            levels=LEVELS[1:],
            is_cut=len(lines) == LINES,
            note=NOTES.get(request.args.get("note", "")),
        )

    @pages.get("/dashboard/jobs/<run_id>/live")
    async def live_run(run_id: str) -> Response:
        token, identity, wanted = token_of_request(), _uuid(run_id), _wanted_lines(request.args)

        async def look(seen: Seen) -> View:
            who = await visitor_with(api.accounts, token)
            about = await api.jobs.about(who.actor, identity)
            lines = await api.jobs.newest_lines(who.actor, identity, wanted, seen.position, LINES)
            team_id = about.run.team_id
            projects = names_of(await api.accounts.projects(who.actor, team_id)) if team_id is not None else {}
            return _view(about, shown(api, about.run, projects, who), who, lines, seen)

        return await answer(api.streams, look)

    @pages.post("/dashboard/jobs/<run_id>/cancel")
    async def cancel(run_id: str) -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        try:
            await api.jobs.cancel(who.actor, _uuid(run_id))
        except RunAlreadyEnded:
            return to_run(_uuid(run_id), "ended")
        return to_run(_uuid(run_id))

    @pages.post("/dashboard/jobs/<run_id>/again")
    async def again(run_id: str) -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        run = await api.jobs.view(who.actor, _uuid(run_id))
        try:
            started = await api.jobs.trigger(who.actor, run.team_id, _same(run))
        except RunAlreadyActive as taken:
            return to_run(taken.existing_run_id, "exists")
        return to_run(started.id, "started")


def to_run(run_id: UUID, note: str = "") -> BaseResponse:
    """Lead to the page of a run, which says the note."""
    return redirect(f"/dashboard/jobs/{run_id}{f'?note={note}' if note else ''}", 303)


def _uuid(text: str) -> UUID:
    return required_uuid(text, "run id")


def _same(run: JobRun) -> TriggerRequest:
    project = str(run.project_id) if run.project_id is not None else None
    return TriggerRequest(run.job_type, project, run.params, run.notify, priority=run.priority)


def _wanted_lines(told: Mapping[str, str]) -> LogFilter:
    least = told.get("level", "")
    levels = LEVELS[LEVELS.index(least) :] if least in LEVELS else ()
    return LogFilter(levels, told.get("q", "").replace("\x00", "").strip()[:LONGEST_SEARCH])


def _view(about: AboutRun, one: RunShown, who: Visitor, lines: list[StoredLogLine], seen: Seen) -> View:
    run = about.run
    pace = Pace.of(run.started_at, about.pace, _latest(one)) if run.started_at is not None else None
    last = (lines[-1].attempt, lines[-1].seq) if lines else seen.position
    return View(
        title=f"{one.label}, {one.status} · OwlRunner",
        is_active=one.is_active,
        parts={
            "head": draw_part("head", one, who.form_key),
            "progress": draw_part("progress", one, pace),
            "outcome": draw_part("outcome", run),
            "life": draw_part("life", _steps(one)),
            "about": draw_part("about", one, about.server),
            "told": draw_part("told", run, about.notifications),
        },
        lines=[(name, draw_part("line", name, line)) for line in lines for name in [f"log-{line.attempt}-{line.seq}"]],
        position=last,
    )


def _latest(one: RunShown) -> ProgressAt | None:
    """What stands in the row: it was so when the run ended, or is so now."""
    progress = one.progress
    if progress is None:
        return None
    return ProgressAt(one.run.completed_at or one.now, progress.processed, progress.total)


def _steps(one: RunShown) -> list[Step]:
    """The lifecycle, in the order in which it happened."""
    run = one.run
    steps = [Step(f"Created by {one.who}", run.created_at)]
    if run.run_at > run.created_at:
        steps.append(Step("Due again" if run.attempt else "Due", run.run_at))
    if run.started_at is not None:
        attempt = f"Attempt {run.attempt} of {run.max_attempts} started" if run.max_attempts > 1 else "Started"
        steps.append(Step(attempt, run.started_at))
    if run.cancel_requested_at is not None:
        steps.append(Step(f"Cancel requested by {one.who_cancelled}", run.cancel_requested_at))
    if run.completed_at is not None:
        steps.append(Step(run.status.value.capitalize(), run.completed_at, run.status.value))
    return sorted(steps, key=lambda step: step.at)
