"""This is the room for the first page: what is running, what failed lately, and how the last day or week went."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs
import trio
from quart import Blueprint, Response, request

from owlrunner.accounts import Team
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.run_reports import LookBack
from owlrunner.storage.job_runs import Filters
from owlrunner.web.api import Api
from owlrunner.web.dashboard.charts import BarChart, step_words
from owlrunner.web.dashboard.drawing import draw, draw_part
from owlrunner.web.dashboard.live import Seen, View, answer
from owlrunner.web.dashboard.runs import projects_of, shown
from owlrunner.web.dashboard.visitor import Visitor, token_of_request, visitor, visitor_with
from owlrunner.web.dashboard.words import RunShown, label_of

SPANS: Mapping[str, tuple[str, timedelta, int]] = {
    "day": ("Last 24 hours", timedelta(days=1), 24),
    "week": ("Last 7 days", timedelta(days=7), 28),
}
RUNNING, FAILURES = 10, 5
"""How many are shown."""
REMEMBERED = 20.0
"""Seconds for which a stream shows the same past: to look back takes longer than to look."""


@attrs.frozen
class Past:
    """How it went, and when that was looked up."""

    looked: float
    now: datetime
    told: LookBack


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard")
    async def overview() -> str:
        who = await visitor(api.accounts)
        if not who.administered:
            return draw("no_team", who=who)
        team, span = who.team(request.args.get("team")), _span(request.args)
        view = await _view(api, who, team, await _past(api, who, team, span))
        return draw(
            "overview",
            who=who,
            team=team,
            here="overview",
            view=view,
            live=f"/dashboard/live?team={team.slug}&span={span}",
            span=span,
            spans=[(name, label) for name, (label, _, _) in SPANS.items()],
        )

    @pages.get("/dashboard/live")
    async def live_overview() -> Response:
        token, wanted, span = token_of_request(), request.args.get("team"), _span(request.args)
        remembered: list[Past] = []

        async def look(_: Seen) -> View:
            who = await visitor_with(api.accounts, token)
            team = who.team(wanted)
            if not remembered or trio.current_time() - remembered[-1].looked > REMEMBERED:
                remembered[:] = [await _past(api, who, team, span)]
            return await _view(api, who, team, remembered[-1])

        async def team_of(who: Visitor) -> UUID:
            return who.team(wanted).id

        return await answer(api, look, team_of)


def _span(told: Mapping[str, str]) -> str:
    return told["span"] if told.get("span") in SPANS else "day"


async def _past(api: Api, who: Visitor, team: Team, span: str) -> Past:
    _, length, steps = SPANS[span]
    told = await api.jobs.look_back(who.actor, team.id, length, steps)
    return Past(trio.current_time(), datetime.now(UTC), told)


async def _view(api: Api, who: Visitor, team: Team, past: Past) -> View:
    projects = await projects_of(api, who, team.id)

    async def newest(status: RunStatus) -> list[JobRun]:
        return (await api.jobs.page(who.actor, team.id, Filters(status=status), None, RUNNING)).runs

    async def seen(runs: Sequence[JobRun]) -> list[RunShown]:
        return [shown(api, one, projects, who) for one in await api.jobs.see(runs)]

    active = await seen([*await newest(RunStatus.RUNNING), *await newest(RunStatus.PENDING)])
    failures = await seen(await api.jobs.latest_failures(who.actor, team.id, FAILURES))
    labels = {one.job_type: label_of(api.jobs.catalog, one.job_type) for one in past.told.typical}
    chart = BarChart.of(past.told, past.now)
    return View(
        title=f"{team.name} · OwlRunner",
        is_active=bool(active),
        parts={
            "now": draw_part("now", active),
            "hours": draw_part("hours", chart, step_words(past.told.span / past.told.steps)),
            "typical": draw_part("typical", past.told.typical, labels, team),
            "failures": draw_part("failures", failures, team),
        },
    )
