"""This is the room for what the owner sets up straight on the database: teams, projects, users, keys, integrations.

Nobody is asked for a permission here: whoever can reach the database is the owner.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import attrs

from owlrunner.accounts.credentials import (
    SHOWN,
    checked_days,
    checked_name,
    checked_permissions,
    hashed,
    new_key,
    normal_email,
    slug_of,
)
from owlrunner.actor import OperatorActor, Role
from owlrunner.decoding import holds_unstorable_text
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound
from owlrunner.storage import accounts, integrations, projects
from owlrunner.storage.accounts import ApiKey, NewKey, Team, User
from owlrunner.storage.integrations import Connected
from owlrunner.storage.postgres import Database
from owlrunner.storage.projects import Project


@attrs.frozen
class Administration:
    """The owner's operations, for one database.

    A ``team`` is named by id or slug, a ``project`` by id or by the slugs ``team/project``.

    Every method raises DatabaseUnavailable when PostgreSQL is away, InvalidRequest for a value that cannot be used, and
    NotFound for a team, project or user that is not there.
    """

    db: Database

    async def create_team(self, name: str, slug: str | None = None) -> Team:
        """Create a team. ``slug`` comes from the name unless given. Raises AlreadyExists."""
        name, slug = checked_name(name), _slug(name, slug)
        team = await accounts.create_team(self.db, name, slug)
        if team is None:
            raise AlreadyExists(f"a team with the slug {slug!r} exists already")
        return team

    async def create_project(self, team: str, name: str, slug: str | None = None) -> Project:
        """Create a project in a team. ``slug`` comes from the name unless given. Raises AlreadyExists."""
        owner = await self.team(team)
        name, slug = checked_name(name), _slug(name, slug)
        async with self.db.session() as session, session.transaction():
            project = await projects.create(session, owner.id, name, slug, OperatorActor())
        if project is None:
            raise AlreadyExists(f"the team {owner.slug!r} has a project with the slug {slug!r} already")
        return project

    async def create_user(
        self, email: str, team: str, role: str = "member", name: str | None = None
    ) -> tuple[User, bool]:
        """Give a user a role (owner, admin, member) in a team; an address that is new becomes a user.

        Returns the user and whether it is new. A known user keeps their name, and gets the role whatever it was before.
        """
        address = normal_email(email)
        if address is None:
            raise InvalidRequest(f"email: expected an e-mail address, got {email[:60]!r}")
        if role not in {"owner", "admin", "member"}:
            raise InvalidRequest(f"role: expected owner, admin or member, got {role[:60]!r}")
        member_of = await self.team(team)
        shown = checked_name(name if name is not None else address.partition("@")[0].capitalize())
        async with self.db.session() as session, session.transaction():
            user_id, is_new = await accounts.put_user(session, address, shown)
            await accounts.put_member(session, member_of.id, user_id, Role[role.upper()])
        return await self.user(address), is_new

    async def create_key(
        self,
        team: str,
        name: str,
        *,
        key_type: str = "agent",
        permissions: Sequence[str] | None = None,
        expires_in_days: int | None = None,
        created_by: str | None = None,
    ) -> tuple[str, ApiKey]:
        """Create an API key of a team; return it raw, which happens this once, and as it is shown.

        ``created_by`` is the address of the user who is told about what the key starts; unless given, the team's
        first owner.
        """
        owner = await self.team(team)
        allowed = checked_permissions(key_type, permissions)
        days, label = checked_days(expires_in_days), checked_name(name)
        raw = new_key(key_type)
        new = NewKey(
            key_hash=hashed(raw),
            key_prefix=raw[:SHOWN],
            key_type=key_type,
            team_id=owner.id,
            name=label,
            created_by=await self._stands_for(owner, created_by),
            permissions=allowed,
            expires_in_days=days,
            by_operator=True,
        )
        key = await accounts.create_key(self.db, new)
        assert key is not None  # noqa: S101 - the operator needs no membership
        return raw, key

    async def set_integration(
        self, project: str, provider: str, config: Mapping[str, Any], *, enable: bool = False
    ) -> Connected:
        """Connect a project to a provider.

        Keys of the config that are there and not given are kept, and what is disabled stays so unless ``enable``. An
        integration that was deleted begins anew.
        """
        if not 1 <= len(provider) <= 50 or holds_unstorable_text([provider, dict(config)]):
            raise InvalidRequest(
                "provider: expected 1 to 50 characters; no NUL characters or lone surrogates in it or in the config"
            )
        project_id = (await self.project(project)).id
        return await integrations.put(self.db, project_id, provider, dict(config), enable=enable)

    async def team(self, team: str) -> Team:
        """Return a team by id or slug."""
        found = await accounts.find_team(self.db, _storable(team))
        if found is None:
            raise NotFound(f"team: there is none with the id or slug {team[:60]!r}")
        return found

    async def project(self, project: str) -> Project:
        """Return a project by id or ``team/project``."""
        found = await projects.find(self.db, _storable(project))
        if found is None:
            raise NotFound(f"project: there is none with the id or the slugs team/project {project[:60]!r}")
        return found

    async def user(self, email: str) -> User:
        """Return a user by address."""
        found = await accounts.by_email(self.db, normal_email(email) or "")
        if found is None:
            raise NotFound(f"user: there is none with the address {email[:60]!r}")
        return found

    async def _stands_for(self, team: Team, created_by: str | None) -> UUID:
        """The user in whose name a key is made."""
        if created_by is not None:
            return (await self.user(created_by)).id
        user_id = await accounts.highest_member(self.db, team.id)
        if user_id is None:
            raise InvalidRequest(f"created_by: the team {team.slug!r} has no owner or admin yet, so name a user")
        return user_id


def _slug(name: str, slug: str | None) -> str:
    """The slug as it was given, or made from the name."""
    if slug is None:
        made = slug_of(name)
        if not made:
            raise InvalidRequest(f"slug: cannot be made from the name {name[:60]!r}, so give one")
        return made
    if slug != slug_of(slug) or not slug:
        raise InvalidRequest(f"slug: expected lower-case letters, digits and single hyphens, got {slug[:60]!r}")
    return slug


def _storable(text: str) -> str:
    if holds_unstorable_text(text):
        raise InvalidRequest("a name with NUL characters or lone surrogates cannot be stored")
    return text
