"""Connections end: whatever a client does with its own, it keeps no task, no descriptor and no place of others for ever."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from owlrunner.web import connections
from tests.web.listening import Site, address, served

PATIENCE = 20.0
OK = b"HTTP/1.1 200"
SHORT = 0.2
"""Seconds; a limit that is waited for."""


async def answer_like_a_framework(receive: Any, send: Any) -> None:
    """Answer, and cancel that where the client goes meanwhile."""

    async def cancel_when_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_gone)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})
        nursery.cancel_scope.cancel()


class App:
    """An application with a path for each thing that an exchange may do."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.cancelled = trio.Event()
        self.go_on = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        if path == "/read":
            while (await receive()).get("more_body"):
                pass
        elif path == "/wait":
            self.begun.set()
            try:
                await self.go_on.wait()
            except trio.Cancelled:
                self.cancelled.set()
                raise
        elif path == "/framework":
            await answer_like_a_framework(receive, send)
            return
        elif path == "/fail":
            raise ValueError("the application's own mistake")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/endless":
            self.begun.set()
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            except trio.Cancelled:
                self.cancelled.set()
                raise
        await send({"type": "http.response.body", "body": path.encode(), "more_body": False})


@pytest.fixture
def app() -> App:
    """A fresh one."""
    return App()


@contextlib.asynccontextmanager
async def connected(site: Site, head: str = "", receive_buffer: int | None = None) -> AsyncIterator[trio.SocketStream]:
    """A connection on which something has been sent."""
    raw = trio.socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await raw.connect(address(site.url))
    async with trio.SocketStream(raw) as stream:
        await stream.send_all(head.encode())
        yield stream


async def rest(stream: trio.SocketStream) -> bytes:
    """Everything until the server closes the connection, in whichever way."""
    parts: list[bytes] = []
    with trio.fail_after(PATIENCE), contextlib.suppress(trio.BrokenResourceError):
        while part := await stream.receive_some():
            parts.append(bytes(part))
    return b"".join(parts)


async def answer(stream: trio.SocketStream, path: str) -> bytes:
    """One answer with this body, or what there was until the connection was closed."""
    got = b""
    with trio.fail_after(PATIENCE), contextlib.suppress(trio.BrokenResourceError):
        while not got.endswith(f"{path}\r\n0\r\n\r\n".encode()):
            part = await stream.receive_some()
            if not part:
                break
            got += part
    return got


def get(path: str) -> str:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"


def post(path: str, length: int, body: str = "") -> str:
    """A request whose body may come later."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"


def descriptors() -> int:
    """How many this process has open."""
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        ("", {"keep_alive": SHORT}),
        (get("/"), {"keep_alive": SHORT}),
        ("GET / HT", {"head": SHORT}),
        (get("/") + "GET / HTTP/1.1\r\nHost", {"head": SHORT}),
        (post("/read", 5, "ab"), {"body": SHORT}),
        (post("/", 5, "ab"), {"linger": SHORT}),
    ],
    ids=["nothing", "one request", "half a head", "a second half", "half a body", "half a body that nobody wants"],
)
async def test_a_silent_client_is_disconnected(
    app: App, nursery: trio.Nursery, sent: str, limits: dict[str, Any]
) -> None:
    """Whatever a client leaves unfinished, its connection is closed after that thing's limit."""
    async with served(app, nursery, **limits) as site, connected(site, sent) as stream:
        await rest(stream)


@pytest.mark.parametrize(
    ("head", "drop"),
    [("", b"X"), ("", b"\r\n"), (post("/read", 10**9), b"x")],
    ids=["a head", "empty lines", "a body"],
)
async def test_drops_do_not_renew_a_limit(app: App, nursery: trio.Nursery, head: str, drop: bytes) -> None:
    """Byte after byte of a head or a body, or empty lines instead of a head, keep no connection for longer."""
    limits: dict[str, Any] = {"keep_alive": 2 * SHORT, "head": SHORT, "body": SHORT, "linger": SHORT}
    async with served(app, nursery, **limits) as site, connected(site, head) as stream:
        with trio.fail_after(PATIENCE), contextlib.suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(drop)


async def test_a_client_that_does_not_read_is_disconnected(app: App, nursery: trio.Nursery) -> None:
    """An answer that is not taken is given up, and the application that makes it is cancelled."""
    async with served(app, nursery, write=SHORT) as site, connected(site, get("/endless"), receive_buffer=4096):
        with trio.fail_after(PATIENCE):
            await app.cancelled.wait()


async def test_a_slow_reader_gets_its_answer(app: App, nursery: trio.Nursery) -> None:
    """The limit on writing is for each part: who takes a little at a time is not cut off, however long the answer is."""
    async with (
        served(app, nursery, write=SHORT) as site,
        connected(site, get("/endless"), receive_buffer=4096) as stream,
    ):
        started = trio.current_time()
        while trio.current_time() < started + 5 * SHORT:
            assert await stream.receive_some(4096)
        assert not app.cancelled.is_set()


async def test_a_client_that_goes_in_the_middle_of_an_answer(app: App, nursery: trio.Nursery) -> None:
    """Who makes an answer for a client that has gone is cancelled."""
    async with served(app, nursery) as site:
        async with connected(site, get("/endless")):
            await app.begun.wait()
        with trio.fail_after(PATIENCE):
            await app.cancelled.wait()


@pytest.mark.parametrize("comes", ["at once", "a moment later", "after the answer"])
@pytest.mark.parametrize("length", [2, 100_000, 3_000_000])
async def test_a_body_that_nobody_reads(app: App, nursery: trio.Nursery, length: int, comes: str) -> None:
    """The answer to a request whose body is not wanted arrives, whenever the body does, and says whether the connection goes on."""
    async with served(app, nursery, linger=2.0) as site, connected(site, post("/", length)) as stream:
        got = b""
        if comes == "a moment later":
            await trio.testing.wait_all_tasks_blocked()
        elif comes == "after the answer":
            got = await answer(stream, "/")
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(b"y" * length)
        got = got or await answer(stream, "/")
        assert got.startswith(OK)
        if b"connection: close" in got.lower():
            assert await rest(stream) == b""
        else:
            await stream.send_all(get("/again").encode())
            assert (await answer(stream, "/again")).startswith(OK)


async def test_pipelined_requests_are_answered_in_order(app: App, nursery: trio.Nursery) -> None:
    """Requests that come in one piece are all answered, those with bodies too."""
    sent = post("/read", 3, "abc") + get("/b") + post("/read", 0) + get("/d")
    async with served(app, nursery) as site, connected(site, sent) as stream:
        got = await answer(stream, "/d")
    assert [part.split(b"\r\n")[0] for part in got.split(b"HTTP/1.1 200")[1:]] == [b" "] * 4
    assert got.index(b"/read") < got.index(b"/b") < got.index(b"/d")


async def test_a_client_that_is_quick_is_not_taken_for_gone(app: App, nursery: trio.Nursery) -> None:
    """A client that asks again as soon as it has its answer is answered, though the application looks for its going."""
    async with served(app, nursery) as site, connected(site) as stream:
        with trio.fail_after(PATIENCE):
            for _ in range(200):
                await stream.send_all(get("/framework").encode())
                got = b""
                while not got.endswith(b"done"):
                    got += await stream.receive_some()


async def test_a_crash_ends_one_exchange(app: App, nursery: trio.Nursery) -> None:
    """What the application raises is a 500 for one request; other connections do not notice."""
    async with served(app, nursery) as site, connected(site) as other:
        async with connected(site, get("/fail")) as stream:
            assert (await rest(stream)).startswith(b"HTTP/1.1 500")
        await other.send_all(get("/x").encode())
        assert (await answer(other, "/x")).startswith(OK)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 20_000, b"431"),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 20_000 + "\r\n\r\n", b"431"),
        (f"GET /{'y' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        ("GET / HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 3000 + "\r\n", b"431"),
        ("GET / HTTP/1.1\r\nHost: x\r\nX:" + " " * 60_000 + "a\r\n\r\n", b"431"),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", b"505"),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"505"),
        ("\x16\x03\x01\x02\r\n\r\n", b"400"),
    ],
    ids=[
        *(
            "HTTP/2",
            "two lengths",
            "a long head",
            "a long head at once",
            "a long target",
            "many headers",
            "spaces",
            "1.2",
            "9.9",
            "TLS",
        ),
    ],
)
async def test_what_is_not_spoken_is_refused(app: App, nursery: trio.Nursery, sent: str, status: bytes) -> None:
    """Other versions, a length that proxies would disagree about, a long head, and TLS are answered, and no more is read."""
    async with served(app, nursery, linger=1.0) as site, connected(site, sent) as stream:
        assert (await rest(stream)).split(b" ")[1] == status


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_upgrades_are_not_taken(app: App, nursery: trio.Nursery, upgrade: str) -> None:
    """A client that wants another protocol is answered in HTTP/1.1."""
    head = f"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: \r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    async with served(app, nursery) as site, connected(site, head + key) as stream:
        assert (await answer(stream, "/x")).startswith(OK)


async def test_newcomers_take_idle_places(app: App, nursery: trio.Nursery) -> None:
    """When all places are taken, the connection that has been idle for longest is closed for a new one."""
    async with served(app, nursery, most=3) as site, contextlib.AsyncExitStack() as opened:
        streams = []
        for number in range(5):
            stream = await opened.enter_async_context(connected(site, get(f"/{number}")))
            assert (await answer(stream, f"/{number}")).startswith(OK)
            streams.append(stream)
        for stream in streams[:2]:
            assert await rest(stream) == b""
        for stream in streams[2:]:
            await stream.send_all(get("/still").encode())
            assert (await answer(stream, "/still")).startswith(OK)


async def test_who_waits_for_a_slow_client_makes_room(
    app: App, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies that do not come, and answers that are not read, give their places up for a newcomer too, after a moment."""
    monkeypatch.setattr(connections, "_MOMENT", 0.05)
    async with (
        served(app, nursery, most=2) as site,
        connected(site, post("/read", 5, "ab")) as one,
        connected(site, get("/endless"), receive_buffer=4096) as two,
    ):
        statuses: list[bytes] = []
        with trio.fail_after(PATIENCE):
            await app.begun.wait()
            # Until the server has noticed what the two do not do, newcomers are refused.
            while statuses[-2:] != [OK, OK]:
                async with connected(site, get("/x")) as third, connected(site, get("/x")) as fourth:
                    statuses += [(await answer(third, "/x"))[:12], (await answer(fourth, "/x"))[:12]]
        assert await rest(one) == b""
        await rest(two)
        assert app.cancelled.is_set()


async def test_work_is_not_given_up_for_newcomers(
    app: App, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Where all places are at work a newcomer is told 503 at once, and the log says why."""
    async with served(app, nursery, most=1) as site, connected(site, get("/wait")) as stream:
        await app.begun.wait()
        async with connected(site, get("/x")) as other:
            refused = await rest(other)
        app.go_on.set()
        assert (await answer(stream, "/wait")).startswith(OK)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in refused
    assert "all 1 connections (web.max_connections) are at work" in caplog.text


async def test_a_crowd_leaves_nothing_behind(app: App, nursery: trio.Nursery) -> None:
    """Clients that are silent, half-closed, unread or gone keep an honest one from nothing, and every descriptor comes back."""
    before = descriptors()
    heads = ["", "GET / HT", post("/read", 9, "ab"), post("/", 9), get("/endless"), get("/a") * 300]
    async with served(app, nursery, most=40) as site:
        with_server = descriptors()
        async with contextlib.AsyncExitStack() as crowd:
            for number in range(120):
                head = heads[number % len(heads)]
                stream = await crowd.enter_async_context(connected(site, head, receive_buffer=4096))
                if number % 4 == 0:
                    with contextlib.suppress(trio.BrokenResourceError):
                        await stream.send_eof()
            async with httpx.AsyncClient(base_url=site.url) as honest:
                for _ in range(20):
                    assert (await honest.get("/honest")).text == "/honest"
        with trio.fail_after(PATIENCE):
            while descriptors() > with_server:
                await trio.lowlevel.checkpoint()
        await site.stop()
    assert descriptors() <= before


async def test_stopping_waits_for_nobody_for_ever(app: App, nursery: trio.Nursery) -> None:
    """At a stop idle connections are closed at once, an answer under way is finished, and what takes longer is cut off."""
    async with (
        served(app, nursery, grace=0.3) as site,
        connected(site) as idle,
        connected(site, get("/endless"), receive_buffer=4096),
        connected(site, get("/a") * 3_000, receive_buffer=4096),
        connected(site, post("/read", 9, "ab")),
    ):
        await app.begun.wait()
        with trio.fail_after(PATIENCE):
            await site.stop()
        assert await rest(idle) == b""
        assert app.cancelled.is_set()


async def test_an_answer_under_way_outlives_the_stop(app: App, nursery: trio.Nursery) -> None:
    """A request that is being worked on when the server stops is answered, and its connection closed."""
    async with served(app, nursery, grace=PATIENCE) as site, connected(site, get("/wait")) as stream:
        await app.begun.wait()
        nursery.start_soon(site.stop)
        await trio.testing.wait_all_tasks_blocked()
        app.go_on.set()
        got = await rest(stream)
        assert got.startswith(OK)
        assert got.endswith(b"0\r\n\r\n")


def test_the_limit_on_open_files_counts(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As many connections are taken as the process may open files besides its own, and the log says so."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 4096))
    assert connections.affordable(156) == 156
    assert not caplog.text
    assert connections.affordable(500) == 156
    assert "at most 156 connections instead of web.max_connections = 500: the process may open 256 files" in caplog.text
