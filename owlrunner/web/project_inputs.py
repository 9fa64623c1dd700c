"""What requests about projects and integrations may carry."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType


class ProjectsQuery(Struct, frozen=True):
    """Whose projects."""

    team_id: Annotated[UUID, Meta(description="A team; if absent, every team of the caller")] | UnsetType = UNSET


class CreateProjectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the project shall be."""

    team_id: str | None = None
    name: str | None = None
    slug: Annotated[str, Meta(description="Lower-case letters, digits and hyphens")] | None = None


class UpdateProjectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different."""

    name: str | None = None


class CreateIntegrationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the project shall be connected to. The keys of ``config`` are the provider's configFields."""

    provider: str | None = None
    config: dict[str, Any] | None = None


class WebhookBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider sends."""

    api_version: Annotated[str, Meta(description="Not looked at")] | None = None
    event: Annotated[dict[str, Any], Meta(description="What has happened, in the provider's words")] | None = None


class UpdateIntegrationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different. Keys of ``config`` that are not named stay as they are."""

    config: dict[str, Any] | None = None
    enabled: bool | None = None
