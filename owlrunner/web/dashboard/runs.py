"""This is the room for the page with a team's runs: filtered by the URL, newest first, page by page."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import attrs
from quart import Blueprint, Response, request

from owlrunner.accounts import Team
from owlrunner.job_run import RunStatus
from owlrunner.job_type import Scope
from owlrunner.jobs import COUNTED
from owlrunner.storage.job_runs import Cursor, Filters
from owlrunner.storage.overview import Count
from owlrunner.storage.seen_runs import SeenRun
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw, draw_part
from owlrunner.web.dashboard.live import Seen, View, answer
from owlrunner.web.dashboard.visitor import Visitor, token_of_request, visitor, visitor_with
from owlrunner.web.dashboard.words import RunShown, count_words, label_of
from owlrunner.web.inputs import run_cursor
from owlrunner.web.rendering import cursor_text
from owlrunner.web.slices import in_slices

SHOWN = 50
SPANS: Mapping[str, tuple[str, timedelta]] = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
}
KEPT = ("team", "type", "status", "project", "span", "cursor")
"""What stands in the URL."""


@attrs.frozen
class Asked:
    """What a URL asks for, as far as it exists: a stale link still shows a page."""

    told: Mapping[str, str]
    projects: Mapping[UUID, str]

    @property
    def status(self) -> str | None:
        """A status."""
        return self.told["status"] if self.told.get("status") in set(RunStatus) else None

    @property
    def job_type(self) -> str | None:
        """The name of a job type."""
        # NUL is in no name, and PostgreSQL takes no text that has one.
        return self.told.get("type", "").replace("\x00", "") or None

    @property
    def project_id(self) -> UUID | None:
        """One of the team's projects."""
        return next((one for one in self.projects if str(one) == self.told.get("project")), None)

    @property
    def span(self) -> str | None:
        """A key of SPANS."""
        return self.told["span"] if self.told.get("span") in SPANS else None

    @property
    def filters(self) -> Filters:
        """For the door."""
        since = SPANS[self.span][1] if self.span else None
        return Filters(self.job_type, self.status, self.project_id, since)

    @property
    def is_narrow(self) -> bool:
        """Whether there may be more without the filters."""
        return self.filters != Filters()

    @property
    def is_first(self) -> bool:
        """Whether this is the page with the newest."""
        return not self.told.get("cursor")

    def link(self, path: str = "/dashboard/jobs", **changes: str) -> str:
        """A URL that asks for the same but for these; an empty text takes something away."""
        kept = {name: self.told[name] for name in KEPT if self.told.get(name)} | changes
        query = urlencode({name: value for name, value in kept.items() if value})
        return f"{path}?{query}" if query else path


@attrs.frozen
class Found:
    """What there is of what was asked for."""

    team: Team
    asked: Asked
    runs: list[SeenRun]
    next: Cursor | None
    counts: Mapping[RunStatus, Count]


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs")
    async def runs() -> str:
        who = await visitor(api.accounts)
        if not who.administered:
            return draw("no_team", who=who)
        found = await _find(api, who, request.args)
        view = await _view(api, who, found)
        asked, more = found.asked, found.next
        return draw(
            "runs",
            who=who,
            team=found.team,
            here="jobs",
            asked=asked,
            view=view,
            live=asked.link("/dashboard/jobs/live"),
            more=asked.link(cursor=cursor_text(more)) if more is not None else None,
            choices={
                "type": [(one.name, one.label) for one in api.jobs.catalog.of_scope(Scope.PROJECT)],
                "project": [(str(project), name) for project, name in asked.projects.items()],
                "span": [(name, label) for name, (label, _) in SPANS.items()],
            },
        )

    @pages.get("/dashboard/jobs/live")
    async def live_runs() -> Response:
        token, told = token_of_request(), request.args

        async def look(_: Seen) -> View:
            who = await visitor_with(api.accounts, token)
            return await _view(api, who, await _find(api, who, told))

        async def team_of(who: Visitor) -> UUID:
            return who.team(told.get("team")).id

        return await answer(api, look, team_of)


def shown(api: Api, seen: SeenRun, projects: Mapping[UUID, str], who: Visitor) -> RunShown:
    """A run, in words."""
    run = seen.run
    project = projects.get(run.project_id, "") if run.project_id is not None else ""
    return RunShown(seen, label_of(api.jobs.catalog, run.job_type), project, who.actor.triggered_by)


async def projects_of(api: Api, who: Visitor, team_id: UUID) -> dict[UUID, str]:
    """The names of a team's projects."""
    return {project.id: project.name for project in await api.accounts.projects(who.actor, team_id)}


async def _find(api: Api, who: Visitor, told: Mapping[str, str]) -> Found:
    team = who.team(told.get("team"))
    asked = Asked(told, await projects_of(api, who, team.id))
    page = await api.jobs.page(who.actor, team.id, asked.filters, run_cursor(told.get("cursor") or None), SHOWN)
    counts = await api.jobs.counts(who.actor, team.id, asked.filters)
    return Found(team, asked, await api.jobs.see(page.runs), page.next, counts)


async def _view(api: Api, who: Visitor, found: Found) -> View:
    rows = {f"run-{seen.run.id}": shown(api, seen, found.asked.projects, who) for seen in found.runs}
    drawn = await in_slices(list(rows.items()), lambda row: (row[0], draw_part("row", *row)))
    nothing = "" if rows else _why_nothing(found.asked)
    return View(
        title=f"Jobs of {found.team.name} · OwlRunner",
        is_active=any(row.is_active for row in rows.values()),
        parts={
            "counts": draw_part("counts", found.asked, _counted(found.counts), COUNTED),
            "nothing": draw_part("nothing", nothing, found.team, found.asked),
            **dict(drawn),
        },
        lists={"rows": list(rows)},
    )


def _counted(counts: Mapping[RunStatus, Count]) -> dict[str, str]:
    """How many runs there are, by status and in all (""), each as it is shown: with a plus where there are more."""
    each = {status.value: counts.get(status, Count(0, is_all=True)) for status in RunStatus}
    in_all = Count(sum(one.number for one in each.values()), all(one.is_all for one in each.values()))
    return {name: count_words(one) for name, one in {"": in_all, **each}.items()}


def _why_nothing(asked: Asked) -> str:
    if asked.is_narrow:
        return "filters"
    return "new" if asked.is_first else "end"
