"""This is the room for users, teams, projects, API keys and sign-ins: one function per query of ``sql/accounts``."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import msgspec

from owlrunner.actor import Actor, Role, UserActor
from owlrunner.storage.job_runs import Speaks, audit
from owlrunner.storage.postgres import Session
from owlrunner.storage.sign_ins import Place


class Team(NamedTuple):
    """A team as it is shown."""

    id: UUID
    name: str
    slug: str


class Membership(NamedTuple):
    """A team with the role that a user has in it."""

    team: Team
    role: Role


@attrs.frozen
class User:
    """A person and their teams, in the order in which they joined."""

    id: UUID
    email: str
    name: str
    created_at: datetime
    updated_at: datetime
    memberships: tuple[Membership, ...]


class Member(NamedTuple):
    """Somebody in a team."""

    user_id: UUID
    email: str
    name: str
    role: Role
    joined_at: datetime
    keys: int
    """How many of the team's keys they have made."""


class KeyHolder(NamedTuple):
    """What an API key stands for."""

    id: UUID
    key_type: str
    permissions: list[str]
    expired: bool
    team: Team
    name: str


class ApiKey(NamedTuple):
    """An API key as it is shown: never its hash."""

    id: UUID
    key_prefix: str
    key_type: str
    team_id: UUID
    name: str
    created_by: UUID
    permissions: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    created_by_email: str


class NewKey(NamedTuple):
    """What is stored of a new API key. ``expires_in_days`` None means that it does not expire."""

    key_hash: str
    key_prefix: str
    key_type: str
    team_id: UUID
    name: str
    created_by: UUID
    permissions: Sequence[str]
    expires_in_days: int | None
    by_operator: bool
    client: str | None = None
    user_agent: str | None = None


def _user(rows: Sequence[Sequence[Any]]) -> User | None:
    """A user from the rows of ``user_by_email`` or ``by_token``."""
    if not rows:
        return None
    memberships = tuple(Membership(Team(*row[5:8]), Role[row[8].upper()]) for row in rows if row[5] is not None)
    identity, email, name, created_at, updated_at = rows[0][:5]
    return User(identity, email, name, created_at, updated_at, memberships)


async def by_key(db: Speaks, key_hash: str) -> KeyHolder | None:
    """What the API key stands for, or None: unknown, revoked, or of a deleted team."""
    row = await db.row("accounts/by_key", {"key_hash": key_hash})
    return KeyHolder(row[0], row[1], row[2], row[3], Team(*row[4:7]), row[7]) if row is not None else None


async def by_token(db: Speaks, token_hash: str) -> User | None:
    """The user who signed in with this token, or None."""
    return _user(await db.rows("accounts/by_token", {"token_hash": token_hash}))


async def by_email(db: Speaks, email: str) -> User | None:
    """The user with this address, or None."""
    return _user(await db.rows("accounts/user_by_email", {"email": email}))


async def sign_up(session: Session, email: str, name: str, slug: str, place: Place) -> None:
    """Create a user with a team; nothing happens if the address is known."""
    person = {"email": email, "name": name, "slug": slug, "client": place.client, "user_agent": place.user_agent}
    await session.rows("accounts/sign_up", person)


async def start_session(session: Speaks, user_id: UUID, token_hash: str, seconds: int) -> None:
    """Make a token valid for so many seconds."""
    await session.rows("accounts/start_session", {"user_id": user_id, "token_hash": token_hash, "seconds": seconds})


async def end_session(db: Speaks, token_hash: str) -> None:
    """Make a token invalid."""
    await db.rows("accounts/end_session", {"token_hash": token_hash})


async def create_key(db: Speaks, new: NewKey) -> ApiKey | None:
    """Store an API key. None: the user is no admin of the team any more, and it is not the operator who makes it."""
    row = await db.row("accounts/create_key", new._asdict() | {"permissions": _json(new.permissions)})
    return ApiKey(*row) if row is not None else None


async def keys(db: Speaks, team_ids: Collection[UUID]) -> list[ApiKey]:
    """The API keys of some teams, newest first."""
    return [ApiKey(*row) for row in await db.rows("accounts/keys", {"team_ids": list(team_ids)})]


async def key_team(db: Speaks, key_id: UUID) -> UUID | None:
    """The team of an API key, or None."""
    row = await db.row("accounts/key_team", {"id": key_id})
    return row[0] if row is not None else None


async def revoke_key(db: Speaks, key_id: UUID, by: UserActor | None) -> bool:
    """Revoke an API key, by a user or by the operator; False when it is gone already."""
    revoking = {
        "id": key_id,
        "user_id": by.id if by is not None else None,
        "client": by.client if by is not None else None,
        "user_agent": by.user_agent if by is not None else None,
    }
    return await db.row("accounts/revoke_key", revoking) is not None


async def find_team(db: Speaks, team: str) -> Team | None:
    """A team by id or slug."""
    row = await db.row("accounts/find_team", {"team": team})
    return Team(*row) if row is not None else None


async def create_team(db: Speaks, name: str, slug: str) -> Team | None:
    """A new team, or None: the slug is taken."""
    row = await db.row("accounts/create_team", {"name": name, "slug": slug})
    return Team(*row) if row is not None else None


async def put_user(session: Session, email: str, name: str) -> tuple[UUID, bool]:
    """The user's id, and whether the user is new."""
    ((user_id, created),) = await session.rows("accounts/put_user", {"email": email, "name": name})
    return user_id, created


async def put_member(session: Session, team_id: UUID, user_id: UUID, role: Role) -> None:
    """Give a user a role in a team; whoever changes its members at the same moment waits until the transaction ends."""
    await lock_team(session, team_id)
    await session.rows("accounts/put_member", {"team_id": team_id, "user_id": user_id, "role": role.name.lower()})


async def members(db: Speaks, team_id: UUID) -> list[Member]:
    """The members of a team, owners first."""
    rows = await db.rows("accounts/members", {"team_id": team_id})
    return [
        Member(user_id, email, name, Role[role.upper()], joined_at, keys)
        for user_id, email, name, role, joined_at, keys in rows
    ]


async def lock_team(session: Session, team_id: UUID) -> None:
    """Be the only one who changes the members of a team, until the transaction ends."""
    await session.rows("accounts/lock_team", {"team_id": team_id})


async def remove_member(
    session: Session, team_id: UUID, user_id: UUID, heir: UUID | None, by: Actor
) -> list[str] | None:
    """Take somebody out of a team; returns the names of their keys, which the heir has now, or nobody. None: no member."""
    params = {"team_id": team_id, "user_id": user_id, "heir": heir} | audit(by)
    row = await session.row("accounts/remove_member", params)
    return row[0] if row is not None else None


async def hold_user(session: Session, email: str) -> None:
    """Keep the user with this address from being deleted until the transaction ends, or wait for the end of who is."""
    await session.rows("accounts/hold_user", {"email": email})


async def hold_users(session: Session, user_ids: Collection[UUID]) -> None:
    """Keep users from being deleted until the transaction ends."""
    await session.rows("accounts/hold_users", {"ids": list(user_ids)})


async def lock_users(session: Session, user_ids: Collection[UUID]) -> None:
    """Keep everybody from signing in as one of these users, and from referring to them, until the transaction ends."""
    await session.rows("accounts/lock_users", {"ids": list(user_ids)})


async def delete_user(session: Session, user_id: UUID) -> None:
    """Delete what is known of a user who is in no team."""
    await session.rows("accounts/delete_user", {"user_id": user_id})


async def end_sessions(db: Speaks, email: str) -> int:
    """Sign a user out everywhere; returns how many sign-ins have ended."""
    return len(await db.rows("accounts/end_sessions", {"email": email}))


async def highest_member(db: Speaks, team_id: UUID) -> UUID | None:
    """The team's first owner, else its first admin."""
    row = await db.row("accounts/highest_member", {"team_id": team_id})
    return row[0] if row is not None else None


async def answers(db: Speaks) -> None:
    """Return if the database answers. Raises DatabaseUnavailable."""
    await db.row("accounts/reachable")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
