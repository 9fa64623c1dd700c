"""What people hold is seen and taken away: membership, keys and sign-ins end at once, on every server."""

from uuid import uuid4

import pytest

from owlrunner.accounts import Accounts, Administration
from owlrunner.accounts.offboarding import Offboarding
from owlrunner.actor import Role
from owlrunner.errors import InvalidRequest, NotFound, Unauthenticated
from tests.web.web_world import World

ANN = "ann@acme.test"


async def test_members_and_keys_are_listed(world: World) -> None:
    """Owners first, with how many good keys each has made; keys without those that were revoked."""
    admin, offboarding = Administration(world.db), Offboarding(world.db)
    await admin.create_user(ANN, "rival", "member")
    _, key = await admin.create_key("rival", "ci", created_by=ANN)
    _, gone = await admin.create_key("rival", "old", created_by=ANN)
    await offboarding.revoke_key(gone.id)
    members = await offboarding.members("rival")
    assert [(one.email, one.role, one.keys) for one in members] == [
        ("owner@rival.test", Role.OWNER, 1),
        (ANN, Role.MEMBER, 1),
    ]
    assert key.id in {one.id for one in await offboarding.keys("rival")}
    assert gone.id not in {one.id for one in await offboarding.keys("rival")}


@pytest.mark.parametrize("heir", [None, "admin@acme.test"])
async def test_a_member_leaves_with_their_keys(world: World, heir: str | None) -> None:
    """The membership ends; the keys that they made for the team end as well, or go to whoever is named. Others stay."""
    admin, offboarding = Administration(world.db), Offboarding(world.db)
    for team in ("acme", "rival"):
        await admin.create_user(ANN, team, "admin")
    raw, key = await admin.create_key("acme", "ci", created_by=ANN)
    elsewhere, _ = await admin.create_key("rival", "ci", created_by=ANN)
    assert await offboarding.remove_member("Ann@acme.test", "acme", heir) == ["ci"]
    user = await admin.user(ANN)
    assert [one.team.slug for one in user.memberships] == ["rival"]
    accounts = Accounts(world.db)
    await accounts.resolve(elsewhere)
    await accounts.resolve(world.credentials["key"])
    if heir is None:
        with pytest.raises(Unauthenticated):
            await accounts.resolve(raw)
    else:
        await accounts.resolve(raw)
        assert {one.id: one.created_by_email for one in await offboarding.keys("acme")}[key.id] == heir
    log = await world.sql(
        "select actor_id, action::text, resource_type, resource_id from audit_logs where team_id = %(team)s"
        " and resource_type <> 'job_run' and action <> 'create'",
        team=world.team.id,
    )
    assert set(log) == {
        ("operator", "delete", "team_member", str(user.id)),
        ("operator", "delete" if heir is None else "update", "api_key", str(key.id)),
    }


async def test_nothing_is_mailed_to_who_has_left(world: World) -> None:
    """A run that somebody wanted to be told of, and that ends after they have left, is nobody's to be told."""
    await Administration(world.db).create_user(ANN, "acme", "admin")
    (user_id,) = (await world.sql("select id from users where email = %(e)s", e=ANN))[0]
    await world.sql("insert into notification_rules (alert_email, alerts, notifiers) values ('', 'all', '{mail}')")
    run_id = await world.run_row(triggered_by=f"manual:user:{user_id}", notify=True)
    await Offboarding(world.db).remove_member(ANN, "acme")
    await world.sql(
        "update job_runs set status = 'failed', error = 'x', completed_at = now() where id = %(r)s", r=run_id
    )
    assert await world.sql("select recipient from notifications where run_id = %(r)s", r=run_id) == []


async def test_a_sign_in_ends(world: World) -> None:
    """Every sign-in of a user is refused from now on, and nobody else's."""
    accounts = Accounts(world.db)
    await accounts.resolve(world.credentials["admin"])
    assert await Offboarding(world.db).end_sessions("admin@acme.test") == 1
    with pytest.raises(Unauthenticated):
        await Accounts(world.db).resolve(world.credentials["admin"])
    await accounts.resolve(world.credentials["owner"])
    assert await Offboarding(world.db).end_sessions("admin@acme.test") == 0


async def test_what_cannot_be_taken_away(world: World) -> None:
    """A team keeps an owner; keys go to members alone; who and what is not there is said."""
    offboarding = Offboarding(world.db)
    with pytest.raises(InvalidRequest, match=r"owner@acme\.test is the only owner of the team 'acme'"):
        await offboarding.remove_member("owner@acme.test", "acme")
    for heir in ("owner@rival.test", "member@acme.test"):
        with pytest.raises(InvalidRequest, match=r"^keys_to: expected another member of the team 'acme'"):
            await offboarding.remove_member("member@acme.test", "acme", heir)
    with pytest.raises(NotFound, match=r"owner@rival\.test is no member of the team 'acme'"):
        await offboarding.remove_member("owner@rival.test", "acme")
    with pytest.raises(NotFound, match=r"^key: "):
        await offboarding.revoke_key(uuid4())
    with pytest.raises(NotFound, match=r"^user: "):
        await offboarding.end_sessions("nobody@acme.test")
    assert len(await offboarding.members("acme")) == 3
    await Administration(world.db).create_user("admin@acme.test", "acme", "owner")
    assert await offboarding.remove_member("owner@acme.test", "acme") != []
