"""This is the room for who asks (a user, an API key, the server's owner) and what each of them may do.

It knows no HTTP and no database: a credential is turned into an actor elsewhere, and the questions are answered here.
"""

import enum
from collections.abc import Collection, Mapping
from typing import TypeAlias
from uuid import UUID

import attrs

from owlrunner.errors import PermissionDenied

AGENT_PERMISSIONS = (
    "events:read",
    "funnels:read",
    "funnels:write",
    "apps:read",
    "apps:write",
    "projects:read",
    "projects:write",
    "metrics:read",
    "metrics:write",
    "audit_logs:read",
    "users:write",
    "integrations:read",
    "integrations:write",
    "jobs:read",
    "jobs:write",
)
"""Every permission that an agent key may hold, and what it gets when none are named; the order is part of the wire format."""

CLIENT_PERMISSIONS = ("events:write", "users:write")
"""Every permission that a client key may hold: none of them reaches a job."""


class Role(enum.IntEnum):
    """A user's standing in one team; a higher role may do all that a lower one may."""

    MEMBER = 1
    ADMIN = 2
    OWNER = 3


@attrs.frozen
class UserActor:
    """A signed-in person. ``teams`` maps team id to role."""

    id: UUID
    email: str
    teams: Mapping[UUID, Role]
    client: str | None = attrs.field(default=None, eq=False)
    """The address that they ask from, as far as it is known."""
    user_agent: str = attrs.field(default="", eq=False)

    @property
    def triggered_by(self) -> str:
        """The text stored with a run that this actor starts or cancels."""
        return f"manual:user:{self.id}"

    @property
    def called(self) -> str:
        """What people call this actor."""
        return self.email


@attrs.frozen
class ApiKeyActor:
    """A program that holds an API key of one team."""

    id: UUID
    key_type: str
    team_id: UUID
    permissions: frozenset[str]
    name: str = attrs.field(default="", eq=False)
    client: str | None = attrs.field(default=None, eq=False)
    """The address that it asks from, as far as it is known."""
    user_agent: str = attrs.field(default="", eq=False)

    @property
    def triggered_by(self) -> str:
        """The text stored with a run that this actor starts or cancels."""
        return f"manual:api_key:{self.id}"

    @property
    def called(self) -> str:
        """What people call this actor."""
        return f"key {self.name}"


@attrs.frozen
class OperatorActor:
    """The server's owner, working straight on the database: may do everything."""

    @property
    def triggered_by(self) -> str:
        """The text stored with a run that this actor starts or cancels."""
        return "operator"

    @property
    def called(self) -> str:
        """What people call this actor."""
        return "operator"


@attrs.frozen
class ScheduleActor:
    """A schedule of the configuration, on behalf of nobody."""

    @property
    def triggered_by(self) -> str:
        """The text stored with a run that a schedule starts."""
        return "schedule"


@attrs.frozen
class ProviderActor:
    """A service that a project is connected to, and that says that something has changed."""

    provider: str

    @property
    def triggered_by(self) -> str:
        """The text stored with a run that a webhook starts."""
        return f"webhook:{self.provider}"


TeamActor: TypeAlias = UserActor | ApiKeyActor
"""An actor that came in through HTTP."""
Actor: TypeAlias = TeamActor | OperatorActor
"""Somebody who comes through the door."""
Starter: TypeAlias = Actor | ScheduleActor | ProviderActor
"""Whoever may be the reason for a run."""


def require_permissions(actor: TeamActor, permissions: Collection[str]) -> None:
    """Raise PermissionDenied naming every permission that an API key lacks; users are limited by role instead."""
    if isinstance(actor, UserActor):
        return
    missing = [permission for permission in permissions if permission not in actor.permissions]
    if missing:
        noun = "permission" if len(missing) == 1 else "permissions"
        raise PermissionDenied(f"Missing {noun}: {', '.join(missing)}")


def require_team(actor: TeamActor, team_id: UUID | None, role: Role = Role.MEMBER) -> None:
    """Raise PermissionDenied unless the actor belongs to the team and, as a user, has at least the role.

    ``team_id`` None stands for an id that is not even a uuid: nobody belongs to that team.
    """
    if not in_team(actor, team_id):
        raise PermissionDenied("Not a member of this team")
    if isinstance(actor, UserActor) and team_id is not None and actor.teams[team_id] < role:
        raise PermissionDenied(f"Requires {role.name.lower()} role or higher")


def in_team(actor: TeamActor, team_id: UUID | None) -> bool:
    """Whether the actor has anything to do with the team."""
    if isinstance(actor, UserActor):
        return team_id in actor.teams
    return actor.team_id == team_id
