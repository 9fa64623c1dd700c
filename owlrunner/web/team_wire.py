"""Shapes of a team's members on the wire, and of what they have done. Names and order of the fields are the contract."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from owlrunner.web.run_wire import Instant


class MemberBody(Struct):
    """Somebody in a team. ``keys`` is how many of the team's keys they have made."""

    user_id: UUID
    email: str
    name: str
    role: str
    joined_at: Instant
    keys: int


class MemberList(Struct):
    """The members of a team, owners first."""

    members: list[MemberBody]


class RemoveAnswer(Struct):
    """A membership that has ended. ``keys`` are the names of the keys that ended with it, or have another maker now."""

    removed: bool
    keys: list[str]


class AuditEntryBody(Struct):
    """One act of somebody. ``actor_name`` is the address of a user, *key* and the name of an API key, or *operator*."""

    id: UUID
    team_id: UUID | None
    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    changes: Any
    metadata: Any
    timestamp: Instant
    actor_name: str | None
    client: str | None
    user_agent: str | None


class AuditPage(Struct):
    """What was done in a team, newest first. ``cursor`` leads to the next page."""

    audit_logs: list[AuditEntryBody]
    cursor: str | None
    has_more: bool
