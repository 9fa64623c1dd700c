"""What people have done, and what has happened about their sign-ins: a function for each query of ``sql/audit``."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from owlrunner.storage.job_runs import Cursor, Speaks, moment


class AuditFilters(NamedTuple):
    """Which entries of the audit log are wanted. ``since`` and ``until`` are instants, or spans before now."""

    resource_type: str | None = None
    resource_id: str | None = None
    actor_id: str | None = None
    action: str | None = None
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None


class AuditEntry(NamedTuple):
    """One act. ``actor_name`` is an address, *key* and its name, or *operator*; None where it is not known any more."""

    id: UUID
    team_id: UUID | None
    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    changes: Any
    metadata: Any
    at: datetime
    actor_name: str | None
    client: str | None
    user_agent: str | None
    team: str | None
    """The team's slug."""


class SecurityEvent(NamedTuple):
    """What has happened about a sign-in: *sign_in*, *sign_in_failed* or *code_refused*."""

    at: datetime
    action: str
    email: str | None
    client: str | None
    user_agent: str | None


async def page(
    db: Speaks, team_id: UUID | None, filters: AuditFilters, before: Cursor | None, limit: int
) -> list[AuditEntry]:
    """Up to ``limit`` entries about a team, or about everything, newest first, after the cursor."""
    params = {
        **filters._asdict(),
        **moment("since", filters.since),
        **moment("until", filters.until),
        "team_id": team_id,
        "before": before.created_at if before else None,
        "before_id": before.id if before else None,
        "limit": limit,
    }
    return [AuditEntry._make(row) for row in await db.rows("audit/page", params)]


async def security_events(db: Speaks, since: datetime | timedelta | None, limit: int) -> list[SecurityEvent]:
    """The latest ``limit`` events about sign-ins, newest first."""
    params = {**moment("since", since), "limit": limit}
    return [SecurityEvent._make(row) for row in await db.rows("audit/security_events", params)]


async def forget_events(db: Speaks, days: int) -> None:
    """Forget events about sign-ins that are older."""
    await db.rows("audit/forget_events", {"days": days})
