"""Streams: what has changed is told as it changes, a lost stream goes on where it was, and each ends when it must."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
import trio
import trio.lowlevel
import trio.testing

from owlrunner.accounts import Accounts
from owlrunner.actor import ApiKeyActor
from owlrunner.config import Config
from owlrunner.errors import TooManyRequests
from owlrunner.jobs import Jobs
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.wakeups import Bell
from owlrunner.web import streams
from owlrunner.web.app import Application, build_app
from owlrunner.web.shared_looks import Hold
from owlrunner.web.shares import Shares
from owlrunner.web.streams import Streams
from owlrunner.web.watched_runs import SharedRuns, Wanted, WatchedRuns
from tests.web.web_world import CATALOG, ENDED, RUNNING, World, asgi_client


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    identity: str
    data: Any


class Listener:
    """A client of one stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._asked = False
        self._sent, self._parts = trio.open_memory_channel[bytes](100)
        self.gone = trio.Event()
        self.ended = trio.Event()

    async def receive(self) -> dict[str, object]:
        """What the server hears of us: the request, and, some day, that we are gone."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """What we hear of the server."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            await self._sent.send(message["body"])

    async def next(self) -> list[Event]:
        """The next events that come together; comments are passed over."""
        with trio.fail_after(10):
            while True:
                found = [_parsed(part) for part in (await self._parts.receive()).decode().split("\n\n") if part]
                if events := [one for one in found if one is not None]:
                    return events


def _parsed(text: str) -> Event | None:
    fields = dict(line.partition(":")[::2] for line in text.split("\n"))
    if "data" not in fields:
        return None
    data = fields["data"].strip()
    return Event(fields.get("event", "").strip(), fields.get("id", "").strip(), json.loads(data) if data else None)


@contextlib.asynccontextmanager
async def listening(
    app: Application, path: str, headers: dict[str, str], query: str = "", method: str = "GET"
) -> AsyncIterator[Listener]:
    """Listen to a stream as long as the block lasts."""
    listener = Listener()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *((key.encode(), value.encode()) for key, value in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {},
        "state": {},
    }

    async def serve() -> None:
        await app(scope, listener.receive, listener.send)  # type: ignore[arg-type]
        listener.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield listener
        listener.gone.set()
        with trio.fail_after(10):
            await listener.ended.wait()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, so that no test waits for long."""
    monkeypatch.setattr(streams, "ACTIVE", 0.05)
    monkeypatch.setattr(streams, "CALM", 0.05)
    monkeypatch.setattr(streams, "BREATH", 0.02)


@pytest.fixture
def path(world: World) -> str:
    """The API's stream of the team."""
    return f"/v1/teams/{world.team.id}/jobs/stream"


def told(events: list[Event]) -> list[tuple[str, str]]:
    """(run, status) of each event, in order."""
    return [(event.data["job_run"]["id"], event.data["job_run"]["status"]) for event in events]


async def test_runs_are_told_as_they_change(world: World, path: str) -> None:
    """First comes what there is, the oldest first, then each change; other teams' runs and the system's never."""
    first, second = await world.run_row(**RUNNING), await world.run_row()
    await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id)
    await world.system_run()
    async with listening(world.app, path, world.auth("key")) as listener:
        events = await listener.next()
        assert [event.name for event in events] == ["run", "run"]
        assert told(events) == [(first, "running"), (second, "pending")]
        await world.sql('update job_runs set progress = \'{"processed": 1, "total": 2}\' where id = %(id)s', id=first)
        (event,) = await listener.next()
        assert event.data["job_run"]["progress"] == {"processed": 1, "total": 2}
        await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=first)
        assert told(await listener.next()) == [(first, "completed")]


async def test_an_active_run_is_told_of_however_old(world: World, path: str) -> None:
    """A run that is active is among them though many are newer, and its end is told, too."""
    old = await world.run_row(**RUNNING, created_at="2026-01-01T00:00:00Z")
    newest = ""
    for _ in range(3):
        newest = await world.run_row(status="failed", error="x", completed_at="2026-03-28T20:00:00Z")
    async with listening(world.app, path, world.auth("key"), query="limit=1") as listener:
        assert told(await listener.next()) == [(old, "running"), (newest, "failed")]
        await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=old)
        assert told(await listener.next()) == [(old, "completed")]


async def test_a_lost_stream_goes_on_where_it_was(world: World, path: str) -> None:
    """Who sends the last event's id is told what has changed since, and nothing else, by any server."""
    first, second = await world.run_row(**RUNNING), await world.run_row()
    async with listening(world.app, path, world.auth("key")) as listener:
        last = (await listener.next())[-1].identity
    await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=first)
    async with listening(world.app, path, world.auth("key") | {"last-event-id": last}) as listener:
        assert told(await listener.next()) == [(first, "completed")]
    async with listening(world.app, path, world.auth("key") | {"last-event-id": "nonsense"}) as listener:
        assert [run for run, _ in told(await listener.next())] == [first, second]


async def test_a_ring_is_a_reason_to_look(world: World, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is triggered is told at once, not when it would be time to look."""
    monkeypatch.setattr(streams, "CALM", 3600.0)
    bell = Bell()
    ears = Streams(bell, trio.Event())
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(), streams=ears)
    await world.run_row(status="failed", error="x", completed_at="2026-03-28T20:00:00Z")
    async with listening(app, path, world.auth("key")) as listener:
        await listener.next()
        run = await world.run_row()
        bell.ring()
        assert told(await listener.next()) == [(run, "pending")]


async def test_a_stream_ends_with_its_server(world: World, path: str) -> None:
    """A server that stops ends its streams by itself, at once."""
    stop = trio.Event()
    ears = Streams(Bell(), stop)
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(), streams=ears)
    await world.run_row()
    async with listening(app, path, world.auth("key")) as listener:
        await listener.next()
        stop.set()
        with trio.fail_after(10):
            await listener.ended.wait()


async def test_a_stream_ends_with_the_right_to_it(world: World) -> None:
    """A page's stream ends with a word when its sign-in does, so that the page can say why."""
    page = {"cookie": f"token={world.credentials['admin']}", "accept": "text/event-stream"}
    async with listening(world.app, "/dashboard/jobs/live", page) as listener:
        await listener.next()
        await world.sql("delete from user_sessions")
        assert (await listener.next())[0].name == "over"
        with trio.fail_after(10):
            await listener.ended.wait()


@pytest.mark.parametrize(
    "ending",
    [
        "update api_keys set deleted_at = now()",
        "update api_keys set permissions = '[\"jobs:write\"]'",
        "update api_keys set expires_at = now() - interval '1 second'",
    ],
    ids=["revoked", "not allowed any more", "expired"],
)
async def test_a_keys_stream_ends_with_the_key(world: World, path: str, ending: str) -> None:
    """A stream that a key has opened does not outlive what the key may do."""
    await world.run_row(**RUNNING)
    async with listening(world.app, path, world.auth("key")) as listener:
        await listener.next()
        await world.sql(ending)
        assert (await listener.next())[0].name == "over"
        with trio.fail_after(10):
            await listener.ended.wait()


@pytest.mark.parametrize(
    ("limit", "refused", "served"),
    [
        ("MOST_STREAMS", ["key", "admin", "rival"], []),
        ("MOST_OF_TEAM", ["key", "admin"], ["rival"]),
        ("MOST_OF_CALLER", ["key"], ["admin", "rival"]),
    ],
)
async def test_there_is_an_end_to_how_many(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, refused: list[str], served: list[str]
) -> None:
    """Where a server, a team or a caller has as many streams as it may, one more is refused, with a time; others get theirs."""
    monkeypatch.setattr(streams, limit, 1)
    await world.run_row()
    await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id)

    def one_of(name: str) -> contextlib.AbstractAsyncContextManager[Listener]:
        team = world.other_team if name == "rival" else world.team
        return listening(world.app, f"/v1/teams/{team.id}/jobs/stream", world.auth(name))

    async with one_of("key") as first:
        await first.next()
        for name in refused:
            async with one_of(name) as another:
                with trio.fail_after(10):
                    await another.ended.wait()
                assert (another.status, another.headers[b"retry-after"]) == (429, b"30")
        for name in served:
            async with one_of(name) as other:
                assert len(await other.next()) == 1
    async with one_of("key") as again:
        assert len(await again.next()) == 1


async def test_as_many_at_once_are_no_more(world: World, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that ask at the same time for the last stream one gets it."""
    monkeypatch.setattr(streams, "MOST_OF_CALLER", 1)
    await world.run_row()
    async with (
        listening(world.app, path, world.auth("key")) as one,
        listening(world.app, path, world.auth("key")) as other,
    ):
        with trio.fail_after(10):
            while not (one.ended.is_set() or other.ended.is_set()):
                await trio.testing.wait_all_tasks_blocked()
                await trio.lowlevel.checkpoint()
        assert sorted([one.status, other.status]) == [200, 429]


async def test_a_pages_streams_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has as many pages open as may be followed is told so on another; asking for the head opens none."""
    monkeypatch.setattr(streams, "MOST_OF_CALLER", 1)
    page = {"cookie": f"token={world.credentials['admin']}", "accept": "text/event-stream"}
    await world.run_row()
    async with listening(world.app, "/dashboard/jobs/live", page, method="HEAD") as head:
        with trio.fail_after(10):
            await head.ended.wait()
        assert head.status == 200
    async with listening(world.app, "/dashboard/jobs/live", page) as first:
        await first.next()
        async with listening(world.app, "/dashboard/jobs/live", page) as second:
            with trio.fail_after(10):
                await second.ended.wait()
            assert second.status == 429


async def opened(several: Streams, team: UUID, count: int) -> list[AsyncGenerator[bytes, None]]:
    """So many streams of a team, each of another caller; nobody reads them yet."""

    async def look(_: object) -> streams.Sight:
        return streams.Sight(b"", is_active=False)

    return [await several.open(look, caller=uuid4(), team=team) for _ in range(count)]


async def test_whoever_has_most_gives_way_to_who_has_fewer(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full server a team gets a stream as long as another one has two more; the oldest of that one ends, and is told so."""
    monkeypatch.setattr(streams, "MOST_STREAMS", 5)
    several = Streams(Bell(), trio.Event())
    first, second, third = sorted(uuid4() for _ in range(3))
    of_first = await opened(several, first, 4)
    (of_second,) = await opened(several, second, 1)
    assert [await anext(one) for one in (*of_first, of_second)] == [streams.BEGIN] * 5
    (another,) = await opened(several, second, 1)
    assert await anext(of_first[0]) == streams.OVER
    for team in (first, second):
        with pytest.raises(TooManyRequests, match="on this server"):
            await opened(several, team, 1)
    (of_third,) = await opened(several, third, 1)
    assert await anext(of_first[1]) == streams.OVER
    # Those that ended had given their place away before: their end makes no room.
    for ended in of_first[:2]:
        assert [part async for part in ended] == []
    with pytest.raises(TooManyRequests, match="on this server"):
        await opened(several, third, 1)
    await another.aclose()
    for one in (*await opened(several, third, 1), *of_first[2:], of_second, of_third):
        await one.aclose()


async def test_who_gives_way_does_so_at_once(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that waits for something new hears of it while it waits."""
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    monkeypatch.setattr(streams, "CALM", 3600.0)
    monkeypatch.setattr(streams, "SILENCE", 7200.0)
    several = Streams(Bell(), trio.Event())
    crowded = uuid4()
    oldest, other = await opened(several, crowded, 2)
    await anext(oldest)
    told: list[tuple[bytes, float]] = []

    async def hear() -> None:
        told.append((await anext(oldest), trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.sleep(10)
        newcomers = await opened(several, uuid4(), 1)
        now = trio.current_time()
    assert told == [(streams.OVER, now)]
    for one in (oldest, other, *newcomers):
        await one.aclose()


async def test_a_pages_stream_counts_for_its_team(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page that is followed takes one of the streams of the team whose runs it shows, whoever looks at it."""
    monkeypatch.setattr(streams, "MOST_OF_TEAM", 1)
    run_id = await world.run_row()
    page = {"cookie": f"token={world.credentials['admin']}", "accept": "text/event-stream"}
    for followed in ("/dashboard/live", "/dashboard/jobs/live", f"/dashboard/jobs/{run_id}/live"):
        async with listening(world.app, followed, page) as first:
            await first.next()
            async with listening(world.app, f"/v1/teams/{world.team.id}/jobs/stream", world.auth("key")) as second:
                with trio.fail_after(10):
                    await second.ended.wait()
                assert second.status == 429


async def test_a_ring_is_no_burst(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a caller's many streams that a ring wakes as many look at once as the caller has shares, and each looks."""
    monkeypatch.setattr(streams, "CALM", 3600.0)
    bell, shares, caller, most, looking, looked = Bell(), Shares(9, 2), uuid4(), 0, 0, 0

    async def look(hold: Hold) -> streams.Sight:
        nonlocal most, looking, looked
        async with hold():
            looking += 1
            most = max(most, looking)
            await trio.sleep(0.1)
            looking -= 1
            looked += 1
        return streams.Sight(b"", is_active=False)

    several = Streams(bell, trio.Event())
    share = partial(shares.of, caller)
    opened = [await several.open(look, caller=caller, team=uuid4(), share=share) for _ in range(7)]
    assert (most, looked) == (1, 7)
    async with trio.open_nursery() as nursery:
        for one in opened:
            nursery.start_soon(_listen, one)
        await trio.sleep(1)
        bell.ring()
        await trio.sleep(1)
        assert (most, looked) == (2, 14)
        nursery.cancel_scope.cancel()


async def test_a_later_look_holds_a_share(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a request would; where there is none to be had the stream goes on, and looks again later."""
    monkeypatch.setattr(streams, "CALM", 5.0)
    held: list[bool] = []
    shares = Shares(1, 1)
    party = uuid4()

    async def look(hold: Hold) -> streams.Sight:
        async with hold():
            held.append(shares._held[party] == 1)
        return streams.Sight(b"x", is_active=False)

    opened = await Streams(Bell(), trio.Event()).open(look, caller=party, team=party, share=partial(shares.of, party))
    assert held == [False]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, opened)
        await trio.sleep(6)
        assert held == [False, True]
        async with shares.of(party):
            await trio.sleep(12)
        assert held == [False, True]
        await trio.sleep(6)
        assert held[2:] == [True]
        nursery.cancel_scope.cancel()


async def _listen(stream: AsyncGenerator[bytes, None]) -> None:
    async with contextlib.aclosing(stream):
        async for _ in stream:
            pass


async def test_what_is_long_is_not_streamed(world: World, path: str) -> None:
    """A stream and a list say that a run's params are there, and how much of them; the run itself has them."""
    run_id = await world.run_row(params='{"label": "%s"}' % ("x" * 3000), result='{"n": 1}', **ENDED)
    async with listening(world.app, path, world.auth("key")) as listener:
        ((_, _, data),) = await listener.next()
    async with asgi_client(world.app) as client:
        client.headers.update(world.auth("key"))
        (listed,) = (await client.get(f"/v1/teams/{world.team.id}/jobs")).json()["job_runs"]
        viewed = (await client.get(f"/v1/jobs/{run_id}")).json()["job_run"]
    assert data["job_run"] == listed
    assert (listed["params"], listed["result"], list(listed["omitted"])) == (None, {"n": 1}, ["params"])
    assert (viewed["params"], viewed["omitted"]) == ({"label": "x" * 3000}, None)


async def test_a_page_is_told_only_what_changed(world: World) -> None:
    """Of a page with two runs of which one goes on, a stream tells that one's row; a duration that counts on is no change."""
    await world.run_row(**RUNNING)
    moving = await world.run_row(**RUNNING)
    page = {"cookie": f"token={world.credentials['admin']}", "accept": "text/event-stream"}
    async with listening(world.app, "/dashboard/jobs/live", page) as listener:
        ((_, last, _),) = await listener.next()
        await world.sql('update job_runs set progress = \'{"processed": 1, "total": 2}\' where id = %(id)s', id=moving)
        (event,) = await listener.next()
        assert list(event.data["parts"]) == [f"run-{moving}"]
        assert (event.data["lists"], event.data["active"]) == ({}, True)
    async with listening(world.app, "/dashboard/jobs/live", page | {"last-event-id": last}) as listener:
        (event,) = await listener.next()
        assert list(event.data["parts"]) == [f"run-{moving}"]


async def test_a_look_costs_as_much_however_many_are_active(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many active runs that newer ones have pushed off the page, a look asks as often as with few."""
    counts: list[int] = []
    rows = Database.rows

    async def counted(self: Database, name: str, *args: object, **options: object) -> list[tuple[object, ...]]:
        counts.append(1)
        return await rows(self, name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "rows", counted)
    actor = ApiKeyActor(uuid4(), "agent", world.team.id, frozenset({"jobs:read"}))

    async def who() -> ApiKeyActor:
        return actor

    wanted = Wanted(world.team.id, Filters(), 20)
    watched = WatchedRuns(Jobs(world.db, CATALOG), who, wanted, shared=SharedRuns(), last_event_id="")
    asked = []
    for _ in range(6):
        for _ in range(20):
            await world.run_row(exclusive=False)
        counts.clear()
        await watched.look(contextlib.nullcontext)
        asked.append(len(counts))
    assert asked[-1] == asked[1]


async def test_one_looks_for_all_who_want_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twenty streams with the same filters that a ring wakes one asks the database, and all are told, also of what has ended."""
    monkeypatch.setattr(streams, "ACTIVE", 3600.0)
    monkeypatch.setattr(streams, "BREATH", 0.0)
    monkeypatch.setattr(streams, "GATHER", 0.5)
    bell, asked = Bell(), 0
    rows = Session.rows

    async def counted(self: Session, name: str, *args: object, **options: object) -> list[tuple[object, ...]]:
        nonlocal asked
        asked += name.startswith("job_runs/")
        return await rows(self, name, *args, **options)  # type: ignore[arg-type]

    ears = Streams(bell, trio.Event())
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(), streams=ears)
    path = f"/v1/teams/{world.team.id}/jobs/stream"
    run_id = await world.run_row(**RUNNING)
    async with contextlib.AsyncExitStack() as opened:
        listeners = [
            await opened.enter_async_context(listening(app, path, world.auth("key"), query="limit=1"))
            for _ in range(20)
        ]
        for one in listeners:
            await one.next()
        monkeypatch.setattr(Session, "rows", counted)
        await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=run_id)
        newer = await world.run_row(status="failed", error="x", completed_at="2026-03-28T20:00:00Z")
        bell.ring()
        for one in listeners:
            assert told(await one.next()) == [(run_id, "completed"), (newer, "failed")]
    # Three pages, and what was active and is on none of them.
    assert asked == 4


async def test_who_may_not_look_is_told_nothing_by_who_may(world: World, path: str) -> None:
    """A key that is revoked gets nothing more, though another one's stream has the same filters."""
    await world.run_row(**RUNNING)
    async with (
        listening(world.app, path, world.auth("key")) as one,
        listening(world.app, path, world.auth("admin")) as other,
    ):
        await one.next()
        await other.next()
        await world.sql("update api_keys set deleted_at = now()")
        assert (await one.next())[0].name == "over"
        run_id = await world.run_row(exclusive=False)
        assert (run_id, "pending") in told(await other.next())
