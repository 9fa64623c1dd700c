"""This is the room for what credentials look like: how they are made, hashed and recognised, and which are sound.

Nothing here touches the database.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs

from owlrunner.actor import AGENT_PERMISSIONS, CLIENT_PERMISSIONS, ApiKeyActor, TeamActor, UserActor
from owlrunner.email_address import parse_address
from owlrunner.errors import InvalidRequest
from owlrunner.storage.accounts import KeyHolder, Team, User
from owlrunner.unseen_text import UNSEEN

DEFAULT_PERMISSIONS: Mapping[str, Sequence[str]] = {"client": CLIENT_PERMISSIONS, "agent": AGENT_PERMISSIONS}
"""Each kind of API key with what it may hold, which is also what it gets when nothing is named."""

KEY_PREFIXES = tuple(f"owl_{kind}_" for kind in DEFAULT_PERMISSIONS)
SHOWN = 16
"""How many characters of a raw key are kept readable, to tell keys apart in a list."""

LONGEST_KEY_DAYS = 3650


@attrs.frozen
class Caller:
    """Whoever is behind a request. ``user`` is there for users, ``team`` and ``permissions`` for API keys."""

    actor: TeamActor
    user: User | None = None
    team: Team | None = None
    permissions: tuple[str, ...] = ()
    """What the actor holds, in the order in which it was stored."""

    @classmethod
    def from_user(cls, user: User) -> "Caller":
        """A signed-in user."""
        teams = {membership.team.id: membership.role for membership in user.memberships}
        return cls(UserActor(user.id, user.email, teams), user=user)

    @classmethod
    def from_key(cls, key: KeyHolder) -> "Caller":
        """A program that holds an API key."""
        actor = ApiKeyActor(key.id, key.key_type, key.team.id, frozenset(key.permissions), key.name)
        return cls(actor, team=key.team, permissions=tuple(key.permissions))


def hashed(secret: str) -> str:
    """What is stored of a secret, and looked up: SHA-256, hex.

    Keys and tokens have 192 bits of chance and more, so a slow hash would add nothing; and the time that it takes to
    look a hash up in an index tells nothing about the secret.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(kind: str) -> str:
    """A raw API key of one kind."""
    return f"owl_{kind}_{secrets.token_hex(24)}"


def new_token() -> str:
    """A raw sign-in token. Hex, so that it can never be taken for an API key."""
    return secrets.token_hex(32)


def new_code() -> str:
    """A login code: six digits, the first not 0."""
    return str(100_000 + secrets.randbelow(900_000))


def normal_email(text: str | None) -> str | None:
    """Return the address as it is stored and compared (trimmed, lower case, in ASCII), or None for what is not an address.

    Letters beyond ASCII are for the domain alone: before the @, not every mail server could be given the login code.
    """
    try:
        address = parse_address((text or "").strip().lower())
    except ValueError:
        return None
    return None if address.needs_smtputf8 else str(address)


def checked_permissions(kind: str, wanted: Sequence[str] | None) -> Sequence[str]:
    """The permissions of a new key. Raises InvalidRequest."""
    if kind not in DEFAULT_PERMISSIONS:
        raise InvalidRequest(f"key_type: expected one of {', '.join(DEFAULT_PERMISSIONS)}, got {kind[:60]!r}")
    if wanted is None:
        return DEFAULT_PERMISSIONS[kind]
    if not wanted:
        raise InvalidRequest("At least one permission is required")
    if len(set(wanted)) < len(wanted):
        raise InvalidRequest("Duplicate permissions are not allowed")
    for permission in wanted:
        if not any(permission in known for known in DEFAULT_PERMISSIONS.values()):
            raise InvalidRequest(f"Unknown permission: {permission[:60]}")
        if permission not in DEFAULT_PERMISSIONS[kind]:
            raise InvalidRequest(f'Permission "{permission}" is not allowed for {kind} keys')
    return wanted


def checked_days(days: int | None) -> int | None:
    """How long a key shall live; None for ever. Raises InvalidRequest."""
    if days is not None and not 1 <= days <= LONGEST_KEY_DAYS:
        raise InvalidRequest(f"expires_in_days: expected a number from 1 to {LONGEST_KEY_DAYS}, got {days}")
    return days


def checked_name(text: str | None, what: str = "name") -> str:
    """A name that people give to something: 1 to 255 characters that can be stored and seen. Raises InvalidRequest."""
    name = (text or "").strip()
    is_seen = any(letter.isprintable() and letter != "\ufe0f" for letter in name) and not UNSEEN.search(name)
    if not is_seen or len(name) > 255 or any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        raise InvalidRequest(f"{what}: expected 1 to 255 printable characters")
    return name


def as_uuid(text: str) -> UUID | None:
    """The uuid that a text means, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def slug_of(text: str) -> str:
    """A name as part of an address: lower-case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:200].rstrip("-")
