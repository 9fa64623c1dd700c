"""Shapes of projects and of what they are connected to. Names and order of the fields are the contract."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from owlrunner.web.run_wire import Instant


class ProjectBody(Struct):
    """A project."""

    id: UUID
    team_id: UUID
    name: str
    slug: str
    created_at: Instant


class ProjectDetail(Struct):
    """A project by itself. ``apps`` is there for clients of OwlMetry, and always empty: OwlRunner's core keeps no apps."""

    id: UUID
    team_id: UUID
    name: str
    slug: str
    created_at: Instant
    apps: list[dict[str, Any]]


class ProjectList(Struct):
    """The projects of one team, or of all teams of the caller, the oldest first."""

    projects: list[ProjectBody]


class ConfigFieldBody(Struct):
    """One key of a provider's configuration. The value of a sensitive one is shown by its first four characters alone."""

    key: str
    label: str
    required: bool
    sensitive: bool
    placeholder: str
    description: str


class ProviderBody(Struct):
    """A service that projects can be connected to."""

    id: str
    name: str
    description: str
    configFields: list[ConfigFieldBody]  # noqa: N815 - the names are the wire's


class ProviderList(Struct):
    """The services that projects can be connected to, by id."""

    providers: list[ProviderBody]


class IntegrationBody(Struct):
    """A project's connection to a provider. ``config`` holds no secret: of each the first four characters, and ``****``."""

    id: UUID
    project_id: UUID
    provider: str
    config: dict[str, str]
    enabled: bool
    created_at: Instant
    updated_at: Instant


class IntegrationList(Struct):
    """What a project is connected to, by provider."""

    integrations: list[IntegrationBody]


class Deleted(Struct):
    """It is not there any more."""

    deleted: bool


class Received(Struct):
    """What the webhook asks for will be done."""

    received: bool


class SyncStarted(Struct):
    """A sync is pending; ``total`` is how many it goes over."""

    syncing: bool
    total: int
    job_run_id: UUID


class NothingToSync(Struct):
    """No run was started, because there is nobody to sync."""

    synced: int
    total: int
