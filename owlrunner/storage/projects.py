"""Projects: a function for each query of ``sql/projects``."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from owlrunner.actor import Actor
from owlrunner.storage.accounts import lock_team
from owlrunner.storage.job_runs import Speaks, audit
from owlrunner.storage.postgres import Session


class Project(NamedTuple):
    """A project as it is shown."""

    id: UUID
    team_id: UUID
    name: str
    slug: str
    created_at: datetime


async def of_teams(db: Speaks, team_ids: Collection[UUID]) -> list[Project]:
    """The projects of some teams, the oldest first."""
    return [Project._make(row) for row in await db.rows("projects/of_teams", {"team_ids": list(team_ids)})]


async def by_name(db: Speaks, team_id: UUID) -> list[Project]:
    """The projects of a team, by name."""
    return [Project._make(row) for row in await db.rows("projects/by_name", {"team_id": team_id})]


async def by_id(db: Speaks, project_id: UUID) -> Project | None:
    """A project, or None: there is none, or it was deleted, or its team was."""
    row = await db.row("projects/by_id", {"id": project_id})
    return Project(*row) if row is not None else None


async def find(db: Speaks, project: str) -> Project | None:
    """A project by id or ``team/project``."""
    row = await db.row("projects/find", {"project": project})
    return Project(*row) if row is not None else None


async def count(session: Session, team_id: UUID) -> int:
    """How many projects a team has; right until the transaction ends, if the team is locked."""
    ((number,),) = await session.rows("projects/count", {"team_id": team_id})
    return int(number)


async def create(session: Session, team_id: UUID, name: str, slug: str, by: Actor) -> Project | None:
    """A new project, within a transaction, or None: the slug is taken. A deleted project gives its slug away."""
    await lock_team(session, team_id)
    await session.rows("projects/free_slug", {"team_id": team_id, "slug": slug})
    row = await session.row("projects/create", {"team_id": team_id, "name": name, "slug": slug} | audit(by))
    return Project(*row) if row is not None else None


async def rename(db: Speaks, project_id: UUID, name: str, by: Actor) -> Project | None:
    """A project under its new name, or None: it is not there any more."""
    row = await db.row("projects/rename", {"id": project_id, "name": name} | audit(by))
    return Project(*row) if row is not None else None


async def delete(db: Speaks, project_id: UUID, by: Actor) -> bool:
    """Delete a project softly; False when it is not there any more."""
    return await db.row("projects/delete", {"id": project_id} | audit(by)) is not None
