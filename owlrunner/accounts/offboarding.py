"""See who can do what, and take it away: members, keys, sign-ins. Straight on the database, for the owner."""

from typing import NamedTuple
from uuid import UUID

import attrs

from owlrunner.accounts.administration import Administration
from owlrunner.accounts.members import leave
from owlrunner.actor import OperatorActor
from owlrunner.errors import NotFound
from owlrunner.storage import accounts
from owlrunner.storage.accounts import ApiKey, Member, User
from owlrunner.storage.postgres import Database, Session

OPERATOR = OperatorActor()


class Deleted(NamedTuple):
    """A user who is no more, the slugs of the teams that they were in, and the names of the keys that they had made."""

    email: str
    teams: list[str]
    keys: list[str]


@attrs.frozen
class Offboarding:
    """The owner's operations on what others hold. What is taken away is refused by every server within a moment.

    Every method raises DatabaseUnavailable when PostgreSQL is away, and NotFound for a team, user or key that is not there.
    """

    db: Database

    async def members(self, team: str) -> list[Member]:
        """Return the members of a team, by id or slug, owners first."""
        return await accounts.members(self.db, (await self._there.team(team)).id)

    async def keys(self, team: str) -> list[ApiKey]:
        """Return the keys of a team that have not been revoked, the newest first."""
        return await accounts.keys(self.db, [(await self._there.team(team)).id])

    async def remove_member(self, email: str, team: str, heir: str | None = None) -> list[str]:
        """Take somebody out of a team, and return the names of the keys that they had made for it.

        The keys end, or go to ``heir``, a member of the team who is told from now on what they start.

        Raises InvalidRequest for the team's only owner, and for an heir who is no member.
        """
        of, user = await self._there.team(team), await self._there.user(email)
        to = await self._there.user(heir) if heir is not None else None
        async with self.db.session() as session, session.transaction():
            return await leave(session, of.id, user.id, to.id if to is not None else None, OPERATOR)

    async def delete_user(self, email: str, heir: str | None = None) -> Deleted:
        """Take somebody out of all their teams and delete their address, name, sign-ins and codes.

        Their keys end, or go to ``heir`` in the teams of which that one is a member. A team that they were alone in has no
        member from now on. What they did stands in the audit log, without a name.

        Raises InvalidRequest for the only owner of a team that has other members.
        """
        found = [await self._there.user(one) for one in (email, heir) if one is not None]
        keys: list[str] = []
        async with self.db.session() as session, session.transaction():
            await accounts.lock_users(session, [one.id for one in found])
            user, *heirs = [await self._still_there(session, one) for one in found]
            to = heirs[0] if heirs else None
            heirs_teams = {team.id for team, _ in to.memberships} if to is not None else set()
            for team, _ in user.memberships:
                of_team = to.id if to is not None and to.id != user.id and team.id in heirs_teams else None
                keys += await leave(session, team.id, user.id, of_team, OPERATOR, may_be_alone=True)
            await accounts.delete_user(session, user.id)
        return Deleted(user.email, [team.slug for team, _ in user.memberships], keys)

    async def revoke_key(self, key_id: UUID) -> None:
        """End a key."""
        if not await accounts.revoke_key(self.db, key_id, None):
            raise NotFound(f"key: there is none with the id {key_id}")

    async def end_sessions(self, email: str) -> int:
        """Sign a user out everywhere, and return how many sign-ins that were."""
        return await accounts.end_sessions(self.db, (await self._there.user(email)).email)

    @staticmethod
    async def _still_there(session: Session, user: User) -> User:
        """The user as of now, when nobody else changes them any more."""
        found = await accounts.by_email(session, user.email)
        if found is None:
            raise NotFound(f"user: there is none with the address {user.email!r}")
        return found

    @property
    def _there(self) -> Administration:
        return Administration(self.db)
