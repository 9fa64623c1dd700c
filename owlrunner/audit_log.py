"""The door to the audit log: who may read what has been done in a team."""

from uuid import UUID

import attrs

from owlrunner.actor import Role, TeamActor, require_permissions, require_team
from owlrunner.storage import audit
from owlrunner.storage.audit import AuditEntry, AuditFilters
from owlrunner.storage.job_runs import Cursor
from owlrunner.storage.postgres import Database

READ = "audit_logs:read"


@attrs.frozen
class AuditLog:
    """The audit log of one database. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database

    async def page(
        self, actor: TeamActor, team_id: UUID | None, filters: AuditFilters, before: Cursor | None, limit: int
    ) -> tuple[list[AuditEntry], Cursor | None]:
        """Return one page of what was done in a team, newest first, and where the next one begins. Raises PermissionDenied."""
        require_permissions(actor, [READ])
        require_team(actor, team_id, Role.ADMIN)
        entries = await audit.page(self.db, team_id, filters, before, limit + 1)
        shown = entries[:limit]
        return shown, Cursor(shown[-1].at, shown[-1].id) if len(entries) > limit else None
