"""This is the room for starting a run: a job type, a project, params in a form of their own, and what comes of it.

Each page here is a page of its own. Where there is JavaScript, it is shown as a dialog on top of the page that one came from.
"""

from functools import partial
from uuid import UUID

import attrs
from quart import Blueprint, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.accounts import Team
from owlrunner.errors import InvalidParams, InvalidRequest, NotFound, RunAlreadyActive
from owlrunner.job_type import AnyJobType, Scope
from owlrunner.large_input import decoded
from owlrunner.trigger_request import TriggerRequest
from owlrunner.web.api import Api
from owlrunner.web.dashboard import params_form
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.one_run import to_run
from owlrunner.web.dashboard.runs import projects_of
from owlrunner.web.dashboard.visitor import Visitor, require_own_form, visitor
from owlrunner.web.forms import form_size


@attrs.frozen
class Filled:
    """The form as somebody left it."""

    fields: list[params_form.Field]
    project_id: str = ""
    notify: bool = False
    problem: str = ""
    """What is wrong with none of the fields in particular."""
    existing: UUID | None = None
    """The run that has the slot."""


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/dashboard/jobs/new")
    async def new_run() -> str:
        who = await visitor(api.accounts)
        team = who.team(request.args.get("team"))
        name = request.args.get("type")
        if not name:
            return draw(
                "job_types", who=who, team=team, here="jobs", job_types=api.jobs.catalog.of_scope(Scope.PROJECT)
            )
        job_type = _offered(api, name)
        return await _form(api, who, team, job_type, Filled(params_form.fields_of(job_type.params_schema())))

    @pages.post("/dashboard/jobs/new")
    async def start() -> BaseResponse | tuple[str, int]:
        who = await visitor(api.accounts)
        await require_own_form(who)
        form = await request.form
        team = who.team(form.get("team"))
        job_type = _offered(api, form.get("type", ""))
        empty = params_form.fields_of(job_type.params_schema())
        params, fields = await decoded(partial(params_form.read, empty, form), await form_size())
        filled = Filled(fields, form.get("project", ""), bool(form.get("notify")))
        if any(field.problem for field in fields):
            return await _form(api, who, team, job_type, filled), 400
        wanted = TriggerRequest(job_type.name, filled.project_id, params or None, filled.notify)
        try:
            run = await api.jobs.trigger(who.actor, team.id, wanted)
        except InvalidParams as complaint:
            fields, rest = params_form.with_problem(fields, str(complaint))
            return await _form(api, who, team, job_type, attrs.evolve(filled, fields=fields, problem=rest)), 400
        except (InvalidRequest, NotFound) as complaint:
            return await _form(api, who, team, job_type, attrs.evolve(filled, problem=str(complaint))), 400
        except RunAlreadyActive as taken:
            filled = attrs.evolve(filled, existing=taken.existing_run_id)
            return await _form(api, who, team, job_type, filled), 409
        return to_run(run.id, "started")


def _offered(api: Api, name: str) -> AnyJobType:
    """A job type that a team may start. Raises NotFound."""
    job_type = api.jobs.catalog.job_types.get(name)
    if job_type is None or job_type.scope is not Scope.PROJECT:
        raise NotFound("There is no such job type")
    return job_type


async def _form(api: Api, who: Visitor, team: Team, job_type: AnyJobType, filled: Filled) -> str:
    projects = await projects_of(api, who, team.id)
    return draw(
        "new_run",
        who=who,
        team=team,
        here="jobs",
        job_type=job_type,
        filled=filled,
        prefix=params_form.PREFIX,
        projects=[(str(project), name) for project, name in projects.items()],
    )
