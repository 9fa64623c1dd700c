"""The door to projects: who may see, make, rename and delete them."""

import re
from uuid import UUID

import attrs

from owlrunner.accounts.credentials import as_uuid, checked_name
from owlrunner.actor import Role, TeamActor, UserActor, in_team, require_permissions, require_team
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound, PermissionDenied
from owlrunner.storage import projects
from owlrunner.storage.accounts import lock_team
from owlrunner.storage.postgres import Database
from owlrunner.storage.projects import Project

READ, WRITE = "projects:read", "projects:write"
MOST_OF_TEAM = 1000
"""Projects of one team: a list of them has no pages."""

_SLUG = re.compile(r"[a-z0-9-]{1,200}")


@attrs.frozen
class Projects:
    """The projects of one database. Every method raises DatabaseUnavailable when PostgreSQL is away, and PermissionDenied."""

    db: Database

    async def of(self, actor: TeamActor, team_id: UUID | None = None) -> list[Project]:
        """Return the projects of the actor's teams, or of one of them, the oldest first. Those of other teams are not told."""
        require_permissions(actor, [READ])
        mine = list(actor.teams) if isinstance(actor, UserActor) else [actor.team_id]
        return await projects.of_teams(self.db, [one for one in mine if team_id in (None, one)])

    async def view(
        self, actor: TeamActor, project_id: UUID, permission: str = READ, role: Role = Role.MEMBER
    ) -> Project:
        """Return a project of one of the actor's teams. Raises NotFound for every other one.

        ``permission`` and ``role`` are what a key, and a user, need in its team.
        """
        require_permissions(actor, [permission])
        project = await projects.by_id(self.db, project_id)
        if project is None or not in_team(actor, project.team_id):
            raise _not_found()
        require_team(actor, project.team_id, role)
        return project

    async def create(self, actor: TeamActor, team_id: str | None, name: str | None, slug: str | None) -> Project:
        """Create a project in a team. Raises InvalidRequest, and AlreadyExists for a slug that the team has already."""
        require_permissions(actor, [WRITE])
        if not team_id or not name or not slug:
            raise InvalidRequest("team_id, name, and slug are required")
        if not _SLUG.fullmatch(slug):
            raise InvalidRequest("slug must contain only lowercase letters, numbers, and hyphens, 200 at most")
        team = as_uuid(team_id)
        require_team(actor, team, Role.ADMIN)
        assert team is not None  # noqa: S101 - nobody is in team None
        checked = checked_name(name)
        async with self.db.session() as session, session.transaction():
            await lock_team(session, team)
            if await projects.count(session, team) >= MOST_OF_TEAM:
                raise InvalidRequest(f"the team has {MOST_OF_TEAM} projects, which is the most; delete one first")
            project = await projects.create(session, team, checked, slug, actor)
        if project is None:
            raise AlreadyExists("A project with this slug already exists in your team")
        return project

    async def rename(self, actor: TeamActor, project_id: UUID, name: str | None) -> Project:
        """Give a project another name. Raises InvalidRequest and NotFound."""
        if not name:
            raise InvalidRequest("At least one field to update is required")
        await self.view(actor, project_id, WRITE, Role.ADMIN)
        project = await projects.rename(self.db, project_id, checked_name(name), actor)
        if project is None:
            raise _not_found()
        return project

    async def delete(self, actor: TeamActor, project_id: UUID) -> None:
        """Delete a project: its pending runs end as cancelled, and nothing starts for it any more. Raises NotFound."""
        if not isinstance(actor, UserActor):
            raise PermissionDenied("Only users can delete projects")
        await self.view(actor, project_id, WRITE, Role.ADMIN)
        if not await projects.delete(self.db, project_id, actor):
            raise _not_found()


def _not_found() -> NotFound:
    return NotFound("Project not found")
