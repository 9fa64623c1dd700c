"""Who is in a team, and how somebody leaves it: for the team's owners, and for the operator."""

from uuid import UUID

import attrs

from owlrunner.actor import Actor, Role, UserActor, require_team
from owlrunner.errors import InvalidRequest, NotFound
from owlrunner.storage import accounts
from owlrunner.storage.accounts import Member
from owlrunner.storage.postgres import Database, Session


@attrs.frozen
class Members:
    """The members of teams. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database

    async def of(self, actor: UserActor, team_id: UUID | None) -> list[Member]:
        """Return the members of a team, owners first. Raises PermissionDenied."""
        require_team(actor, team_id, Role.ADMIN)
        assert team_id is not None  # noqa: S101 - nobody is in team None
        return await accounts.members(self.db, team_id)

    async def remove(self, actor: UserActor, team_id: UUID | None, user_id: UUID, heir: UUID | None) -> list[str]:
        """Take somebody out of a team, and return the names of the keys that they had made for it; see ``leave``.

        An owner may do so, and everybody for themselves. Raises what ``leave`` raises, and PermissionDenied.
        """
        require_team(actor, team_id, Role.MEMBER if user_id == actor.id and heir is None else Role.OWNER)
        assert team_id is not None  # noqa: S101 - nobody is in team None
        async with self.db.session() as session, session.transaction():
            return await leave(session, team_id, user_id, heir, actor)


async def leave(
    session: Session, team_id: UUID, user_id: UUID, heir: UUID | None, by: Actor, *, may_be_alone: bool = False
) -> list[str]:
    """Take somebody out of a team, and return the names of the keys that they had made for it.

    The keys end, or go to ``heir``, a member of the team who is told from now on what they start.

    Raises NotFound for somebody who is no member, InvalidRequest for the team's only owner (unless they ``may_be_alone``
    and are the only member), and for an heir who is no member.
    """
    await accounts.hold_users(session, [one for one in (user_id, heir) if one is not None])
    await accounts.lock_team(session, team_id)
    members = {member.user_id: member for member in await accounts.members(session, team_id)}
    if isinstance(by, UserActor) and (by.id != user_id or heir is not None):
        # Whoever was an owner when they asked may have been taken out by another one meanwhile.
        now = members.get(by.id)
        require_team(attrs.evolve(by, teams={team_id: now.role} if now is not None else {}), team_id, Role.OWNER)
    if user_id not in members:
        raise NotFound("user: no member of the team")
    if heir is not None and (heir not in members or heir == user_id):
        raise InvalidRequest("keys_to: expected another member of the team")
    is_only_owner = [one.user_id for one in members.values() if one.role is Role.OWNER] == [user_id]
    if is_only_owner and not (may_be_alone and len(members) == 1):
        raise InvalidRequest(f"{members[user_id].email} is the only owner of the team: make somebody else one first")
    return await accounts.remove_member(session, team_id, user_id, heir, by) or []
