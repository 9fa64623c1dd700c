"""This is the room for the page of one run: what became of it, what it told, and the buttons to cancel it or run it again."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import attrs
from quart import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.errors import RunAlreadyActive, RunAlreadyEnded
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.run_reports import AboutRun
from owlrunner.storage.job_runs import LINES_SEARCHED, EarlierAttempt, LogFilter, ProgressAt, StoredLogLine
from owlrunner.trigger_request import TriggerRequest
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw, draw_part
from owlrunner.web.dashboard.live import Seen, View, answer
from owlrunner.web.dashboard.pace import Pace
from owlrunner.web.dashboard.runs import projects_of, shown
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
    """A status, where something ended."""
    who: str = ""
    """Whose doing it was, where that is told."""


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs/<run_id>")
    async def one_run(run_id: str) -> str:
        who = await visitor(api.accounts)
        wanted = _wanted_lines(request.args)
        about, view = await _find(api, who, _uuid(run_id), wanted, Seen())
        run = about.run
        return draw(
            "run",
            who=who,
            team=who.team_of(run.team_id),
            here="jobs",
            run=run,
            view=view,
            live=f"/dashboard/jobs/{run.id}/live?{request.query_string.decode()}",
            wanted=wanted,
            least=request.args.get("level", ""),
            levels=LEVELS[1:],
            is_cut=len(view.lines) == LINES,
            is_searched_whole=about.is_log_searched,
            lines_searched=LINES_SEARCHED,
            note=NOTES.get(request.args.get("note", "")),
        )

    @pages.get("/dashboard/jobs/<run_id>/live")
    async def live_run(run_id: str) -> Response:
        token, identity, wanted = token_of_request(), _uuid(run_id), _wanted_lines(request.args)

        async def look(seen: Seen) -> View:
            who = await visitor_with(api.accounts, token)
            return (await _find(api, who, identity, wanted, seen))[1]

        async def team_of(who: Visitor) -> UUID:
            team_id = (await api.jobs.view(who.actor, identity)).team_id
            assert team_id is not None  # noqa: S101 - the system's runs are shown to no visitor
            return team_id

        return await answer(api, look, team_of)

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


async def _find(api: Api, who: Visitor, run_id: UUID, wanted: LogFilter, seen: Seen) -> tuple[AboutRun, View]:
    """What there is about a run, and its page's live parts, with the lines of its log that the browser lacks."""
    about = await api.jobs.about(who.actor, run_id, wanted, seen.position, LINES)
    team_id = about.run.team_id
    projects = await projects_of(api, who, team_id) if team_id is not None else {}
    return about, _view(about, shown(api, about.seen, projects, who), who, seen)


def _view(about: AboutRun, one: RunShown, who: Visitor, seen: Seen) -> View:
    run = about.run
    pace = Pace.of(run.started_at, about.pace, _latest(one)) if run.started_at is not None else None
    last = (about.lines[-1].attempt, about.lines[-1].seq) if about.lines else seen.position
    return View(
        title=f"{one.label}, {one.status} · OwlRunner",
        is_active=one.is_active,
        parts={
            "head": draw_part("head", one, who.form_key),
            "progress": draw_part("progress", one, pace),
            "outcome": draw_part("outcome", run),
            "life": draw_part("life", _steps(one, about.earlier)),
            "about": draw_part("about", one, about.server),
            "told": draw_part("told", run, about.notifications),
        },
        lines=_drawn(about.lines, seen),
        position=last,
    )


def _drawn(lines: list[StoredLogLine], seen: Seen) -> list[tuple[str, str]]:
    """Lines of the log as parts. Where more came at once than fit, something may be missing before them."""
    drawn = []
    if len(lines) == LINES and seen.position != (0, 0):
        name = f"gap-{lines[0].attempt}-{lines[0].seq}"
        drawn.append((name, draw_part("gap", name)))
    for line in lines:
        name = f"log-{line.attempt}-{line.seq}"
        drawn.append((name, draw_part("line", name, line)))
    return drawn


def _latest(one: RunShown) -> ProgressAt | None:
    """What stands in the row: it was so when the run ended, or is so now."""
    progress = one.progress
    if progress is None:
        return None
    return ProgressAt(one.run.completed_at or one.now, progress.processed, progress.total)


def _steps(one: RunShown, earlier: list[EarlierAttempt]) -> list[Step]:
    """The lifecycle, in the order in which it happened."""
    run = one.run
    steps = [Step("Created by", run.created_at, who=one.who)]
    steps += (Step(f"Attempt {attempt} did not succeed", at, "failed") for attempt, at in earlier)
    # A run that ended before its time was never due.
    if run.run_at > run.created_at and (run.completed_at is None or run.run_at <= run.completed_at):
        is_again = run.attempt > (0 if run.status is RunStatus.PENDING else 1)
        steps.append(Step("Due again" if is_again else "Due", run.run_at))
    if run.started_at is not None:
        attempt = f"Attempt {run.attempt} of {run.max_attempts} started" if run.max_attempts > 1 else "Started"
        steps.append(Step(attempt, run.started_at))
    if run.cancel_requested_at is not None:
        steps.append(Step("Cancel requested by", run.cancel_requested_at, who=one.who_cancelled))
    if run.completed_at is not None:
        steps.append(Step(run.status.value.capitalize(), run.completed_at, run.status.value))
    return sorted(steps, key=lambda step: step.at)
