"""The handlers of the API for projects and their integrations."""

from uuid import UUID

from owlrunner.accounts import Project
from owlrunner.provider import Provider
from owlrunner.storage.integrations import Integration
from owlrunner.web import project_inputs as inputs
from owlrunner.web.api import Api
from owlrunner.web.exchange import Answer, Request, encode
from owlrunner.web.inputs import required_uuid
from owlrunner.web.project_wire import (
    ConfigFieldBody,
    Deleted,
    IntegrationBody,
    IntegrationList,
    NothingToSync,
    ProjectBody,
    ProjectDetail,
    ProjectList,
    ProviderBody,
    ProviderList,
    Received,
    SyncStarted,
)
from owlrunner.web.rendering import instant


async def list_projects(api: Api, request: Request) -> Answer:
    """Answer with the projects of the caller's teams."""
    query: inputs.ProjectsQuery = request.query
    team_id = query.team_id if isinstance(query.team_id, UUID) else None
    projects = await api.projects.of(request.caller.actor, team_id)
    return _answer(ProjectList([project_body(project) for project in projects]))


async def view_project(api: Api, request: Request) -> Answer:
    """Answer with one project."""
    project = await api.projects.view(request.caller.actor, _project_id(request))
    return _answer(
        ProjectDetail(project.id, project.team_id, project.name, project.slug, instant(project.created_at), [])
    )


async def create_project(api: Api, request: Request) -> Answer:
    """Create a project in a team."""
    body: inputs.CreateProjectBody = request.body
    project = await api.projects.create(request.caller.actor, body.team_id, body.name, body.slug)
    return _answer(project_body(project), 201)


async def update_project(api: Api, request: Request) -> Answer:
    """Give a project another name."""
    body: inputs.UpdateProjectBody = request.body
    return _answer(project_body(await api.projects.rename(request.caller.actor, _project_id(request), body.name)))


async def delete_project(api: Api, request: Request) -> Answer:
    """Delete a project."""
    await api.projects.delete(request.caller.actor, _project_id(request))
    return _answer(Deleted(deleted=True))


async def list_providers(api: Api, request: Request) -> Answer:
    """Answer with what a project can be connected to."""
    await api.projects.view(request.caller.actor, _project_id(request), "integrations:read")
    providers = api.integrations.providers
    return _answer(ProviderList([_provider_body(provider) for _, provider in sorted(providers.items())]))


async def list_integrations(api: Api, request: Request) -> Answer:
    """Answer with what a project is connected to."""
    integrations = await api.integrations.of(request.caller.actor, _project_id(request))
    return _answer(IntegrationList([_integration_body(api, integration) for integration in integrations]))


async def create_integration(api: Api, request: Request) -> Answer:
    """Connect a project to a provider."""
    body: inputs.CreateIntegrationBody = request.body
    created = await api.integrations.create(request.caller.actor, _project_id(request), body.provider, body.config)
    return _answer(_integration_body(api, created), 201)


async def update_integration(api: Api, request: Request) -> Answer:
    """Change an integration."""
    body: inputs.UpdateIntegrationBody = request.body
    changed = await api.integrations.update(
        request.caller.actor, _project_id(request), request.path["provider"], body.config, enabled=body.enabled
    )
    return _answer(_integration_body(api, changed))


async def delete_integration(api: Api, request: Request) -> Answer:
    """Disconnect a project from a provider."""
    await api.integrations.delete(request.caller.actor, _project_id(request), request.path["provider"])
    return _answer(Deleted(deleted=True))


async def sync_integration(api: Api, request: Request) -> Answer:
    """Start the sync of an integration."""
    run_id, total = await api.integrations.sync(request.caller.actor, _project_id(request), request.path["provider"])
    if run_id is None:
        return _answer(NothingToSync(synced=0, total=0))
    return _answer(SyncStarted(syncing=True, total=total, job_run_id=run_id))


async def receive_webhook(api: Api, request: Request) -> Answer:
    """Take a webhook of a provider."""
    body: inputs.WebhookBody = request.body
    secret, client = request.credential, request.origin.place.client
    await api.integrations.receive(_project_id(request), request.path["provider"], secret, body.event, client)
    return _answer(Received(received=True))


def project_body(project: Project) -> ProjectBody:
    """A project, for the wire."""
    return ProjectBody(project.id, project.team_id, project.name, project.slug, instant(project.created_at))


def _integration_body(api: Api, integration: Integration) -> IntegrationBody:
    return IntegrationBody(
        integration.id,
        integration.project_id,
        integration.provider,
        api.integrations.shown(integration),
        integration.enabled,
        instant(integration.created_at),
        instant(integration.updated_at),
    )


def _provider_body(provider: Provider) -> ProviderBody:
    fields = [
        ConfigFieldBody(field.key, field.label, field.required, field.secret, field.placeholder, field.description)
        for field in provider.fields
    ]
    return ProviderBody(provider.name, provider.label, provider.description, fields)


def _project_id(request: Request) -> UUID:
    return required_uuid(request.path["projectId"], "project id")


def _answer(body: object, status: int = 200) -> Answer:
    return Answer(status, encode(body))
