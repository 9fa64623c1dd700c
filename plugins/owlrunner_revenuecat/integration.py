"""Which integration a run works with, and what is wrong where there is none."""

from uuid import UUID

import owlrunner
from owlrunner_revenuecat.settings import SyncParams
from owlrunner_revenuecat.storage import Integration, find_integration


class IntegrationMissing(owlrunner.OwlRunnerError):
    """The project has no RevenueCat integration that may be used: create it, enable it, or give it its API key."""


class OtherProject(owlrunner.OwlRunnerError):
    """The params name another project than the run's: leave project_id out, or trigger the run for that project."""


async def integration_of(ctx: owlrunner.JobContext, params: SyncParams) -> tuple[UUID, Integration]:
    """Return the run's project and its integration. Raises OtherProject and IntegrationMissing."""
    project_id = ctx.project_id
    if project_id is None:
        raise IntegrationMissing("RevenueCat integration not found or disabled")
    if params.project_id not in (None, project_id):
        raise OtherProject(f"params: project_id is {params.project_id}, but the run is for the project {project_id}")
    async with ctx.connect() as connection:
        integration = await find_integration(connection, project_id)
    if integration is None or params.integration_id not in (None, integration.id):
        raise IntegrationMissing("RevenueCat integration not found or disabled")
    if not integration.api_key:
        raise IntegrationMissing("RevenueCat integration has no api_key")
    return project_id, integration
