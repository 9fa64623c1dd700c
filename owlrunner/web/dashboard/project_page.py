"""How a project is drawn: what it is, and what it is connected to."""

from collections.abc import Mapping
from uuid import UUID

import attrs
from quart import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.provider import ConfigField, Provider
from owlrunner.storage.integrations import Integration
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.visitor import Visitor

PROJECTS = "/dashboard/projects"
PREFIX = "config-"
"""What the names of the fields of a configuration begin with."""
NOTES = {
    "created": "The project is created.",
    "renamed": "The project is renamed.",
    "connected": "The integration is connected.",
    "saved": "The configuration is saved.",
    "enabled": "The integration is enabled.",
    "disabled": "The integration is disabled: no job uses it.",
    "disconnected": "The integration is disconnected.",
    "empty": "The project has no users to sync, so no run was started.",
}


@attrs.frozen
class Complaint:
    """What is wrong with a form; with that of a provider, where one is named."""

    problem: str = ""
    provider: str = ""
    filled: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """What was typed into it."""


@attrs.frozen
class Connection:
    """A provider, and what the project is connected to it with."""

    provider: Provider
    there: Integration | None
    shown: Mapping[str, str]
    """The configuration, without secrets."""
    complaint: Complaint

    def text(self, field: ConfigField) -> str:
        """Return what stands in a field. A secret is not sent back, not even to whoever has just typed it."""
        return "" if field.secret else self.complaint.filled.get(field.key, self.shown.get(field.key, ""))


async def draw_project(api: Api, who: Visitor, project_id: UUID, complaint: Complaint | None = None) -> str:
    """Draw the page of a project. Raises NotFound and PermissionDenied."""
    project = await api.projects.view(who.actor, project_id)
    complaint = complaint or Complaint()
    there = {one.provider: one for one in await api.integrations.of(who.actor, project.id)}
    connections = [
        Connection(
            provider,
            there.get(provider.name),
            api.integrations.shown(there[provider.name]) if provider.name in there else {},
            complaint if complaint.provider == provider.name else Complaint(),
        )
        for provider in sorted(api.integrations.providers.values(), key=lambda one: one.label.casefold())
    ]
    return draw(
        "project",
        who=who,
        team=who.team(str(project.team_id)),
        here="projects",
        project=project,
        connections=connections,
        # Whose plugin is gone.
        others=[one for name, one in sorted(there.items()) if name not in api.integrations.providers],
        prefix=PREFIX,
        webhooks=f"{(api.config.web.public_url or request.host_url).rstrip('/')}/v1/webhooks",
        problem="" if complaint.provider in api.integrations.providers else complaint.problem,
        note=NOTES.get(request.args.get("note", ""), ""),
    )


def to_project(project_id: UUID, note: str) -> BaseResponse:
    """Lead to the page of a project, which says the note."""
    return redirect(f"{PROJECTS}/{project_id}?note={note}", 303)
