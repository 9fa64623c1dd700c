"""Make API keys for users, in the team that they mean."""

from collections.abc import Sequence

import attrs

from owlrunner.accounts.credentials import (
    SHOWN,
    Caller,
    as_uuid,
    checked_days,
    checked_name,
    checked_permissions,
    hashed,
    new_key,
)
from owlrunner.accounts.origin import Origin
from owlrunner.actor import Role, require_team
from owlrunner.errors import InvalidRequest, PermissionDenied
from owlrunner.storage import accounts
from owlrunner.storage.accounts import ApiKey, Membership, NewKey, Team, User
from owlrunner.storage.job_runs import Speaks


class SeveralTeams(InvalidRequest):
    """Which team is meant cannot be told; ``memberships`` are those to choose from."""

    def __init__(self, memberships: Sequence[Membership]) -> None:
        super().__init__("Multiple teams found. Specify team_id.")
        self.memberships = memberships


@attrs.frozen
class KeyRequest:
    """What somebody wants for an API key, not yet checked. ``permissions`` None: all that its kind may hold."""

    name: str | None
    key_type: str | None
    team_id: str | None = None
    app_id: str | None = None
    permissions: Sequence[str] | None = None
    expires_in_days: int | None = None


def chosen_team(user: User, team_id: str | None) -> Team:
    """Return the team that is named, or the only one that there is. Raises PermissionDenied and SeveralTeams."""
    if team_id is None:
        if not user.memberships:
            raise PermissionDenied("User has no team membership")
        if len(user.memberships) > 1:
            raise SeveralTeams(user.memberships)
    wanted = as_uuid(team_id) if team_id is not None else user.memberships[0].team.id
    for membership in user.memberships:
        if membership.team.id == wanted:
            require_team(Caller.from_user(user).actor, wanted, Role.ADMIN)
            return membership.team
    raise PermissionDenied("Not a member of this team")


async def create_key(db: Speaks, user: User, team: Team, wanted: KeyRequest, origin: Origin) -> tuple[str, ApiKey]:
    """Make a key; returns it raw and as it is shown. Raises InvalidRequest and PermissionDenied."""
    kind = wanted.key_type or ""
    permissions = checked_permissions(kind, wanted.permissions)
    raw = new_key(kind)
    new = NewKey(
        key_hash=hashed(raw),
        key_prefix=raw[:SHOWN],
        key_type=kind,
        team_id=team.id,
        name=checked_name(wanted.name),
        created_by=user.id,
        permissions=permissions,
        expires_in_days=checked_days(wanted.expires_in_days),
        by_operator=False,
        client=origin.place.client,
        user_agent=origin.place.user_agent,
    )
    key = await accounts.create_key(db, new)
    if key is None:
        # The membership ended, or the role, after the user was looked up.
        raise PermissionDenied("Requires admin role or higher")
    return raw, key
