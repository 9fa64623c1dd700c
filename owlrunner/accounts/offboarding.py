"""See who can do what, and take it away: members, keys, sign-ins. Straight on the database, for the owner."""

from uuid import UUID

import attrs

from owlrunner.accounts.administration import Administration
from owlrunner.actor import Role
from owlrunner.errors import InvalidRequest, NotFound
from owlrunner.storage import accounts
from owlrunner.storage.accounts import ApiKey, Member
from owlrunner.storage.postgres import Database


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
            members = {member.email: member for member in await accounts.members(session, of.id)}
            if user.email not in members:
                raise NotFound(f"user: {user.email} is no member of the team {of.slug!r}")
            if to is not None and (to.email not in members or to.email == user.email):
                raise InvalidRequest(f"keys_to: expected another member of the team {of.slug!r}, got {to.email}")
            if [one.email for one in members.values() if one.role is Role.OWNER] == [user.email]:
                raise InvalidRequest(
                    f"{user.email} is the only owner of the team {of.slug!r}: make somebody else one first"
                )
            names = await accounts.remove_member(session, of.id, user.email, to.id if to is not None else None)
        return names or []

    async def revoke_key(self, key_id: UUID) -> None:
        """End a key."""
        if not await accounts.revoke_key(self.db, key_id, None):
            raise NotFound(f"key: there is none with the id {key_id}")

    async def end_sessions(self, email: str) -> int:
        """Sign a user out everywhere, and return how many sign-ins that were."""
        return await accounts.end_sessions(self.db, (await self._there.user(email)).email)

    @property
    def _there(self) -> Administration:
        return Administration(self.db)
