"""The door to accounts by itself: it asks for roles and names new users, whoever comes through it."""

from uuid import uuid4

import pytest

from owlrunner.accounts import Accounts, Origin, RecentCallers
from owlrunner.actor import Role, UserActor
from owlrunner.errors import PermissionDenied
from owlrunner.storage.postgres import Database
from tests.runtime.away import Away


async def test_projects_are_for_those_who_administer_the_team() -> None:
    """A member, and an owner of another team, are refused without a look at the database."""
    team, other = uuid4(), uuid4()
    accounts = Accounts(Away(), RecentCallers())
    for teams in ({team: Role.MEMBER}, {other: Role.OWNER}):
        with pytest.raises(PermissionDenied):
            await accounts.projects(UserActor(uuid4(), "ada@acme.test", teams), team)


async def test_a_new_user_is_called_by_what_stands_before_the_domain(db: Database) -> None:
    """Who signs up is named after their address, with a capital letter, and so is the team that they get."""
    accounts = Accounts(db, RecentCallers())
    async with db.session() as session:
        user, is_new = await accounts._user_of(session, "ada.lovelace@acme.test", Origin())
        assert is_new
        assert (await accounts._user_of(session, "ada.lovelace@acme.test", Origin())) == (user, False)
    assert user.name == "Ada.lovelace"
    (membership,) = user.memberships
    assert membership.team.name == "Ada.lovelace's Team"
    assert membership.team.slug.startswith("ada-lovelace-")
