"""The routes of projects and their integrations."""

from owlrunner.integrations import READ as INTEGRATIONS_READ
from owlrunner.integrations import WRITE as INTEGRATIONS_WRITE
from owlrunner.projects import READ, WRITE
from owlrunner.web import project_api as api
from owlrunner.web import project_inputs as inputs
from owlrunner.web import project_wire as shapes
from owlrunner.web import wire
from owlrunner.web.route import Auth, Route

_PROJECT = "/v1/projects/{projectId}"
_INTEGRATION = _PROJECT + "/integrations/{provider}"

PROJECT_ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/projects",
        summary="List projects",
        handler=api.list_projects,
        permissions=(READ,),
        query=inputs.ProjectsQuery,
        answers={200: (shapes.ProjectList,)},
    ),
    Route(
        method="POST",
        path="/v1/projects",
        summary="Create a project",
        handler=api.create_project,
        permissions=(WRITE,),
        body=inputs.CreateProjectBody,
        answers={201: (shapes.ProjectBody,), 409: (wire.Error,)},
    ),
    Route(
        method="GET",
        path=_PROJECT,
        summary="View a project",
        handler=api.view_project,
        permissions=(READ,),
        answers={200: (shapes.ProjectDetail,), 404: (wire.Error,)},
    ),
    Route(
        method="PATCH",
        path=_PROJECT,
        summary="Rename a project",
        handler=api.update_project,
        permissions=(WRITE,),
        body=inputs.UpdateProjectBody,
        answers={200: (shapes.ProjectBody,), 404: (wire.Error,)},
    ),
    Route(
        method="DELETE",
        path=_PROJECT,
        summary="Delete a project and cancel its runs",
        handler=api.delete_project,
        auth=Auth.USER,
        users_only="Only users can delete projects",
        answers={200: (shapes.Deleted,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path=_PROJECT + "/integrations/providers",
        summary="List what a project can be connected to",
        handler=api.list_providers,
        permissions=(INTEGRATIONS_READ,),
        answers={200: (shapes.ProviderList,), 404: (wire.Error,)},
    ),
    Route(
        method="GET",
        path=_PROJECT + "/integrations",
        summary="List what a project is connected to",
        handler=api.list_integrations,
        permissions=(INTEGRATIONS_READ,),
        answers={200: (shapes.IntegrationList,), 404: (wire.Error,)},
    ),
    Route(
        method="POST",
        path=_PROJECT + "/integrations",
        summary="Connect a project to a provider",
        handler=api.create_integration,
        permissions=(INTEGRATIONS_WRITE,),
        body=inputs.CreateIntegrationBody,
        answers={201: (shapes.IntegrationBody,), 404: (wire.Error,), 409: (wire.Error,)},
    ),
    Route(
        method="PATCH",
        path=_INTEGRATION,
        summary="Change an integration",
        handler=api.update_integration,
        permissions=(INTEGRATIONS_WRITE,),
        body=inputs.UpdateIntegrationBody,
        answers={200: (shapes.IntegrationBody,), 404: (wire.Error,)},
    ),
    Route(
        method="DELETE",
        path=_INTEGRATION,
        summary="Disconnect a project from a provider",
        handler=api.delete_integration,
        permissions=(INTEGRATIONS_WRITE,),
        answers={200: (shapes.Deleted,), 404: (wire.Error,)},
    ),
    Route(
        method="POST",
        path="/v1/webhooks/{provider}/{projectId}",
        summary="Take a webhook of a provider",
        handler=api.receive_webhook,
        auth=Auth.NONE,
        body=inputs.WebhookBody,
        answers={200: (shapes.Received,), 401: (wire.Error,), 404: (wire.Error,)},
    ),
    Route(
        method="POST",
        path=_INTEGRATION + "/sync",
        summary="Sync what a project is connected to",
        handler=api.sync_integration,
        permissions=(INTEGRATIONS_WRITE,),
        answers={
            200: (shapes.SyncStarted, shapes.NothingToSync),
            404: (wire.Error,),
            409: (wire.ConflictError,),
        },
    ),
)
