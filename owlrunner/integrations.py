"""The door to integrations: who may connect a project to a provider, and with which configuration."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs

from owlrunner.actor import Role, TeamActor
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound
from owlrunner.projects import Projects
from owlrunner.provider import Provider, hidden
from owlrunner.storage import integrations
from owlrunner.storage.integrations import Integration
from owlrunner.storage.postgres import Database

READ, WRITE = "integrations:read", "integrations:write"


@attrs.frozen
class Integrations:
    """The integrations of one database, with the providers that this server's plugins use.

    Every method raises DatabaseUnavailable when PostgreSQL is away, PermissionDenied, and NotFound for a project of no team of
    the actor's. An integration whose provider is not offered here can be deleted and shown, every value hidden.
    """

    db: Database
    providers: Mapping[str, Provider]

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
            merged = None if config is None else {**there.config, **config}
            if merged is not None:
                rules.check(merged)
            return await integrations.update(session, there, merged, enabled, actor)

    async def delete(self, actor: TeamActor, project_id: UUID, provider: str) -> None:
        """Disconnect a project from a provider. Raises NotFound where it is not connected."""
        await self._projects.view(actor, project_id, WRITE, Role.ADMIN)
        if not await integrations.delete(self.db, project_id, provider, actor):
            raise _not_found()

    def shown(self, integration: Integration) -> dict[str, str]:
        """Return an integration's configuration as people may see it."""
        known = self.providers.get(integration.provider)
        if known is None:
            return {key: hidden(value) for key, value in integration.config.items()}
        return known.shown(integration.config)

    @property
    def _projects(self) -> Projects:
        return Projects(self.db)

    def _provider(self, name: str, called: str) -> Provider:
        if name not in self.providers:
            offered = ", ".join(sorted(self.providers)) or "none"
            raise InvalidRequest(f'Unsupported {called}: "{name[:60]}". Supported: {offered}')
        return self.providers[name]


def _not_found() -> NotFound:
    return NotFound("Integration not found")
