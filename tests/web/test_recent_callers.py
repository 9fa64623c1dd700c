"""Who holds a key is remembered for seconds, and forgotten as soon as anything about it changes."""

from uuid import uuid4

import pytest
import trio
import trio.testing
from psycopg.types.json import Jsonb

from owlrunner.accounts import Accounts, Caller, RecentCallers, recent_callers
from owlrunner.actor import ApiKeyActor, Role, UserActor
from owlrunner.errors import Unauthenticated
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Wakeups
from tests.web.web_world import World


class Registry:
    """Answers who somebody is, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.valid = True

    async def ask(self, credential_hash: str) -> Caller:
        """Answer after a while."""
        self.asked += 1
        valid = self.valid
        await trio.sleep(0.1)
        if not valid:
            raise Unauthenticated("Invalid API key")
        return Caller(ApiKeyActor(uuid4(), "agent", uuid4(), frozenset([credential_hash])))


async def test_a_caller_is_asked_for_once_in_a_while(autojump_clock: trio.testing.MockClock) -> None:
    """Within the seconds the first answer stands; afterwards, and for another key, it is asked again."""
    recent, registry = RecentCallers(5.0), Registry()
    for _ in range(3):
        await recent.resolve("a", registry.ask)
    assert registry.asked == 1
    await recent.resolve("b", registry.ask)
    await trio.sleep(5.0)
    await recent.resolve("a", registry.ask)
    assert registry.asked == 3


async def test_a_refusal_is_not_remembered(autojump_clock: trio.testing.MockClock) -> None:
    """A key that is made a moment after it was refused works at once."""
    recent, registry = RecentCallers(5.0), Registry()
    registry.valid = False
    with pytest.raises(Unauthenticated):
        await recent.resolve("a", registry.ask)
    registry.valid = True
    await recent.resolve("a", registry.ask)


async def test_an_answer_from_before_a_change_does_not_outlive_it(autojump_clock: trio.testing.MockClock) -> None:
    """When the bell rings while an answer is on its way, that answer is not remembered."""
    recent, registry = RecentCallers(5.0), Registry()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recent.resolve, "a", registry.ask)
        await trio.sleep(0.05)
        recent.forget()
    registry.valid = False
    with pytest.raises(Unauthenticated):
        await recent.resolve("a", registry.ask)


async def test_nobody_is_remembered_unless_told_to(autojump_clock: trio.testing.MockClock) -> None:
    """With 0 seconds every request asks."""
    recent, registry = RecentCallers(), Registry()
    for _ in range(2):
        await recent.resolve("a", registry.ask)
    assert registry.asked == 2


async def test_no_more_than_so_many_are_remembered(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many, and those before are forgotten: whoever sends ever new keys takes no more memory for it."""
    monkeypatch.setattr(recent_callers, "MOST", 2)
    recent, registry = RecentCallers(60.0), Registry()
    for key in ("a", "b", "a", "b"):
        await recent.resolve(key, registry.ask)
    assert registry.asked == 2
    for key in ("c", "c", "a"):
        await recent.resolve(key, registry.ask)
    assert registry.asked == 4


@pytest.fixture
async def wakeups(db: Database, nursery: trio.Nursery) -> Wakeups:
    """Doorbells that hear the database."""
    wakeups = Wakeups()
    await nursery.start(wakeups.run, db)
    return wakeups


@pytest.mark.parametrize(
    "change",
    [
        "update api_keys set deleted_at = now()",
        "update api_keys set permissions = '[\"jobs:read\"]'",
        "update api_keys set expires_at = now()",
        "update teams set deleted_at = now()",
        "update users set name = 'N'",
        "update team_members set role = 'member'",
        "delete from team_members",
        "delete from user_sessions",
    ],
)
async def test_every_change_rings(world: World, wakeups: Wakeups, change: str) -> None:
    """Whatever decides about who may do what rings the bell of every server, whoever changed it."""
    await world.sql(
        "insert into user_sessions (token_hash, user_id, expires_at) select 'x', id, now() + interval '1 day' from users limit 1"
    )
    await _key(world)
    rung = wakeups.accounts.listen()
    await world.sql(change)
    with trio.fail_after(5):
        await rung.wait()


async def test_using_a_key_does_not_ring(world: World, wakeups: Wakeups) -> None:
    """The time of last use is noted without making every server forget everybody."""
    await _key(world)
    await _all_heard(world, wakeups)
    rung = wakeups.accounts.listen()
    await world.sql("update api_keys set last_used_at = now()")
    await _all_heard(world, wakeups)
    assert not rung.is_set()


async def _all_heard(world: World, wakeups: Wakeups) -> None:
    """Wait until everything that has been announced so far has been heard: announcements come in order."""
    last = wakeups.held.listen()
    await world.sql("notify owlrunner_held")
    with trio.fail_after(5):
        await last.wait()


async def test_a_key_revoked_elsewhere_is_refused(world: World, wakeups: Wakeups, nursery: trio.Nursery) -> None:
    """A server that has just answered a key refuses it as soon as another process has revoked it."""
    raw = await _key(world)
    accounts = Accounts(world.db, RecentCallers(3600.0))
    nursery.start_soon(accounts.recent.forget_at, wakeups.accounts)
    await accounts.resolve(raw)
    rung = wakeups.accounts.listen()
    await world.sql("update api_keys set deleted_at = now()")
    with trio.fail_after(5):
        await rung.wait()
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(Unauthenticated):
        await accounts.resolve(raw)


async def test_who_revokes_a_key_refuses_it_at_once(world: World) -> None:
    """The process that has revoked a key does not remember it until the bell rings."""
    raw = await _key(world)
    accounts = Accounts(world.db, RecentCallers(3600.0))
    caller = await accounts.resolve(raw)
    assert isinstance(caller.actor, ApiKeyActor)
    ((owner,),) = await world.sql("select created_by from api_keys where id = %(id)s", id=caller.actor.id)
    await accounts.revoke_key(UserActor(owner, "owner@acme.test", {world.team.id: Role.OWNER}), caller.actor.id)
    with pytest.raises(Unauthenticated):
        await accounts.resolve(raw)


async def test_who_signs_somebody_out_refuses_the_token_at_once(world: World) -> None:
    """The process that has ended a sign-in does not remember it until the bell rings."""
    await world.sql(
        "insert into user_sessions (token_hash, user_id, expires_at)"
        " select encode(sha256('token'), 'hex'), id, now() + interval '1 day' from users limit 1"
    )
    accounts = Accounts(world.db, RecentCallers(3600.0))
    await accounts.resolve("token")
    await accounts.sign_out("token")
    with pytest.raises(Unauthenticated):
        await accounts.resolve("token")


async def _key(world: World) -> str:
    """One API key of the team's."""
    await world.sql(
        "insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions)"
        " select encode(sha256('owl_agent_x'), 'hex'), 'owl_agent_x', 'agent', %(team)s, 'k', id, %(all)s from users limit 1",
        team=world.team.id,
        all=Jsonb(["jobs:read"]),
    )
    return "owl_agent_x"
