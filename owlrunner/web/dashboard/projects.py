"""The pages on which a team's admins see, make, rename and delete its projects."""

from quart import Blueprint, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.accounts import Team
from owlrunner.accounts.credentials import slug_of
from owlrunner.errors import AlreadyExists, InvalidRequest
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.project_page import PROJECTS, Complaint, draw_project, to_project
from owlrunner.web.dashboard.visitor import Visitor, own_form, visitor
from owlrunner.web.inputs import required_uuid


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get(PROJECTS)
    async def projects() -> str:
        who = await visitor(api.accounts)
        if not who.administered:
            return draw("no_team", who=who)
        return await _list(api, who, who.team(request.args.get("team")))

    @pages.post(PROJECTS)
    async def create() -> BaseResponse | tuple[str, int]:
        who, form = await own_form(api.accounts)
        team = who.team(form.get("team"))
        name, slug = form.get("name", "").strip(), form.get("slug", "").strip()
        try:
            made = await api.projects.create(who.actor, str(team.id), name, slug or slug_of(name))
        except (InvalidRequest, AlreadyExists) as complaint:
            status = 409 if isinstance(complaint, AlreadyExists) else 400
            return await _list(api, who, team, {"name": name, "slug": slug, "problem": str(complaint)}), status
        return to_project(made.id, "created")

    @pages.get(f"{PROJECTS}/<project_id>")
    async def project(project_id: str) -> str:
        who = await visitor(api.accounts)
        return await draw_project(api, who, required_uuid(project_id, "project id"))

    @pages.post(f"{PROJECTS}/<project_id>/rename")
    async def rename(project_id: str) -> BaseResponse | tuple[str, int]:
        who, form = await own_form(api.accounts)
        identity = required_uuid(project_id, "project id")
        try:
            # A name of spaces is told what a name is.
            await api.projects.rename(who.actor, identity, form.get("name") or " ")
        except InvalidRequest as complaint:
            return await draw_project(api, who, identity, Complaint(str(complaint))), 400
        return to_project(identity, "renamed")

    @pages.post(f"{PROJECTS}/<project_id>/delete")
    async def delete(project_id: str) -> BaseResponse | tuple[str, int]:
        who, form = await own_form(api.accounts)
        identity = required_uuid(project_id, "project id")
        there = await api.projects.view(who.actor, identity)
        if form.get("slug", "").strip() != there.slug:
            complaint = Complaint(f"Nothing was deleted: to delete the project, write {there.slug}")
            return await draw_project(api, who, identity, complaint), 400
        await api.projects.delete(who.actor, identity)
        return redirect(f"{PROJECTS}?team={there.team_id}&note=deleted", 303)


async def _list(api: Api, who: Visitor, team: Team, form: dict[str, str] | None = None) -> str:
    """The page of a team's projects; ``form`` is what was typed for a new one, and what is wrong with it."""
    return draw(
        "projects",
        who=who,
        team=team,
        here="projects",
        projects=await api.projects.of(who.actor, team.id),
        note="The project is deleted." if request.args.get("note") == "deleted" else "",
        **({"name": "", "slug": ""} | (form or {})),
    )
