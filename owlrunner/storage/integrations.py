"""Projects' connections to providers: a function for each query of ``sql/integrations``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import msgspec

from owlrunner.actor import Actor
from owlrunner.storage.job_runs import Speaks, audit
from owlrunner.storage.postgres import Database, Session


@attrs.frozen
class Integration:
    """A project's connection to a provider. ``config`` holds secrets, and stands in no repr."""

    id: UUID
    project_id: UUID
    provider: str
    config: Mapping[str, Any] = attrs.field(repr=False)
    enabled: bool
    created_at: datetime
    updated_at: datetime


class Connected(NamedTuple):
    """What the operator is told of an integration."""

    id: UUID
    enabled: bool


async def of_project(db: Speaks, project_id: UUID) -> list[Integration]:
    """The integrations of a project, by provider."""
    return [_integration(row) for row in await db.rows("integrations/of_project", {"project_id": project_id})]


async def hold(session: Session, project_id: UUID, provider: str) -> Integration | None:
    """An integration that nobody else changes until the transaction ends, or None: there is none."""
    row = await session.row("integrations/hold", {"project_id": project_id, "provider": provider})
    return _integration(row) if row is not None else None


async def create(
    db: Speaks, project_id: UUID, provider: str, config: Mapping[str, str], by: Actor
) -> Integration | None:
    """A new integration, or None: there is one. One that was deleted begins anew."""
    new = {"project_id": project_id, "provider": provider, "config": _json(config)}
    row = await db.row("integrations/create", new | audit(by))
    return _integration(row) if row is not None else None


async def update(
    session: Session, integration: Integration, config: Mapping[str, Any] | None, enabled: bool | None, by: Actor
) -> Integration:
    """Change an integration that the transaction holds; None leaves a part as it is."""
    change = {
        "id": integration.id,
        "config": _json(config) if config is not None else None,
        "enabled": enabled,
        "keys": sorted(key for key, value in (config or {}).items() if integration.config.get(key) != value),
    }
    (row,) = await session.rows("integrations/update", change | audit(by))
    return _integration(row)


async def delete(db: Speaks, project_id: UUID, provider: str, by: Actor) -> bool:
    """Disconnect a project from a provider; False when it is not connected."""
    return await db.row("integrations/delete", {"project_id": project_id, "provider": provider} | audit(by)) is not None


async def put(
    db: Speaks, project_id: UUID, provider: str, config: Mapping[str, Any], *, enable: bool = False
) -> Connected:
    """Store a project's integration, by the operator, beside the keys that may be there."""
    params = {"project_id": project_id, "provider": provider, "config": _json(config), "enable": enable}
    ((identity, enabled),) = await db.rows("integrations/put", params)
    return Connected(UUID(str(identity)), bool(enabled))


async def enabled(db: Speaks, project_id: UUID, provider: str) -> tuple[UUID, Mapping[str, Any]] | None:
    """The team and the configuration of an integration that may be used, or None: there is none, or it is disabled."""
    row = await db.row("integrations/enabled", {"project_id": project_id, "provider": provider})
    return (row[0], row[1] if isinstance(row[1], dict) else {}) if row is not None else None


async def counted(db: Database, statement: str, project_id: UUID) -> int:
    """The number that a plugin's own query answers with for a project. Raises DatabaseUnavailable and StatementFailed."""
    async with db.session() as session, session.transaction():
        cursor = await session.connection.execute(statement.encode(), {"project_id": project_id})
        row = await cursor.fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0


def _integration(row: tuple[Any, ...]) -> Integration:
    identity, project_id, provider, config, *others = row
    # Whoever wrote to the table by hand may have stored no object; nothing of it is lost, and nothing of it is shown.
    return Integration(
        identity, project_id, provider, config if isinstance(config, dict) else {"config": config}, *others
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
