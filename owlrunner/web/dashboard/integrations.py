"""The forms by which a team's admins connect a project to providers, and start a sync."""

from collections.abc import Mapping
from uuid import UUID

from quart import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.actor import UserActor
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound, RunAlreadyActive
from owlrunner.web.api import Api
from owlrunner.web.dashboard.one_run import to_run
from owlrunner.web.dashboard.project_page import PREFIX, PROJECTS, Complaint, draw_project, to_project
from owlrunner.web.dashboard.visitor import own_form
from owlrunner.web.inputs import required_uuid


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.post(f"{PROJECTS}/<project_id>/integrations/<provider>")
    async def configure(project_id: str, provider: str) -> BaseResponse | tuple[str, int]:
        who, form = await own_form(api.accounts)
        identity = required_uuid(project_id, "project id")
        typed = {key.removeprefix(PREFIX): text.strip() for key, text in form.items() if key.startswith(PREFIX)}
        connected = bool(form.get("there"))
        try:
            if connected:
                await api.integrations.update(who.actor, identity, provider, _changes(api, provider, typed))
            else:
                config = {key: text for key, text in typed.items() if text}
                await api.integrations.create(who.actor, identity, provider, config)
        except (InvalidRequest, AlreadyExists) as refusal:
            complaint = Complaint(str(refusal), provider, typed)
            status = 409 if isinstance(refusal, AlreadyExists) else 400
            return await draw_project(api, who, identity, complaint), status
        return to_project(identity, "saved" if connected else "connected")

    @pages.post(f"{PROJECTS}/<project_id>/integrations/<provider>/<act>")
    async def act(project_id: str, provider: str, act: str) -> BaseResponse:
        who, _ = await own_form(api.accounts)
        identity = required_uuid(project_id, "project id")
        match act:
            case "enable" | "disable":
                await api.integrations.update(who.actor, identity, provider, enabled=act == "enable")
                return to_project(identity, f"{act}d")
            case "disconnect":
                await api.integrations.delete(who.actor, identity, provider)
                return to_project(identity, "disconnected")
            case "sync":
                return await _sync(api, who.actor, identity, provider)
        raise NotFound("There is no such page")


async def _sync(api: Api, actor: UserActor, project_id: UUID, provider: str) -> BaseResponse:
    """Start a sync and lead to its run, or to the one that exists."""
    try:
        run_id, _ = await api.integrations.sync(actor, project_id, provider)
    except RunAlreadyActive as taken:
        return to_run(taken.existing_run_id)
    return to_run(run_id, "started") if run_id is not None else to_project(project_id, "empty")


def _changes(api: Api, provider: str, typed: Mapping[str, str]) -> dict[str, str]:
    """What shall be different: a secret that nobody typed stays as it is."""
    offered = api.integrations.providers.get(provider)
    secrets = {field.key for field in offered.fields if field.secret} if offered is not None else set()
    return {key: text for key, text in typed.items() if text or key not in secrets}
