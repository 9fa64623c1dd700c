"""Limits on codes and guesses hold however many ask at the same moment, and on two servers; and no crowd takes the connections."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

import pytest
import trio

from owlrunner.accounts import Accounts, Origin, door, refusals, turns
from owlrunner.accounts.origin import FAILURES_OF_CLIENT, LIMITS
from owlrunner.accounts.refusals import Refusals
from owlrunner.accounts.turns import Turns
from owlrunner.errors import OwlRunnerError, ServerBusy, TooManyRequests, Unauthenticated
from owlrunner.storage import accounts, sign_ins
from owlrunner.storage.postgres import Database
from tests.storage.rows import PATIENCE, look, until_blocked

EMAIL = "ann@acme.test"


@pytest.fixture
async def servers(db: Database, database_url: str) -> AsyncIterator[tuple[Accounts, Accounts]]:
    """Two servers on one database."""
    async with Database(database_url) as other:
        yield Accounts(db), Accounts(other)


async def outcomes_of(acts: Iterable[Callable[[], Awaitable[object]]]) -> Counter[str]:
    """What became of acts that were all done at once: how many succeeded, or failed with which error."""
    outcomes: Counter[str] = Counter()

    async def do(act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
            outcomes["done"] += 1
        except OwlRunnerError as error:
            outcomes[type(error).__name__] += 1

    async with trio.open_nursery() as nursery:
        for act in acts:
            nursery.start_soon(do, act)
    return outcomes


async def test_a_client_gets_no_code_too_many(servers: tuple[Accounts, Accounts]) -> None:
    """A client that asks for the codes of many addresses at once, of two servers, gets as many as one that asks for one by one."""
    asks = [
        partial(servers[number % 2].issue_code, f"user{number}@acme.test", Origin("192.0.2.7")) for number in range(60)
    ]
    assert await outcomes_of(asks) == {"done": LIMITS.of_client, "TooManyRequests": 60 - LIMITS.of_client}


async def test_all_clients_get_no_code_too_many(
    servers: tuple[Accounts, Accounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many clients at once get together as many codes as all of them may."""
    monkeypatch.setattr(door, "LIMITS", LIMITS._replace(of_all=25))
    asks = [
        partial(servers[number % 2].issue_code, f"user{number}@acme.test", Origin(f"192.0.2.{number}"))
        for number in range(60)
    ]
    assert await outcomes_of(asks) == {"done": 25, "TooManyRequests": 35}


async def test_a_client_guesses_no_more_often_at_once(db: Database, servers: tuple[Accounts, Accounts]) -> None:
    """Of many guesses at the same moment, at two servers, as many are looked at as may fail; a right one does not count."""
    client = Origin("192.0.2.7")
    first = (await servers[0].issue_code(EMAIL, client)).code
    await servers[0].sign_in(EMAIL, first, client)
    code = (await servers[0].issue_code(EMAIL, Origin("192.0.2.8"))).code
    async with db.session() as session:
        await session.connection.execute(
            b"insert into security_events (action, client) select 'sign_in_failed', '192.0.2.7' from generate_series(1, %s)",
            [FAILURES_OF_CLIENT - 10],
        )
    guesses = [
        partial(servers[number % 2].sign_in, f"user{number}@acme.test", "123456", client) for number in range(60)
    ]
    assert await outcomes_of(guesses) == {"Unauthenticated": 10, "TooManyRequests": 50}
    with pytest.raises(TooManyRequests):
        await servers[1].sign_in(EMAIL, code, client)
    async with db.session() as session:
        rows = await look(session, "select 1 from security_events where action = 'sign_in_failed'")
    assert len(rows) == FAILURES_OF_CLIENT


async def test_a_malformed_address_is_a_failure_too(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no address uses a client's guesses up as well, so that it tells nothing."""
    monkeypatch.setattr(door, "FAILURES_OF_CLIENT", 1)
    signing_in = partial(Accounts(db).sign_in, "nobody", "123456", Origin("192.0.2.7"))
    with pytest.raises(Unauthenticated):
        await signing_in()
    with pytest.raises(TooManyRequests):
        await signing_in()


async def test_a_crowd_of_strangers_waits_without_connections(db: Database) -> None:
    """While a hundred ask for one address's code and cannot get it, one connection waits, and who is known there gets one."""
    door_of = Accounts(db)
    known = Origin("192.0.2.1", "1" * 64)
    await sign_ins.know_origin(db, "bob@acme.test", known.place, 20)
    async with db.dedicated() as elsewhere, trio.open_nursery() as crowd, elsewhere.transaction():
        await elsewhere.execute(
            b"select pg_advisory_xact_lock(hashtext('owlrunner login code'), hashtext(%s))", [EMAIL]
        )
        told: list[Counter[str]] = []

        async def ask() -> None:
            asks = [partial(door_of.issue_code, EMAIL, Origin(f"192.0.2.{number}")) for number in range(100)]
            told.append(await outcomes_of(asks))

        crowd.start_soon(ask)
        await until_blocked(db)
        with trio.fail_after(PATIENCE):
            await accounts.answers(db)
            await door_of.issue_code("bob@acme.test", known)
        assert not told
    assert told == [{"done": LIMITS.of_address, "TooManyRequests": 100 - LIMITS.of_address}]


async def test_turns_are_taken_one_by_one(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those who want one thing one has the turn; so many wait, the next is told to come back, and others are not held up."""
    monkeypatch.setattr(turns, "MOST_WAITING", 2)
    queues, done, order = Turns(), trio.Event(), list[int]()

    async def take(number: int) -> None:
        async with queues.of("thing"):
            order.append(number)
            await done.wait()

    for number in range(3):
        nursery.start_soon(take, number)
        await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ServerBusy, match="The server is busy"):
        await take(3)
    async with queues.of("other thing"):
        assert order == [0]
    done.set()
    await trio.testing.wait_all_tasks_blocked()
    await take(4)
    assert order == [0, 1, 2, 4]
    assert not queues._queues


async def test_nobody_takes_all_places(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client has so many places in a queue, and others find one; who is not known counts for nobody."""
    monkeypatch.setattr(turns, "MOST_OF_ONE", 2)
    queues, order = Turns(), list[str]()

    async def wait(holder: str | None) -> None:
        async with queues.of("thing", holder):
            order.append(holder or "")
            await trio.sleep_forever()

    for holder in ("a", "a", "a", None, None, None, None, "b"):
        nursery.start_soon(wait, holder)
        await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ServerBusy):
        await wait("a")
    assert (order, queues._queues["thing"].holders) == (["a"], {"a": 3, None: 4, "b": 1})
    nursery.cancel_scope.cancel()


async def test_who_was_refused_takes_no_turn(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client over its limit is told so, for any address, without asking the database again; others are asked for."""
    door_of, crowd = Accounts(db), Origin("192.0.2.7")
    for number in range(LIMITS.of_client):
        await door_of.issue_code(f"user{number}@acme.test", crowd)
    with pytest.raises(TooManyRequests) as first:
        await door_of.issue_code("another@acme.test", crowd)
    asked: list[str] = []

    async def issue_code(_: object, email: str, *__: object, **___: object) -> sign_ins.NewCode:
        asked.append(email)
        return sign_ins.NewCode(None, 7, "address")

    monkeypatch.setattr(sign_ins, "issue_code", issue_code)
    with pytest.raises(TooManyRequests) as second:
        await door_of.issue_code("yet.another@acme.test", crowd)
    assert asked == []
    assert first.value.retry_after is not None
    assert first.value.retry_after - 60 < (second.value.retry_after or 0) <= first.value.retry_after
    # An address that strangers have asked for too often is refused to all of them, and others are asked for.
    for client, email in (
        ("192.0.2.8", EMAIL),
        ("192.0.2.8", EMAIL),
        ("192.0.2.8", "bob@acme.test"),
        ("192.0.2.9", EMAIL),
    ):
        with pytest.raises(TooManyRequests):
            await door_of.issue_code(email, Origin(client))
    assert asked == [EMAIL, "bob@acme.test"]
    async with db.session() as session:
        noted = await look(session, "select email from security_events where action = 'code_refused' order by at")
    assert [row["email"] for row in noted] == ["another@acme.test", EMAIL, "bob@acme.test"]


@pytest.mark.parametrize(("limit", "asked"), [("own", 3), ("address", 2), ("day", 2), ("all", 1)])
async def test_a_refusal_is_known_by_what_is_over_its_limit(
    db: Database, monkeypatch: pytest.MonkeyPatch, limit: str, asked: int
) -> None:
    """A new browser key makes a refusal new where it is the browser's own alone, and who is known is always asked for."""
    door_of, tried = Accounts(db), list[str]()
    known = Origin("192.0.2.1", "1" * 64)
    await sign_ins.know_origin(db, EMAIL, known.place, 20)

    async def issue_code(_: object, email: str, *__: object, **___: object) -> sign_ins.NewCode:
        tried.append(email)
        return sign_ins.NewCode(None, 7, limit)

    monkeypatch.setattr(sign_ins, "issue_code", issue_code)
    for email, key in ((EMAIL, "2"), (EMAIL, "3"), (EMAIL, "2"), ("bob@acme.test", "4")):
        with pytest.raises(TooManyRequests):
            await door_of.issue_code(email, Origin("192.0.2.7", key * 64))
    assert len(tried) == asked
    with pytest.raises(TooManyRequests):
        await door_of.issue_code(EMAIL, known)
    assert len(tried) == asked + 1


def test_refusals_end_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends at its time, and is remembered for a minute; of too many the oldest is forgotten, and what is renewed is new."""
    monkeypatch.setattr(refusals, "MOST", 2)
    now = 100.0
    monkeypatch.setattr(trio, "current_time", lambda: now)
    some = Refusals()
    some.remember("a", 10)
    some.remember("b", 20)
    assert (some.seconds_left("a"), some.seconds_left("a", "b"), some.seconds_left("c")) == (10, 20, 0)
    some.remember("a", 5)
    some.remember("c", 3600)
    assert (some.seconds_left("a"), some.seconds_left("b"), some.seconds_left("c", "a")) == (5, 0, 3600)
    now += 5
    assert (some.seconds_left("a"), some.seconds_left("c")) == (0, 3595)
    now += refusals.KEPT - 5
    assert some.seconds_left("c") == 0


async def test_a_record_is_not_filled(db: Database) -> None:
    """Of what happens again and again with one address at one client a hundred an hour are noted, and others' events as before."""
    here, there = Origin("192.0.2.7").place, Origin("192.0.2.8").place
    for _ in range(103):
        await sign_ins.note_event(db, "sign_in_failed", EMAIL, here)
    for action, email, place in (
        ("sign_in", EMAIL, here),
        ("sign_in_failed", None, here),
        ("sign_in_failed", EMAIL, there),
    ):
        await sign_ins.note_event(db, action, email, place)
    async with db.session() as session:
        (noted,) = await look(session, "select count(*) from security_events")
        assert noted["count"] == 103
        await session.connection.execute(
            "update security_events set at = owl_now() - interval '1 hour' where email is not null"
        )
        await sign_ins.note_event(session, "sign_in_failed", EMAIL, here)
        (noted,) = await look(session, "select count(*) from security_events")
        assert noted["count"] == 104


async def test_nobody_waits_long_for_a_turn(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    """Who gets no turn in time is told to come back, and takes no place in the queue any more."""
    queues, holds = Turns(), trio.Event()

    async def hold() -> None:
        async with queues.of("thing"):
            holds.set()
            await trio.sleep(60)

    nursery.start_soon(hold)
    await holds.wait()
    with pytest.raises(ServerBusy) as busy:
        async with queues.of("thing"):
            pass
    assert (busy.value.retry_after, trio.current_time()) == (1, turns.PATIENCE)
    assert queues._queues["thing"].holders.total() == 1
