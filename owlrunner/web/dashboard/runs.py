"""This is the room for the page with a team's runs: filtered by the URL, newest first, page by page."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

import attrs
from quart import Blueprint, render_template, request

from owlrunner.accounts import Project
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.job_type import Scope
from owlrunner.storage.job_runs import Filters
from owlrunner.web.api import Api
from owlrunner.web.dashboard.visitor import Visitor, visitor
from owlrunner.web.dashboard.words import RunShown, label_of, who_of
from owlrunner.web.inputs import run_cursor
from owlrunner.web.rendering import cursor_text

SHOWN = 50
SPANS: Mapping[str, tuple[str, timedelta]] = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
}
KEPT = ("team", "type", "status", "project", "span")
"""What stands in the URL."""


@attrs.frozen
class Asked:
    """What the URL asks for. What it names and does not exist is left out, so that a stale link still shows a page."""

    job_type: str | None
    status: str | None
    project_id: UUID | None
    span: str | None

    @property
    def filters(self) -> Filters:
        """For the door."""
        since = SPANS[self.span][1] if self.span else None
        return Filters(self.job_type, self.status, self.project_id, since)

    @property
    def is_narrow(self) -> bool:
        """Whether there may be more without the filters."""
        return self.filters != Filters()


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs")
    async def runs() -> str:
        who = await visitor(api.accounts)
        if not who.administered:
            return await render_template("no_team.html", who=who)
        team = who.team(request.args.get("team")).team
        projects = await api.accounts.projects(who.actor, team.id)
        asked = _asked(projects)
        page = await api.jobs.page(who.actor, team.id, asked.filters, run_cursor(request.args.get("cursor")), SHOWN)
        names = {project.id: project.name for project in projects}
        return await render_template(
            "runs.html",
            who=who,
            team=team,
            asked=asked,
            runs=[shown(api, run, names, who) for run in page.runs],
            more=_link(cursor=cursor_text(page.next)) if page.next is not None else None,
            is_first=not request.args.get("cursor"),
            first=_link(),
            choices={
                "type": [(one.name, one.label) for one in api.jobs.catalog.of_scope(Scope.PROJECT)],
                "status": [(status.value, status.value) for status in RunStatus],
                "project": [(str(project.id), project.name) for project in projects],
                "span": [(name, label) for name, (label, _) in SPANS.items()],
            },
        )


def shown(api: Api, run: JobRun, projects: Mapping[UUID, str], who: Visitor) -> RunShown:
    """A run, in words."""
    project = projects.get(run.project_id, "") if run.project_id is not None else ""
    label = label_of(api.jobs.catalog, run.job_type)
    return RunShown(run, label, project, who_of(run.triggered_by, who.actor.triggered_by), datetime.now(UTC))


def _asked(projects: list[Project]) -> Asked:
    told = request.args
    ids = {str(project.id): project.id for project in projects}
    return Asked(
        told.get("type") or None,
        told["status"] if told.get("status") in set(RunStatus) else None,
        ids.get(told.get("project", "")),
        told["span"] if told.get("span") in SPANS else None,
    )


def _link(**changes: str) -> str:
    """This page with the filters that it has."""
    kept = {name: request.args[name] for name in KEPT if request.args.get(name)}
    return f"/dashboard/jobs?{urlencode(kept | changes)}"
