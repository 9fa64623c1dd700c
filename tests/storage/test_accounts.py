"""The statements on users, teams, keys and sign-ins: what counts, until when, and what stays as it is."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from owlrunner.actor import OperatorActor, Role, UserActor
from owlrunner.storage import accounts, integrations
from owlrunner.storage import projects as projects_of
from owlrunner.storage.accounts import Membership, NewKey, Team
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.sign_ins import Place
from tests.storage.rows import look, now, put, value

EMAIL = "ann@acme.test"


async def put_user(session: Session, email: str = EMAIL, **values: Any) -> UUID:
    """A user."""
    user_id: UUID = (await put(session, "users", email=email, name=email, **values))["id"]
    return user_id


async def put_team(session: Session, slug: str = "acme", **values: Any) -> UUID:
    """A team."""
    team_id: UUID = (await put(session, "teams", name=slug.title(), slug=slug, **values))["id"]
    return team_id


async def put_key(session: Session, team_id: UUID, key_hash: str, **values: Any) -> UUID:
    """An API key, made by a user of its own."""
    user_id = values.pop("created_by", None) or await put_user(session, f"{key_hash}@acme.test")
    about = {
        "key_hash": key_hash,
        "key_prefix": "owl_agent_12",
        "key_type": "agent",
        "team_id": team_id,
        "name": key_hash,
    }
    row = await put(session, "api_keys", **about | {"created_by": user_id, "permissions": "[]"} | values)
    key_id: UUID = row["id"]
    return key_id


async def test_keys_stand_for_their_team(db: Database) -> None:
    """Neither a revoked one nor one of a deleted team stands for anything; one is expired from its very instant on."""
    async with db.session() as session, session.transaction():
        team, gone = await put_team(session), await put_team(session, "gone", deleted_at=now())
        good = await put_key(session, team, "good", permissions='["jobs:read"]', expires_at=now(0.001))
        await put_key(session, team, "revoked", deleted_at=now())
        await put_key(session, gone, "of gone")
        await put_key(session, team, "expired", expires_at=now())
        await put_key(session, team, "endless")
        held = await accounts.by_key(session, "good")
        assert held == (good, "agent", ["jobs:read"], False, Team(team, "Acme", "acme"), "good")
        assert [await accounts.by_key(session, name) for name in ("revoked", "of gone", "unknown")] == [None] * 3
        expired, endless = await accounts.by_key(session, "expired"), await accounts.by_key(session, "endless")
        assert expired is not None
        assert endless is not None
        assert (expired.expired, endless.expired) == (True, False)


async def test_the_use_of_a_key_is_noted_once_a_minute(db: Database) -> None:
    """Of the key that was used, if that was longer than a minute ago, and not of one that has expired."""
    async with db.session() as session, session.transaction():
        team = await put_team(session)
        for name, values in (
            ("never", {}),
            ("long ago", {"last_used_at": now(-60.001)}),
            ("just now", {"last_used_at": now(-60)}),
            ("expired", {"expires_at": now(), "last_used_at": now(-99)}),
            ("other", {}),
        ):
            await put_key(session, team, name, **values)
        for name in ("never", "long ago", "just now", "expired"):
            await accounts.by_key(session, name)
        rows = await look(session, "select name from api_keys where last_used_at = owl_now()")
        assert {row["name"] for row in rows} == {"never", "long ago"}


async def test_a_key_that_somebody_is_using_is_not_waited_for(db: Database) -> None:
    """Two requests with one key at the same moment: the second is answered, and leaves the note to the first."""
    async with db.session() as session:
        await put_key(session, await put_team(session), "busy")
        async with db.session() as other, other.transaction():
            await other.connection.execute(b"select from api_keys for update")
            await session.connection.execute(b"set lock_timeout = '1s'")
            assert await accounts.by_key(session, "busy") is not None
        assert await look(session, "select from api_keys where last_used_at is not null") == []


@pytest.mark.parametrize("by", ["token", "email"])
async def test_users_have_the_teams_that_are_left(db: Database, by: str) -> None:
    """In the order in which they joined, without deleted ones; who is in none is a user all the same."""
    async with db.session() as session, session.transaction():
        ann, bob = await put_user(session), await put_user(session, "bob@acme.test")
        first, third, second, gone = [
            await put_team(session, slug, id=UUID(int=number), **values)
            for number, slug, values in (
                (9, "first", {}),
                (3, "third", {}),
                (2, "second", {}),
                (1, "gone", {"deleted_at": now()}),
            )
        ]
        for team_id, joined, role in (
            (third, -1, "member"),
            (second, -1, "member"),
            (gone, -5, "owner"),
            (first, -9, "admin"),
        ):
            await put(session, "team_members", team_id=team_id, user_id=ann, role=role, joined_at=now(joined))
        for user_id, name in ((ann, "ann"), (bob, "bob")):
            await put(session, "user_sessions", token_hash=name, user_id=user_id, expires_at=now(0.001))
        await put(session, "user_sessions", token_hash="over", user_id=ann, expires_at=now())

        async def user(name: str) -> accounts.User | None:
            if by == "token":
                return await accounts.by_token(session, name)
            return await accounts.by_email(session, f"{name}@acme.test")

        found, alone = await user("ann"), await user("bob")
        assert found is not None
        assert alone is not None
        assert (found.id, found.memberships, alone.id, alone.memberships) == (
            ann,
            (
                Membership(Team(first, "First", "first"), Role.ADMIN),
                Membership(Team(second, "Second", "second"), Role.MEMBER),
                Membership(Team(third, "Third", "third"), Role.MEMBER),
            ),
            bob,
            (),
        )
        assert await user("nobody") is None
        assert await accounts.by_token(session, "over") is None


async def test_a_sign_in_ends_those_that_have_run_out(db: Database) -> None:
    """The user's own; those that are good, and other users', stay. Signing out ends one."""
    async with db.session() as session, session.transaction():
        ann, bob = await put_user(session), await put_user(session, "bob@acme.test")
        for name, user_id, seconds in (("over", ann, 0), ("good", ann, 0.001), ("bobs", bob, -9)):
            await put(session, "user_sessions", token_hash=name, user_id=user_id, expires_at=now(seconds))
        await accounts.start_session(session, ann, "new", 60)
        left = {row["token_hash"]: row for row in await look(session, "select * from user_sessions")}
        assert set(left) == {"good", "bobs", "new"}
        assert (left["new"]["user_id"], left["new"]["expires_at"]) == (ann, await value(session, now(60)))
        await accounts.end_session(session, "good")
        assert {row["token_hash"] for row in await look(session, "select * from user_sessions")} == {"bobs", "new"}


async def test_who_signs_up_gets_a_team(db: Database) -> None:
    """A team of their own, of which they are the owner; a known address changes nothing."""
    async with db.session() as session, session.transaction():
        await put_user(session, "bob@acme.test")
        await accounts.sign_up(session, "bob@acme.test", "Bob", "bob", Place(None, None, ""))
        assert await look(session, "select from teams") == []
        await accounts.sign_up(session, EMAIL, "Ann", "ann", Place(None, None, ""))
        user = await accounts.by_email(session, EMAIL)
        assert user is not None
        ((team, role),) = user.memberships
        assert (team.name, team.slug, role) == ("Ann's Team", f"ann-{str(user.id)[:8]}", Role.OWNER)


async def test_keys_are_made_listed_and_revoked(db: Database) -> None:
    """The newest first, without revoked ones and those of other teams; each step stands in the audit log once."""
    async with db.session() as session, session.transaction():
        team, rival = await put_team(session), await put_team(session, "rival")
        ann = await put_user(session)
        old = await put_key(session, team, "old", created_by=ann, created_at=now(-9))
        await put_key(session, rival, "theirs", created_by=ann)
        await put_key(session, team, "gone", created_by=ann, deleted_at=now())
        await put(session, "team_members", team_id=team, user_id=ann, role="admin")
        made = []
        for days in (None, 2):
            new = NewKey(f"hash {days}", "owl_agent_99", "agent", team, "New", ann, ["jobs:read"], days, days is None)
            key = await accounts.create_key(session, new)
            assert key is not None
            made.append(key)
        assert [key.expires_at for key in made] == [None, await value(session, now(2 * 86_400))]
        newest = sorted((key.id for key in made), reverse=True)
        assert [key.id for key in await accounts.keys(session, [team])] == [*newest, old]
        assert await accounts.key_team(session, old) == team
        by = UserActor(ann, "ann@acme.test", {}, "192.0.2.7", "browser")
        assert await accounts.revoke_key(session, old, by)
        assert not await accounts.revoke_key(session, old, by)
        assert await accounts.key_team(session, old) is None
        assert [key.id for key in await accounts.keys(session, [team])] == newest
        log = await look(session, "select actor_type, actor_id, action, resource_id from audit_logs")
        assert {tuple(line.values()) for line in log} == {
            ("system", "operator", "create", str(made[0].id)),
            ("user", str(ann), "create", str(made[1].id)),
            ("user", str(ann), "delete", str(old)),
        }
        assert len(log) == 3


async def test_teams_and_projects_are_found(db: Database) -> None:
    """By id or slug, neither deleted ones nor those of deleted teams; projects by name."""
    async with db.session() as session, session.transaction():
        team, gone = await put_team(session), await put_team(session, "gone", deleted_at=now())
        projects = {}
        for name, team_id, deleted in (("b", team, None), ("a", team, None), ("old", team, now()), ("x", gone, None)):
            row = await put(session, "projects", team_id=team_id, name=name, slug=name, deleted_at=deleted)
            projects[name] = row["id"]
        for one in ("acme", str(team)):
            assert await accounts.find_team(session, one) == (team, "Acme", "acme")
        for one in ("gone", str(gone), "nobody"):
            assert await accounts.find_team(session, one) is None
        for one in ("acme/a", str(projects["a"])):
            found = await projects_of.find(session, one)
            assert found is not None
            assert found[:4] == (projects["a"], team, "a", "a")
        for one in ("acme/old", str(projects["old"]), "gone/x", str(projects["x"]), "a"):
            assert await projects_of.find(session, one) is None
        assert [project.name for project in await projects_of.by_name(session, team)] == ["a", "b"]


async def test_who_stands_for_a_team(db: Database) -> None:
    """Its first owner; where there is none its first admin, and never a mere member."""
    async with db.session() as session, session.transaction():
        team, rival = await put_team(session), await put_team(session, "rival")
        people = {}
        for name, team_id, role, joined in (
            ("member", team, "member", -99),
            ("late admin", team, "admin", -1),
            ("admin", team, "admin", -50),
            ("late owner", team, "owner", -1),
            ("owner", team, "owner", -2),
            ("rival", rival, "owner", -99),
        ):
            people[name] = await put_user(session, f"{name}@acme.test")
            await put(session, "team_members", team_id=team_id, user_id=people[name], role=role, joined_at=now(joined))
        for wanted in ("owner", "late owner", "admin", "late admin"):
            assert await accounts.highest_member(session, team) == people[wanted]
            await session.connection.execute(b"delete from team_members where user_id = %s", [people[wanted]])
        assert await accounts.highest_member(session, team) is None


async def test_what_is_there_already_is_changed(db: Database) -> None:
    """A known user stays, a member's role changes, a deleted integration comes back; others are not touched."""
    async with db.session() as session, session.transaction():
        team = await put_team(session)
        ann, created = await accounts.put_user(session, EMAIL, "Ann")
        assert created
        assert await accounts.put_user(session, EMAIL, "Other") == (ann, False)
        for role in (Role.MEMBER, Role.ADMIN):
            await accounts.put_member(session, team, ann, role)
        user = await accounts.by_email(session, EMAIL)
        assert user is not None
        assert (user.name, [one.role for one in user.memberships]) == ("Ann", [Role.ADMIN])
        assert await accounts.create_team(session, "Acme", "acme") is None
        project = await projects_of.create(session, team, "Site", "site", OperatorActor())
        assert project is not None
        assert await projects_of.create(session, team, "Site", "site", OperatorActor()) is None
        first = await integrations.put(session, project.id, "x", {"a": 1})
        await session.connection.execute(b"update project_integrations set enabled = false, deleted_at = owl_now()")
        assert await integrations.put(session, project.id, "x", {"b": 2}) == first
        assert first.enabled
        (row,) = await look(session, "select config, enabled, deleted_at from project_integrations")
        assert row == {"config": {"b": 2}, "enabled": True, "deleted_at": None}


async def test_names_of_those_who_started_runs(db: Database) -> None:
    """Of users and keys that are asked for, a revoked key's too."""
    async with db.session() as session, session.transaction():
        ann, team = await put_user(session), await put_team(session)
        revoked = await put_key(session, team, "ci", deleted_at=now())
        await put_key(session, team, "other")
        rows = await session.rows("accounts/names", {"users": [ann, uuid4()], "keys": [revoked]})
        assert dict(rows) == {f"manual:user:{ann}": EMAIL, f"manual:api_key:{revoked}": "key ci"}


@pytest.mark.parametrize(
    ("role", "by_operator", "made"), [("admin", False, 1), ("member", False, 0), (None, False, 0), (None, True, 1)]
)
async def test_keys_are_made_by_admins(db: Database, role: str | None, by_operator: bool, made: int) -> None:
    """Whoever is no admin of the team at that moment makes none; the operator may for anybody."""
    async with db.session() as session:
        team, ann = await put_team(session), await put_user(session)
        if role is not None:
            await put(session, "team_members", team_id=team, user_id=ann, role=role)
        new = NewKey("hash", "owl_agent_99", "agent", team, "New", ann, ["jobs:read"], None, by_operator)
        key = await accounts.create_key(session, new)
        assert len(await look(session, "select 1 from api_keys")) == made == (key is not None)


async def test_no_key_outlives_a_membership(db: Database) -> None:
    """Of keys that are made while somebody is taken out of the team none is left, whichever comes first."""
    async with db.session() as session:
        team, ann = await put_team(session), await put_user(session)
        await put(session, "team_members", team_id=team, user_id=ann, role="admin")

    async def make(number: int) -> None:
        await accounts.create_key(
            db, NewKey(f"h{number}", "owl_agent_99", "agent", team, "New", ann, ["jobs:read"], None, False)
        )

    async def remove() -> None:
        async with db.session() as session, session.transaction():
            await accounts.lock_team(session, team)
            await accounts.remove_member(session, team, ann, None, OperatorActor())

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(make, number)
            if number == 3:
                nursery.start_soon(remove)
    async with db.session() as session:
        assert await look(session, "select 1 from api_keys where deleted_at is null") == []
