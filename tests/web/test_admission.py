"""Who searches, or sends what is large, is let in by few, so that what is quick finds a share."""

import json
from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest
import trio
import trio.testing

from owlrunner.accounts import Accounts, Administration
from owlrunner.jobs import Jobs
from owlrunner.web.admission import Admission
from tests.web.listening import address, served
from tests.web.web_world import World


@pytest.mark.parametrize("what", ["searches", "is_large"])
@pytest.mark.parametrize(("connections", "few"), [(10, 2), (2, 1), (40, 8)])
async def test_few_do_at_once_what_goes_one_by_one(
    nursery: trio.Nursery, what: str, connections: int, few: int
) -> None:
    """However many parties search, or send what is large, a few have a share, one each; the rest is for others."""
    admission, at_work = Admission.of_pool(connections), list[UUID]()

    async def ask(party: UUID, **kind: bool) -> None:
        async with admission.of(party, **kind):
            at_work.append(party)
            await trio.sleep_forever()

    greedy = uuid4()
    for party in (greedy, greedy, greedy, *(uuid4() for _ in range(20))):
        nursery.start_soon(partial(ask, party, **{what: True}))
    await trio.testing.wait_all_tasks_blocked()
    assert (len(at_work), len(set(at_work))) == (few, few)
    quick = [uuid4() for _ in range(admission.shares.most - few)]
    for party in quick:
        nursery.start_soon(ask, party)
    await trio.testing.wait_all_tasks_blocked()
    assert set(quick) <= set(at_work)
    nursery.cancel_scope.cancel()


async def test_searching_users_leave_others_their_shares(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """While a dozen users search logs without an end, another team's requests are answered; a page without a search is, too."""
    started: list[str] = []
    real = Jobs.about

    async def about(self: Jobs, *asked: object) -> object:
        if getattr(asked[2], "text", ""):
            started.append("search")
            await trio.sleep_forever()
        return await real(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Jobs, "about", about)
    run_id = await world.run_row()
    admin, tokens = Administration(world.db), []
    for number in range(12):
        user, _ = await admin.create_user(f"user{number}@acme.test", "acme", "admin")
        tokens.append(await _token(world, user.id))

    async def search(token: str) -> None:
        await client.get(f"/dashboard/jobs/{run_id}?q=x", headers={"cookie": f"token={token}"})

    for token in tokens:
        nursery.start_soon(search, token)
    while not started:
        await trio.sleep(0.01)
    with trio.fail_after(4):
        for _ in range(5):
            answer = await client.get(f"/v1/teams/{world.other_team.id}/jobs", headers=world.auth("rival key"))
            assert answer.status_code == 200
        page = await client.get(f"/dashboard/jobs/{run_id}", headers={"cookie": f"token={tokens[-1]}"})
        assert page.status_code == 200
    assert len(started) <= 2
    nursery.cancel_scope.cancel()


async def test_who_hangs_up_leaves_the_queue(world: World, nursery: trio.Nursery) -> None:
    """A client that goes while its request waits for a place takes it along: nothing is done for it, and its place is free."""
    admission = world.app.admission
    body = json.dumps({"job_type": "crowd", "project_id": str(world.project.id), "params": {"label": "x" * 20_000}})
    head = (
        f"POST /v1/teams/{world.team.id}/jobs/trigger HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    )
    head += f"Authorization: Bearer {world.credentials['key']}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with admission.large.of(world.team.id), served(world.app, nursery) as site:
        streams = [await trio.open_tcp_stream(*address(site.url)) for _ in range(3)]
        for stream in streams:
            await stream.send_all((head + body).encode())
        with trio.fail_after(4):
            while admission.large.waiting < len(streams):
                await trio.sleep(0.01)
            for stream in streams:
                await stream.aclose()
            # Before those who wait are refused.
            while admission.large.waiting:
                await trio.sleep(0.01)
    assert await world.sql("select count(*) from job_runs") == [(0,)]


async def _token(world: World, user_id: UUID) -> str:
    token = uuid4().hex
    await world.sql(
        "insert into user_sessions (token_hash, user_id, expires_at)"
        " values (encode(sha256(%(t)s::text::bytea), 'hex'), %(u)s, now() + interval '1 hour')",
        t=token,
        u=user_id,
    )
    await Accounts(world.db).resolve(token)
    return token
