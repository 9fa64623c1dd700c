"""What the owner sets up straight on the database."""

from uuid import UUID, uuid4

import pytest
import trio

from owlrunner.accounts import Accounts, Administration
from owlrunner.accounts.offboarding import Offboarding
from owlrunner.actor import ApiKeyActor, Role
from owlrunner.errors import AlreadyExists, InvalidRequest, NotFound
from owlrunner.storage import accounts
from owlrunner.storage.postgres import Database
from tests.storage.rows import until_blocked
from tests.web.web_world import World


async def test_teams_and_projects_are_named_by_id_or_slug(db: Database) -> None:
    """What was created is found by id and by slug; a slug comes from the name unless given."""
    admin = Administration(db)
    team = await admin.create_team("Ünïted Owls & Co.")
    project = await admin.create_project(str(team.id), "Night Shift", slug="nights")
    assert (team.slug, project.slug, project.team_id) == ("n-ted-owls-co", "nights", team.id)
    assert await admin.team(str(team.id)) == await admin.team("n-ted-owls-co") == team
    assert await admin.project(str(project.id)) == await admin.project("n-ted-owls-co/nights") == project


async def test_names_that_are_taken(world: World) -> None:
    """A slug is given once; another team may have a project of the same slug."""
    admin = Administration(world.db)
    with pytest.raises(AlreadyExists, match="a team with the slug 'acme' exists already"):
        await admin.create_team("ACME")
    with pytest.raises(AlreadyExists, match="the team 'acme' has a project with the slug 'site' already"):
        await admin.create_project("acme", "site")
    assert world.project.slug == world.other_project.slug == "site"


async def test_names_that_cannot_be(world: World) -> None:
    """A name, slug, role or address that cannot be used is named in the refusal."""
    admin = Administration(world.db)
    with pytest.raises(InvalidRequest, match=r"^name: "):
        await admin.create_team(" ")
    with pytest.raises(InvalidRequest, match=r"^slug: cannot be made"):
        await admin.create_team("???")
    with pytest.raises(InvalidRequest, match=r"^slug: expected"):
        await admin.create_team("x", slug="X y")
    with pytest.raises(InvalidRequest, match=r"^role: "):
        await admin.create_user("a@acme.test", "acme", "king")
    with pytest.raises(InvalidRequest, match=r"^email: "):
        await admin.create_user("a", "acme")
    for team in ("nobody", str(uuid4())):
        with pytest.raises(NotFound, match=r"^team: "):
            await admin.create_project(team, "x")
    with pytest.raises(InvalidRequest, match="NUL"):
        await admin.team("\x00")
    with pytest.raises(NotFound, match=r"^project: "):
        await admin.set_integration("acme/nothing", "revenuecat", {})


@pytest.mark.parametrize("provider", ["x", "x" * 50])
async def test_a_providers_name_may_be_short_or_long(world: World, provider: str) -> None:
    """One character is enough, and fifty are not too many."""
    await Administration(world.db).set_integration("acme/site", provider, {})
    assert await world.sql("select provider from project_integrations") == [(provider,)]


@pytest.mark.parametrize("provider", ["", "x" * 51, "\x00"])
async def test_a_providers_name_that_cannot_be_stored_is_refused(world: World, provider: str) -> None:
    """One that is empty, too long or holds a NUL character leaves nothing behind."""
    with pytest.raises(InvalidRequest, match=r"^provider: "):
        await Administration(world.db).set_integration("acme/site", provider, {})
    assert await world.sql("select provider from project_integrations") == []


async def test_users_get_roles(world: World) -> None:
    """An address becomes a user once; a second call gives a role in one more team, or another role in the same."""
    admin = Administration(world.db)
    user, is_new = await admin.create_user("Ann@Acme.test", "acme", "admin", "Ann")
    assert (user.email, user.name, is_new) == ("ann@acme.test", "Ann", True)
    await admin.create_user("ann@acme.test", "acme", "member", "Other")
    user, is_new = await admin.create_user("ann@acme.test", "rival")
    assert (user.name, is_new) == ("Ann", False)
    roles = {membership.team.slug: membership.role for membership in user.memberships}
    assert roles == {"acme": Role.MEMBER, "rival": Role.MEMBER}


async def test_a_user_without_a_name_is_called_by_the_address(world: World) -> None:
    """What stands before the @ is the name of a new user for whom none was given."""
    user, _ = await Administration(world.db).create_user("bob@acme.test", "acme")
    assert user.name == "Bob"


async def test_keys_are_made_in_somebodys_name(world: World) -> None:
    """A key is made in the name of the team's owner unless another is named, and works."""
    admin = Administration(world.db)
    raw, key = await admin.create_key("acme", "ci", permissions=["jobs:read"])
    _, other = await admin.create_key("acme", "ci", created_by="Member@acme.test")
    assert (key.created_by_email, other.created_by_email) == ("owner@acme.test", "member@acme.test")
    caller = await Accounts(world.db).resolve(raw)
    assert caller.actor == ApiKeyActor(key.id, "agent", world.team.id, frozenset({"jobs:read"}))
    audit = "select actor_type::text, actor_id from audit_logs where resource_id = %(id)s"
    assert await world.sql(audit, id=str(key.id)) == [("system", "operator")]
    await admin.create_team("Empty")
    with pytest.raises(InvalidRequest, match=r"^created_by: "):
        await admin.create_key("empty", "ci")
    with pytest.raises(NotFound, match=r"^user: "):
        await admin.create_key("acme", "ci", created_by="nobody@acme.test")


async def test_a_deleted_integration_comes_back(world: World) -> None:
    """Setting a soft-deleted integration brings it back under its old id, enabled, and without its old config."""
    admin = Administration(world.db)
    rows = "select id, config, enabled, deleted_at is null from project_integrations"
    first = await admin.set_integration("acme/site", "revenuecat", {"api_key": "a", "webhook_secret": "old"})
    assert isinstance(first.id, UUID)
    await world.sql("update project_integrations set deleted_at = now(), enabled = false")
    second = await admin.set_integration(str(world.project.id), "revenuecat", {"api_key": "b"})
    assert await world.sql(rows) == [(first.id, {"api_key": "b"}, True, True)]
    assert first == second


async def test_an_integration_keeps_what_is_not_given(world: World) -> None:
    """Setting an integration replaces the keys that are given, keeps the others, and enables only if asked."""
    admin = Administration(world.db)
    before = {"api_key": "a", "webhook_secret": "s"}
    first = await admin.set_integration("acme/site", "revenuecat", before)
    await world.sql("update project_integrations set enabled = false")
    for enable in (False, True):
        told = await admin.set_integration("acme/site", "revenuecat", {"api_key": "b"}, enable=enable)
        assert told == (first.id, enable)
        rows = await world.sql("select config, enabled from project_integrations")
        assert rows == [({"api_key": "b", "webhook_secret": "s"}, enable)]


async def test_who_leaves_waits_for_a_change_of_roles(world: World) -> None:
    """An owner who leaves while the operator takes the role from the other owner stays, because nobody else is left."""
    admin, told = Administration(world.db), []
    other, _ = await admin.create_user("other@acme.test", "acme", "owner")

    async def leave() -> None:
        try:
            await Offboarding(world.db).remove_member("owner@acme.test", "acme")
            told.append("gone")
        except InvalidRequest as refused:
            told.append(str(refused))

    async with trio.open_nursery() as nursery, world.db.session() as session, session.transaction():
        await accounts.put_member(session, world.team.id, other.id, Role.MEMBER)
        nursery.start_soon(leave)
        await until_blocked(world.db)
    assert told == ["owner@acme.test is the only owner of the team: make somebody else one first"]
