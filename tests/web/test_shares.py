"""Shares: whoever asks for much waits for itself, and others get their turn."""

from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import httpx
import pytest
import trio
import trio.testing

from owlrunner.accounts import Accounts
from owlrunner.actor import Actor, ApiKeyActor, Role, UserActor
from owlrunner.config import Config, DatabaseConfig
from owlrunner.errors import ServerBusy, TooManyRequests
from owlrunner.jobs import Jobs
from owlrunner.web.app import build_app
from owlrunner.web.shares import PATIENCE, Shares, party_of
from tests.web.listening import address, served
from tests.web.web_world import CATALOG, World, asgi_client

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


class Crowd:
    """Requests that hold a share until they are let go."""

    def __init__(self, shares: Shares, nursery: trio.Nursery) -> None:
        self._shares = shares
        self._nursery = nursery
        self.at_work: list[UUID] = []
        self._leave: list[tuple[UUID, trio.Event]] = []

    async def ask(self, *parties: UUID) -> None:
        """Ask for one share after the other."""
        for party in parties:
            self._nursery.start_soon(self._request, party)
            await trio.testing.wait_all_tasks_blocked()

    async def _request(self, party: UUID) -> None:
        leave = trio.Event()
        async with self._shares.of(party):
            self.at_work.append(party)
            self._leave.append((party, leave))
            await leave.wait()

    async def end(self, party: UUID) -> None:
        """Let one of a party's requests go that is worked on."""
        held = next(one for one in self._leave if one[0] == party)
        self._leave.remove(held)
        held[1].set()
        await trio.testing.wait_all_tasks_blocked()


async def test_a_party_has_only_some_of_the_shares(nursery: trio.Nursery) -> None:
    """However many requests one party sends, others find a share at once; the rest of its own go on one by one."""
    crowd = Crowd(Shares(4, 2), nursery)
    await crowd.ask(A, A, A, A, B)
    assert crowd.at_work == [A, A, B]
    await crowd.end(B)
    assert crowd.at_work == [A, A, B]
    await crowd.end(A)
    assert crowd.at_work == [A, A, B, A]


async def test_who_holds_fewest_is_next(nursery: trio.Nursery) -> None:
    """A share that becomes free goes to the party that holds fewest, and among those who hold as many they take turns."""
    crowd = Crowd(Shares(2, 2), nursery)
    await crowd.ask(A, A, A, A, B, B, C)
    await crowd.end(A)
    assert crowd.at_work == [A, A, B]
    await crowd.end(A)
    assert crowd.at_work == [A, A, B, A]
    await crowd.end(B)
    assert crowd.at_work == [A, A, B, A, C]
    await crowd.end(A)
    assert crowd.at_work == [A, A, B, A, C, B]


async def test_a_newcomer_does_not_overtake_its_own(nursery: trio.Nursery) -> None:
    """Requests of one party are worked on in the order in which they came."""
    shares = Shares(1, 1)
    order: list[str] = []

    async def request(name: str) -> None:
        async with shares.of(A):
            order.append(name)

    async with shares.of(A):
        for name in ("first", "second"):
            nursery.start_soon(request, name)
            await trio.testing.wait_all_tasks_blocked()
    # A share was free for a moment, and promised.
    await request("third")
    assert order == ["first", "second", "third"]


@pytest.mark.parametrize(("holder", "refusal"), [(A, TooManyRequests), (B, ServerBusy)])
async def test_patience_ends(
    autojump_clock: trio.testing.MockClock, holder: UUID, refusal: type[TooManyRequests]
) -> None:
    """Who waits too long is told so: that it asks for too much, or that others have everything."""
    shares = Shares(1, 1)
    async with shares.of(holder):
        with pytest.raises(TooManyRequests) as refused:
            async with shares.of(A):
                pass
        assert (type(refused.value), refused.value.retry_after) == (refusal, 1)
        assert trio.current_time() == PATIENCE
    async with shares.of(A), trio.open_nursery() as nursery:
        # Nothing is left of the one that went away.
        nursery.start_soon(trio.sleep, 0)


async def test_who_leaves_takes_no_share(nursery: trio.Nursery) -> None:
    """A request whose client goes away while it waits, or just when its turn comes, keeps no share."""
    shares = Shares(1, 1)
    for was_next in (False, True):
        waiting = trio.CancelScope()

        async def request(scope: trio.CancelScope = waiting) -> None:
            with scope:
                async with shares.of(B):
                    await trio.sleep_forever()

        async with shares.of(A):
            nursery.start_soon(request)
            await trio.testing.wait_all_tasks_blocked()
            if not was_next:
                waiting.cancel()
                await trio.testing.wait_all_tasks_blocked()
        waiting.cancel()
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            async with shares.of(C):
                pass


async def test_a_full_queue_has_places_for_others(nursery: trio.Nursery) -> None:
    """When as many wait as may, the newest of the party with most gives way to a party with fewer."""
    shares, refused = Shares(1, 1, 4), list[int]()

    async def wait(party: UUID, number: int) -> None:
        try:
            async with shares.of(party):
                await trio.sleep_forever()
        except TooManyRequests:
            refused.append(number)

    async def ask(party: UUID, *numbers: int) -> None:
        for number in numbers:
            nursery.start_soon(wait, party, number)
            await trio.testing.wait_all_tasks_blocked()

    await ask(A, 0, 1, 2, 3, 4)
    assert refused == []
    await ask(B, 5)
    assert refused == [4]
    await ask(A, 6)
    assert refused == [4, 6]
    await ask(B, 7)
    assert refused == [4, 6, 3]
    await ask(B, 8)
    await ask(C, 9)
    assert refused == [4, 6, 3, 8, 2]
    nursery.cancel_scope.cancel()


async def test_a_queue_has_an_end(nursery: trio.Nursery) -> None:
    """A party of which many requests wait gets an answer for one more at once."""
    shares = Shares(1, 1, 10)
    async with AsyncExitStack() as held:
        await held.enter_async_context(shares.of(A))
        crowd = Crowd(shares, nursery)
        await crowd.ask(*[A] * 10)
        with pytest.raises(TooManyRequests, match="Too many requests at once"):
            await held.enter_async_context(shares.of(A))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("connections", "shares"), [(10, (8, 3)), (2, (2, 1)), (5, (4, 1)), (100, (80, 32))])
async def test_shares_of_a_pool(nursery: trio.Nursery, connections: int, shares: tuple[int, int]) -> None:
    """One party gets a third of a pool or so, all together four fifths of it."""
    most, of_one = shares
    crowd = Crowd(Shares.of_pool(connections), nursery)
    await crowd.ask(*[A] * (of_one + 1))
    assert len(crowd.at_work) == of_one
    await crowd.ask(*[uuid4() for _ in range(most)])
    assert len(crowd.at_work) == most
    nursery.cancel_scope.cancel()


def test_parties() -> None:
    """A user asks for themselves, and all keys of a team for the team."""
    assert party_of(UserActor(A, "ada@acme.test", {B: Role.ADMIN})) == A
    assert party_of(ApiKeyActor(A, "agent", B, frozenset())) == B


async def test_a_tenant_does_its_worst(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While requests of one team last for ever, by the API and on pages, others are served, and it is told to come back itself."""
    started: list[UUID] = []

    async def logs(*_: object) -> None:
        started.append(A)
        await trio.sleep_forever()

    async def about(_: Jobs, actor: Actor, *__: object) -> None:
        started.append(B)
        await trio.sleep_forever()

    monkeypatch.setattr(Jobs, "logs", logs)
    monkeypatch.setattr(Jobs, "about", about)
    monkeypatch.setattr("owlrunner.web.shares.PATIENCE", 0.05)
    run_id = await world.run_row()
    config = Config(database=DatabaseConfig(pool_size=10))
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, config)
    async with asgi_client(app) as client, trio.open_nursery() as nursery:

        async def ask(path: str, name: str) -> httpx.Response:
            cookies = {"cookie": f"token={world.credentials[name]}"} if "dashboard" in path else world.auth(name)
            return await client.get(path, headers=cookies)

        async def hold(path: str, name: str, count: int) -> None:
            for _ in range(count):
                nursery.start_soon(ask, path, name)
                await trio.testing.wait_all_tasks_blocked(0.05)

        await hold(f"/v1/jobs/{run_id}/logs", "key", 3)
        await hold(f"/dashboard/jobs/{run_id}", "admin", 3)
        assert started == [A] * 3 + [B] * 3
        runs_of_others = f"/v1/teams/{world.other_team.id}/jobs"
        assert (await ask(runs_of_others, "rival key")).status_code == 200
        tired = [await ask(f"/v1/jobs/{run_id}/logs", "reading key"), await ask("/dashboard/jobs", "admin")]
        await hold(f"/dashboard/jobs/{run_id}", "rival", 2)
        tired.append(await ask(runs_of_others, "rival key"))
        assert [one.status_code for one in tired] == [429, 429, 503]
        assert [one.headers["retry-after"] for one in tired] == ["1", "1", "1"]
        assert (await client.get("/ready")).status_code == 200
        nursery.cancel_scope.cancel()


async def test_a_form_that_does_not_come_holds_no_share(world: World, nursery: trio.Nursery) -> None:
    """However many forms a user begins to send and does not end, pages of the same user are drawn meanwhile."""
    cookie = f"token={world.credentials['admin']}"
    async with served(world.app, nursery) as site, AsyncExitStack() as opened:
        for _ in range(10):
            stream = await opened.enter_async_context(await trio.open_tcp_stream(*address(site.url)))
            head = f"POST /dashboard/jobs/{uuid4()}/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
            form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nfo"
            await stream.send_all((head + form).encode())
        async with httpx.AsyncClient(base_url=site.url, headers={"cookie": cookie}) as browser:
            with trio.fail_after(PATIENCE - 1):
                assert (await browser.get("/dashboard/jobs")).status_code == 200
