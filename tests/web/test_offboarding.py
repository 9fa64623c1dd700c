"""What people hold is seen and taken away: membership, keys and sign-ins end at once, on every server."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest
import trio

from owlrunner.accounts import Accounts, Administration, KeyRequest, Origin
from owlrunner.accounts.members import leave
from owlrunner.accounts.offboarding import Offboarding
from owlrunner.actor import OperatorActor, Role
from owlrunner.errors import InvalidRequest, NotFound, Unauthenticated
from owlrunner.storage import accounts as accounts_of
from tests.storage.rows import until_blocked
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
    with pytest.raises(InvalidRequest, match=r"owner@acme\.test is the only owner of the team"):
        await offboarding.remove_member("owner@acme.test", "acme")
    for heir in ("owner@rival.test", "member@acme.test"):
        with pytest.raises(InvalidRequest, match=r"^keys_to: expected another member of the team"):
            await offboarding.remove_member("member@acme.test", "acme", heir)
    with pytest.raises(NotFound, match=r"^user: no member of the team"):
        await offboarding.remove_member("owner@rival.test", "acme")
    with pytest.raises(NotFound, match=r"^key: "):
        await offboarding.revoke_key(uuid4())
    with pytest.raises(NotFound, match=r"^user: "):
        await offboarding.end_sessions("nobody@acme.test")
    assert len(await offboarding.members("acme")) == 3
    await Administration(world.db).create_user("admin@acme.test", "acme", "owner")
    assert await offboarding.remove_member("owner@acme.test", "acme") != []


def members_of(world: World) -> str:
    """Where a team's members are."""
    return f"/v1/teams/{world.team.id}/members"


async def test_owners_see_and_remove_members(world: World, as_owner: httpx.AsyncClient) -> None:
    """By the API, with the keys that they made, which end or go to another member; the audit log names the owner and the client."""
    admin = Administration(world.db)
    for email in (ANN, "bob@acme.test"):
        await admin.create_user(email, "acme", "admin")
        await admin.create_key("acme", f"of {email}", created_by=email)
    listed = (await as_owner.get(members_of(world))).json()["members"]
    assert [(one["email"], one["role"], one["keys"]) for one in listed[:1]] == [("owner@acme.test", "owner", 6)]
    ids = {one["email"]: one["user_id"] for one in listed}
    kept = await as_owner.delete(f"{members_of(world)}/{ids[ANN]}?keys_to={ids['bob@acme.test']}")
    assert (kept.status_code, kept.json()) == (200, {"removed": True, "keys": [f"of {ANN}"]})
    ended = await as_owner.delete(f"{members_of(world)}/{ids['bob@acme.test']}")
    assert ended.json()["keys"] == [f"of {ANN}", "of bob@acme.test"]
    assert {one["email"] for one in (await as_owner.get(members_of(world))).json()["members"]} == {
        "owner@acme.test",
        "admin@acme.test",
        "member@acme.test",
    }
    log = await world.sql(
        "select actor_id, action::text, resource_type from audit_logs where user_agent like 'python-httpx%%'"
    )
    assert sorted(log) == [
        (ids["owner@acme.test"], "delete", "api_key"),
        (ids["owner@acme.test"], "delete", "api_key"),
        (ids["owner@acme.test"], "delete", "team_member"),
        (ids["owner@acme.test"], "delete", "team_member"),
        (ids["owner@acme.test"], "update", "api_key"),
    ]


async def test_a_member_may_leave(world: World, client: httpx.AsyncClient) -> None:
    """Anybody for themselves, but not for others, nor by giving their keys to somebody; the only owner stays."""
    listed = {one.email: one.user_id for one in await Offboarding(world.db).members("acme")}
    me, other = listed["member@acme.test"], listed["admin@acme.test"]
    client.headers.update(world.auth("member"))
    for path in (f"/{other}", f"/{me}?keys_to={other}"):
        refused = await client.delete(members_of(world) + path)
        assert (refused.status_code, refused.json()) == (403, {"error": "Requires owner role or higher"})
    assert (await client.delete(f"{members_of(world)}/{me}")).status_code == 200
    assert (await client.delete(f"{members_of(world)}/{me}")).json() == {"error": "Not a member of this team"}
    client.headers.update(world.auth("owner"))
    for path, status, sentence in (
        (
            f"/{listed['owner@acme.test']}",
            400,
            "owner@acme.test is the only owner of the team: make somebody else one first",
        ),
        (f"/{other}?keys_to={me}", 400, "keys_to: expected another member of the team"),
        (f"/{me}", 404, "user: no member of the team"),
        ("/nonsense", 400, "user id: expected a uuid"),
    ):
        refused = await client.delete(members_of(world) + path)
        assert (refused.status_code, refused.json()["error"][: len(sentence)]) == (status, sentence)


async def test_two_owners_cannot_take_each_other_out(world: World) -> None:
    """Of two who try at the same moment one is told to stay."""
    await Administration(world.db).create_user(ANN, "acme", "owner")
    outcomes: list[str] = []

    async def remove(email: str) -> None:
        try:
            await Offboarding(world.db).remove_member(email, "acme")
            outcomes.append("gone")
        except InvalidRequest:
            outcomes.append("stays")

    async with trio.open_nursery() as nursery:
        for email in (ANN, "owner@acme.test"):
            nursery.start_soon(remove, email)
    assert sorted(outcomes) == ["gone", "stays"]


async def test_who_is_no_owner_any_more_removes_nobody(world: World, as_owner: httpx.AsyncClient) -> None:
    """An owner whose request waits while another one takes them out is told that they are none, and nobody else has gone."""
    administration = Administration(world.db)
    for email in (ANN, "bob@acme.test"):
        await administration.create_user(email, "acme", "owner")
    bob = await administration.user("bob@acme.test")
    owner = await administration.user("owner@acme.test")
    answers: list[httpx.Response] = []

    async def remove() -> None:
        answers.append(await as_owner.delete(f"/v1/teams/{world.team.id}/members/{bob.id}"))

    async with trio.open_nursery() as nursery, world.db.session() as session, session.transaction():
        await accounts_of.lock_team(session, world.team.id)
        nursery.start_soon(remove)
        await until_blocked(world.db)
        await leave(session, world.team.id, owner.id, None, OperatorActor())
    assert [answer.status_code for answer in answers] == [403]
    assert [one.email for one in await Offboarding(world.db).members("acme") if one.role is Role.OWNER] == [
        ANN,
        "bob@acme.test",
    ]


async def test_a_user_is_deleted(world: World) -> None:
    """Address, name, sign-ins and codes go, memberships and keys with them, or to an heir; what they did stays, without a name."""
    admin, offboarding, accounts = Administration(world.db), Offboarding(world.db), Accounts(world.db)
    origin = Origin("192.0.2.7", "browser")
    for team in ("acme", "rival"):
        await admin.create_user(ANN, team, "admin")
        await admin.create_key(team, f"of {team}", created_by=ANN)
    code = await accounts.issue_code(ANN, origin)
    signed_in = await accounts.sign_in(ANN, code.code, origin)
    run_id = await world.run_row()
    insert = "insert into notifications (run_id, notifier, recipient) values (%(id)s, 'mail', %(e)s)"
    await world.sql(insert, id=run_id, e=ANN)
    deleted = await offboarding.delete_user("Ann@acme.test", "admin@acme.test")
    assert await world.sql("select 1 from notifications where recipient = %(e)s", e=ANN) == []
    assert (deleted.email, sorted(deleted.teams), sorted(deleted.keys)) == (
        ANN,
        ["acme", "rival"],
        ["of acme", "of rival"],
    )
    assert "of acme" in {one.name for one in await offboarding.keys("acme")}
    assert "of rival" not in {one.name for one in await offboarding.keys("rival")}
    with pytest.raises(Unauthenticated):
        await Accounts(world.db).resolve(signed_in.token)
    for table in ("users", "email_verification_codes", "known_origins", "security_events"):
        assert await world.sql(f"select 1 from {table} where email = %(e)s", e=ANN) == [], table
    ((name, email),) = await world.sql("select name, email from users where id = %(id)s", id=signed_in.user.id)
    assert (name, email) == ("Deleted user", f"deleted-{signed_in.user.id}@deleted.invalid")
    # That they were taken in and out stays on record, and their address does not.
    assert (
        await world.sql(
            "select 1 from audit_logs where metadata::text like '%%ann@%%' or changes::text like '%%ann@%%'"
        )
        == []
    )
    told = "select 1 from audit_logs where resource_id = %(id)s and resource_type = 'team_member'"
    assert len(await world.sql(told, id=str(signed_in.user.id))) == 4
    with pytest.raises(NotFound):
        await offboarding.delete_user(ANN)
    again = await accounts.issue_code(ANN, origin)
    newcomer = await accounts.sign_in(ANN, again.code, origin)
    assert newcomer.is_new
    # Alone in a team of their own, which is no reason to keep them.
    assert (await offboarding.delete_user(ANN)).teams == [newcomer.user.memberships[0].team.slug]
    with pytest.raises(InvalidRequest, match="only owner"):
        await offboarding.delete_user("owner@acme.test")


async def meet(
    world: World, table: bytes, one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]
) -> None:
    """Let both act at the same time: the first stops at the rows of a table, and the other begins before it goes on."""
    async with trio.open_nursery() as nursery, world.db.session() as session, session.transaction():
        await session.connection.execute(b"select from %s for update" % table)
        nursery.start_soon(one)
        await until_blocked(world.db, 1)
        nursery.start_soon(other)
        await until_blocked(world.db, 2)


@pytest.mark.parametrize("first", ["sign in", "delete"])
async def test_nobody_is_signed_in_as_a_deleted_user(world: World, first: str) -> None:
    """Whichever of a sign-in and the user's deletion comes first, no sign-in and no known origin are left."""
    user, _ = await Administration(world.db).create_user(ANN, "acme", "admin")
    origin, accounts = Origin("192.0.2.7"), Accounts(world.db)
    code = (await accounts.issue_code(ANN, origin)).code
    put = "insert into known_origins (email, mark, used_at) values (%(e)s, %(m)s, now())"
    await world.sql(put, e=ANN, m="client:192.0.2.7")
    outcomes: list[str] = []

    async def sign_in() -> None:
        try:
            await accounts.sign_in(ANN, code, origin)
            outcomes.append("signed in")
        except Unauthenticated:
            outcomes.append("refused")

    async def delete() -> None:
        outcomes.append(f"deleted {(await Offboarding(world.db).delete_user(ANN)).email}")

    one, other = (sign_in, delete) if first == "sign in" else (delete, sign_in)
    # Both write this row at last, so whoever comes first stops there, in the middle of its transaction.
    await meet(world, b"known_origins", one, other)
    assert set(outcomes) == {f"deleted {ANN}", "signed in" if first == "sign in" else "refused"}
    assert await world.sql("select 1 from user_sessions where user_id = %(id)s", id=user.id) == []
    assert await world.sql("select 1 from known_origins") == []


@pytest.mark.parametrize("act", ["make a key", "get keys"])
async def test_deleting_a_user_waits_in_no_circle(world: World, act: str) -> None:
    """Who makes a key, or is given one, at the moment of their deletion is waited for, and the key ends with them."""
    admin = Administration(world.db)
    user, _ = await admin.create_user(ANN, "acme", "admin")
    await admin.create_key("acme", "ci", created_by="admin@acme.test")
    outcomes: list[str] = []

    async def do() -> None:
        if act == "make a key":
            await Accounts(world.db).create_key(user, KeyRequest("ci", "agent", str(world.team.id)), Origin())
        else:
            await Offboarding(world.db).remove_member("admin@acme.test", "acme", ANN)
        outcomes.append(act)

    async def delete() -> None:
        await Offboarding(world.db).delete_user(ANN)
        outcomes.append("delete")

    # Whoever comes first has the team's row already, and stops here, before it refers to the user.
    await meet(world, b"team_members", do, delete)
    assert set(outcomes) == {act, "delete"}
    assert await world.sql("select 1 from api_keys where created_by = %(id)s and deleted_at is null", id=user.id) == []
