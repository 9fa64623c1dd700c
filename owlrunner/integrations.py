"""The door to integrations: who may connect a project to a provider, and with which configuration."""

import hmac
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs

from owlrunner.accounts.turns import Turns
from owlrunner.actor import ProviderActor, Role, TeamActor
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound, Unauthenticated
from owlrunner.jobs import Jobs
from owlrunner.projects import Projects
from owlrunner.provider import Provider, hidden
from owlrunner.storage import integrations
from owlrunner.storage.integrations import Integration
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest

READ, WRITE = "integrations:read", "integrations:write"


@attrs.frozen
class Integrations:
    """The integrations of one database, with the providers that the plugins use, and with the door to runs.

    Every method raises DatabaseUnavailable when PostgreSQL is away, PermissionDenied, and NotFound for a project of no team of
    the actor's. An integration whose provider is not offered here can be deleted and shown, every value hidden.
    """

    db: Database
    jobs: Jobs
    _turns: Turns = attrs.field(factory=Turns, init=False, repr=False, eq=False)

    async def of(self, actor: TeamActor, project_id: UUID) -> list[Integration]:
        """Return the integrations of a project, by provider."""
        await self._projects.view(actor, project_id, READ)
        return await integrations.of_project(self.db, project_id)

    async def create(
        self, actor: TeamActor, project_id: UUID, provider: str | None, config: Mapping[str, Any] | None
    ) -> Integration:
        """Connect a project to a provider. Raises InvalidRequest, and AlreadyExists where it is connected."""
        await self._projects.view(actor, project_id, WRITE, Role.ADMIN)
        if not provider:
            raise InvalidRequest("provider is required")
        if config is None:
            raise InvalidRequest("config is required")
        self._provider(provider, "integration provider").check(config)
        created = await integrations.create(self.db, project_id, provider, config, actor)
        if created is None:
            raise AlreadyExists(f'Integration for "{provider}" already exists')
        return created

    async def update(
        self,
        actor: TeamActor,
        project_id: UUID,
        provider: str,
        config: Mapping[str, Any] | None = None,
        *,
        enabled: bool | None = None,
    ) -> Integration:
        """Change keys of an integration's configuration, switch it on or off, or both; other keys stay.

        Raises InvalidRequest, and NotFound where the project is not connected.
        """
        await self._projects.view(actor, project_id, WRITE, Role.ADMIN)
        rules = self._provider(provider, "provider")
        async with self.db.session() as session, session.transaction():
            there = await integrations.hold(session, project_id, provider)
            if there is None:
                raise _not_found()
            merged = None
            if config is not None:
                merged = {**there.config, **config}
                # What the operator or an earlier version of the plugin has stored besides stays, and is nobody's mistake.
                known = {field.key for field in rules.fields}
                rules.check({key: value for key, value in merged.items() if key in known or key in config})
            return await integrations.update(session, there, merged, enabled, actor)

    async def delete(self, actor: TeamActor, project_id: UUID, provider: str) -> None:
        """Disconnect a project from a provider. Raises NotFound where it is not connected."""
        await self._projects.view(actor, project_id, WRITE, Role.ADMIN)
        if not await integrations.delete(self.db, project_id, provider, actor):
            raise _not_found()

    async def sync(self, actor: TeamActor, project_id: UUID, provider: str) -> tuple[UUID | None, int]:
        """Start the provider's sync; return the id of the run, or None where there is nobody to sync, and how many it goes over.

        Raises NotFound where the project is not connected or the integration is disabled, and RunAlreadyActive where a sync is
        pending or running: the guard is that of every run.
        """
        project = await self._projects.view(actor, project_id, WRITE, Role.ADMIN)
        offered = self.providers.get(provider)
        if offered is None or not offered.sync_job or await integrations.enabled(self.db, project_id, provider) is None:
            raise _unusable(offered, provider)
        total = await integrations.counted(self.db, offered.sync_count, project_id)
        if total == 0:
            return None, 0
        wanted = TriggerRequest(offered.sync_job, project_id=str(project_id))
        run = await self.jobs.trigger(actor, project.team_id, wanted, permission=WRITE)
        return run.id, total

    async def receive(
        self, project_id: UUID, provider: str, secret: str | None, event: Mapping[str, Any] | None, client: str | None
    ) -> None:
        """Take a webhook of a provider: when this returns, a run that does what it asks for is stored, if any is needed.

        Whoever sends it proves who they are by ``secret``, and is nobody's user. Raises NotFound, Unauthenticated, InvalidRequest
        and ServerBusy.
        """
        offered = self.providers.get(provider)
        # Strangers may ask, too: one at a time, and none of them holds a connection while others wait.
        async with self._turns.of("webhooks", client):
            there = await integrations.enabled(self.db, project_id, provider) if offered is not None else None
        if offered is None or not offered.webhook_job or there is None:
            raise _unusable(offered, provider)
        team_id, config = there
        wanted = config.get(offered.webhook_secret)
        # Where no secret is set nobody has it.
        if (
            not isinstance(wanted, str)
            or not wanted
            or not hmac.compare_digest(wanted.encode(), (secret or "").encode())
        ):
            raise Unauthenticated("Invalid webhook secret")
        if event is None:
            raise InvalidRequest("Invalid webhook payload: missing event")
        try:
            params = offered.webhook_params(event)
        except ValueError as error:
            raise InvalidRequest(f"Invalid webhook payload: {error}") from None
        if params is not None:
            request = TriggerRequest(offered.webhook_job, project_id=str(project_id), params=params)
            await self.jobs.trigger(ProviderActor(provider), team_id, request)

    def shown(self, integration: Integration) -> dict[str, str]:
        """Return an integration's configuration as people may see it."""
        known = self.providers.get(integration.provider)
        if known is None:
            return {key: hidden(value) for key, value in integration.config.items()}
        return known.shown(integration.config)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """What projects can be connected to, by name."""
        return self.jobs.catalog.providers

    @property
    def _projects(self) -> Projects:
        return Projects(self.db)

    def _provider(self, name: str, called: str) -> Provider:
        if name not in self.providers:
            offered = ", ".join(sorted(self.providers)) or "none"
            raise InvalidRequest(f'Unsupported {called}: "{name[:60]}". Supported: {offered}')
        return self.providers[name]


def _unusable(offered: Provider | None, provider: str) -> NotFound:
    return NotFound(f"{offered.label if offered is not None else provider[:60]} integration not found or disabled")


def _not_found() -> NotFound:
    return NotFound("Integration not found")
