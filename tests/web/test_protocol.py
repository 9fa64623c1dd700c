"""HTTP itself: bodies, content types, methods, paths, outages and crashes, over ASGI and over a real socket."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import trio

from owlrunner.accounts import Accounts
from owlrunner.config import Config, MailConfig, WebConfig
from owlrunner.errors import DatabaseUnavailable
from owlrunner.jobs import Jobs
from owlrunner.mail import Mailer
from owlrunner.storage.postgres import Database
from owlrunner.web.app import build_app
from owlrunner.web.exchange import MAX_BODY
from owlrunner.web.login_codes import LoginMails
from tests.web.listening import address, served
from tests.web.web_world import CATALOG, World, asgi_client

JSON = {"content-type": "application/json"}
INVALID = {
    "statusCode": 400,
    "code": "FST_ERR_CTP_INVALID_JSON_BODY",
    "error": "Bad Request",
    "message": "Body is not valid JSON but content-type is set to 'application/json'",
}
EMPTY = {
    "statusCode": 400,
    "code": "FST_ERR_CTP_EMPTY_JSON_BODY",
    "error": "Bad Request",
    "message": "Body cannot be empty when content-type is set to 'application/json'",
}
UNSUPPORTED = {
    "statusCode": 415,
    "code": "FST_ERR_CTP_INVALID_MEDIA_TYPE",
    "error": "Unsupported Media Type",
    "message": "Unsupported Media Type",
}
TOO_LARGE = {
    "statusCode": 413,
    "code": "FST_ERR_CTP_BODY_TOO_LARGE",
    "error": "Payload Too Large",
    "message": "Request body is too large",
}


@pytest.fixture
async def url(world: World, nursery: trio.Nursery) -> AsyncIterator[str]:
    """The address of the app on a real socket."""
    async with served(world.app, nursery) as site:
        yield site.url


async def test_bodies(world: World, as_key: httpx.AsyncClient) -> None:
    """What is no JSON, empty, of another type, or packed is refused in the known shapes, also where no body is wanted."""
    cases: list[tuple[dict[str, str], bytes, dict[str, Any]]] = [
        (JSON, b"{", INVALID),
        (JSON, b"", EMPTY),
        ({"content-type": "Application/JSON; charset=utf-8"}, b"", EMPTY),
        ({"content-type": 'application/json; x=1; Charset="UTF-8"'}, b"", EMPTY),
        ({"content-type": "application/json; charset=utf-16"}, '{"a": 1}'.encode("utf-16"), UNSUPPORTED),
        ({"content-type": "application/json;CHARSET=latin1"}, b"{}", UNSUPPORTED),
        ({"content-type": "text/plain"}, b"{}", UNSUPPORTED),
        ({"content-type": "application/json5"}, b"{}", UNSUPPORTED),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", UNSUPPORTED),
        ({}, b"{}", UNSUPPORTED),
        (JSON | {"content-encoding": "gzip"}, b"{}", UNSUPPORTED),
    ]
    for path in (f"/v1/teams/{world.team.id}/jobs/trigger", f"/v1/jobs/{await world.run_row()}/cancel"):
        for headers, content, wanted in cases:
            response = await as_key.post(path, headers=headers, content=content)
            assert (path, headers, response.status_code, response.json()) == (
                path,
                headers,
                wanted["statusCode"],
                wanted,
            )
    assert await world.sql("select status::text from job_runs") == [("pending",)]


async def test_cancel_takes_any_sound_body(world: World, as_key: httpx.AsyncClient) -> None:
    """A route that wants no body ignores one that is JSON, and an empty one of any type."""
    for headers, content in ((JSON, b"{}"), (JSON, b"[1]"), ({}, b""), ({"content-type": "text/plain"}, b"")):
        response = await as_key.post(f"/v1/jobs/{await world.run_row()}/cancel", headers=headers, content=content)
        assert response.json() == {"cancelled": True}


async def test_size_limit(world: World, as_key: httpx.AsyncClient) -> None:
    """One MiB is read, one byte more is not."""
    trigger = f"/v1/teams/{world.team.id}/jobs/trigger"
    for size, status, error in ((MAX_BODY, 400, "Bad Request"), (MAX_BODY + 1, 413, "Payload Too Large")):
        response = await as_key.post(trigger, headers=JSON, content=b"x" * size)
        assert (response.status_code, response.json()["error"]) == (status, error)


async def test_unknown_routes_and_methods(world: World, as_key: httpx.AsyncClient) -> None:
    """Whatever is not in the table is 404 in the known shape: no 405, and never a redirect."""
    team = world.team.id
    for method, path in (
        ("GET", "/v1/zz"),
        ("GET", "/health/"),
        ("GET", "//health"),
        ("GET", "/v1//job-types"),
        ("GET", f"/v1/teams/{team}/jobs/"),
        ("GET", "/v1/jobs/"),
        ("POST", "/v1/jobs//cancel"),
        ("POST", "/health"),
        ("PATCH", f"/v1/teams/{team}/jobs"),
        ("GET", f"/v1/teams/{team}/jobs/trigger"),
        ("TRACE", "/health"),
    ):
        response = await as_key.request(method, f"http://127.0.0.1{path}")
        wanted = {"message": f"Route {method}:{path} not found", "error": "Not Found", "statusCode": 404}
        assert (path, response.status_code, response.json()) == (path, 404, wanted)
        assert response.headers["content-type"] == "application/json"


async def test_head_and_options(world: World, as_key: httpx.AsyncClient) -> None:
    """HEAD answers as GET without the body; OPTIONS names the methods."""
    path = f"/v1/jobs/{await world.run_row()}"
    got, head = await as_key.get(path), await as_key.head(path)
    assert (head.status_code, head.content, head.headers) == (200, b"", got.headers)
    options = await as_key.options(path)
    assert (options.status_code, options.content, options.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")


async def test_a_database_that_is_away(nursery: trio.Nursery) -> None:
    """Without the database the API says 503 and when to come back, health stays well, and ready names what is missing."""
    async with Database("postgresql://127.0.0.1:1/nobody", connect_timeout=1) as db:
        mails = LoginMails(Accounts(db), Mailer(MailConfig()), nursery)
        app = build_app(Jobs(db, CATALOG), Accounts(db), mails, Config())
        async with asgi_client(app) as client:
            response = await client.get("/v1/auth/whoami", headers={"authorization": "Bearer owl_agent_x"})
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
            assert response.json() == {"error": "The database cannot be reached. Try again later."}
            assert (await client.get("/health")).json() == {"status": "ok"}
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "missing": ["database"]})


async def test_ready_names_what_the_server_lacks(world: World) -> None:
    """Ready is 200 when nothing is missing, and else names what the server says is."""
    missing: list[str] = []
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(), missing=lambda: missing)
    async with asgi_client(app) as client:
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        missing.append("runtime")
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "missing": ["runtime"]})


@pytest.mark.parametrize(
    "error", [RuntimeError("secret detail"), ExceptionGroup("several", [ValueError("secret detail")])]
)
async def test_a_crash_tells_nothing(
    world: World,
    as_key: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """An error of our own is a plain 500 outside, and a traceback in the log."""

    async def crash(*_: object) -> None:
        raise error

    monkeypatch.setattr(Jobs, "page", crash)
    response = await as_key.get(f"/v1/teams/{world.team.id}/jobs")
    assert response.status_code == 500
    assert response.json() == {"statusCode": 500, "error": "Internal Server Error", "message": "Internal Server Error"}
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "GET /v1/teams/{teamId}/jobs crashed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_an_outage_in_the_middle_is_503(
    world: World, as_key: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks during a handler's work is an outage too, and its words stay inside."""

    async def break_off(*_: object) -> None:
        raise DatabaseUnavailable("connection to 10.0.0.7 lost")

    monkeypatch.setattr(Jobs, "page", break_off)
    response = await as_key.get(f"/v1/teams/{world.team.id}/jobs")
    assert (response.status_code, response.json()) == (
        503,
        {"error": "The database cannot be reached. Try again later."},
    )


async def test_pages_of_quart_share_the_port(world: World) -> None:
    """A page that is added to the application is served beside the API, and its crash looks like any other."""

    @world.app.get("/page")
    async def page() -> str:
        return "hello"

    @world.app.get("/broken")
    async def broken() -> str:
        raise RuntimeError("secret detail")

    async with asgi_client(world.app) as client:
        assert (await client.get("/page")).text == "hello"
        assert (await client.get("/page")).headers.get("set-cookie") is None
        response = await client.get("/broken")
        assert (response.status_code, response.json()["message"]) == (500, "Internal Server Error")


async def test_secure_cookies(world: World) -> None:
    """Behind TLS the cookie never travels without."""
    app = build_app(
        Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(web=WebConfig(secure_cookies=True))
    )
    async with asgi_client(app) as client:
        await client.post("/v1/auth/send-code", json={"email": "owner@acme.test"})
        body = {"email": "owner@acme.test", "code": world.outbox.last_code()}
        response = await client.post("/v1/auth/verify-code", json=body)
        assert response.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")


async def test_a_body_of_unknown_length_meets_the_limit(world: World, url: str) -> None:
    """A chunked body is cut off at one MiB with 413 while the client is still sending, and the server goes on to serve."""
    stream = await trio.open_tcp_stream(*address(url))
    head = (
        f"POST /v1/teams/{world.team.id}/jobs/trigger HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: {world.auth('key')['authorization']}\r\n\r\n"
    )

    async def send() -> None:
        await stream.send_all(head.encode())
        for _ in range(64):
            await stream.send_all(b"10000\r\n" + b"[" * 65536 + b"\r\n")
        await stream.send_all(b"0\r\n\r\n")

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        answer = b"".join([part async for part in stream])
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 413 ")
    assert "\r\nconnection: close" in head.lower()
    assert msgspec.json.decode(body) == TOO_LARGE
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/health")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("credential", "length", "status"),
    [("key", MAX_BODY + 1, b"413"), ("key", MAX_BODY, b""), ("unknown key", 5, b"401"), ("reading key", 5, b"403")],
)
async def test_bodies_that_are_not_read(world: World, url: str, credential: str, length: int, status: bytes) -> None:
    """A body that is announced as too large, or that this caller may not send at all, is answered before it comes."""
    head = f"POST /v1/teams/{world.team.id}/jobs/trigger HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
    stream = await trio.open_tcp_stream(*address(url))
    async with stream:
        await stream.send_all(f"{head}Authorization: {world.auth(credential)['authorization']}\r\n\r\n".encode())
        got = b""
        with trio.move_on_after(10 if status else 0.5):
            got = await stream.receive_some()
    assert got[9:12] == status


async def test_requests_share_a_connection(world: World, url: str) -> None:
    """Answers of every kind leave the connection usable: the next one on it is right."""
    got = []
    async with httpx.AsyncClient(
        base_url=url, headers=world.auth("key"), limits=httpx.Limits(max_connections=1)
    ) as client:
        for method, path, content in (
            ("POST", "/v1/jobs/zz/cancel", b""),
            ("POST", "/v1/jobs/zz/cancel", b"x" * 100_000),
            ("GET", "/v1/zz", b"unwanted"),
            ("HEAD", "/health", b""),
            ("OPTIONS", "/health", b"unwanted"),
            ("GET", "/v1/auth/whoami", b"unwanted"),
            ("GET", "/health", b""),
        ):
            got.append((await client.request(method, path, content=content)).status_code)
    assert got == [400, 415, 404, 200, 204, 200, 200]


async def test_paths_reach_the_table_as_they_were_sent(world: World, url: str) -> None:
    """A percent-encoded slash is part of its segment, and a path of raw bytes does no harm."""
    answers = []
    for path in ("/v1/jobs/a%2Fcancel", "/v1/jobs/%FF", "/health?%ff=%00", "/v1%2Fjob-types", "*", "http://x/health"):
        stream = await trio.open_tcp_stream(*address(url))
        async with stream:
            auth = world.auth("key")["authorization"]
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {auth}\r\n\r\n".encode())
            answers.append((await stream.receive_some()).split(b" ", 2)[1])
    assert answers == [b"400", b"400", b"200", b"404", b"404", b"404"]


async def test_a_key_that_ends_while_its_body_comes_does_nothing(world: World, url: str) -> None:
    """Whoever was a good caller when the request began is asked for again when all of it is there."""
    body = b'{"job_type": "crowd", "project_id": "%s"}' % str(world.project.id).encode()
    headers = (
        f"Host: localhost\r\nAuthorization: {world.auth('key')['authorization']}\r\nContent-Type: application/json\r\n"
    )
    head = f"POST /v1/teams/{world.team.id}/jobs/trigger HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    async with (
        httpx.AsyncClient(base_url=url, headers=world.auth("key")) as client,
        await trio.open_tcp_stream(*address(url)) as stream,
    ):
        await stream.send_all(head.encode() + body[:-1])
        assert (await client.get("/v1/auth/whoami")).status_code == 200
        await world.sql("update api_keys set deleted_at = now()")
        assert (await client.get("/v1/auth/whoami")).status_code == 401
        await stream.send_all(body[-1:])
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 401 ")
    assert await world.sql("select count(*) from job_runs") == [(0,)]


async def test_a_client_that_hangs_up_leaves_nothing_behind(world: World, url: str) -> None:
    """A client that goes away in the middle of its body changes nothing, and the server goes on to serve."""
    path = f"/v1/teams/{world.team.id}/jobs/trigger"
    auth = world.auth("key")["authorization"]
    headers = f"Host: x\r\nAuthorization: {auth}\r\nContent-Type: application/json\r\nContent-Length: 90\r\n"
    head = f"POST {path} HTTP/1.1\r\n{headers}\r\n"
    stream = await trio.open_tcp_stream(*address(url))
    async with stream:
        await stream.send_all(head.encode() + b'{"job_type": "crowd", ')
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/health")).status_code == 200
    assert await world.sql("select count(*) from job_runs") == [(0,)]


async def test_a_stranger_sends_little(world: World, client: httpx.AsyncClient) -> None:
    """Where no credential is asked for a body has 16 KiB at most, whatever it says of its length; with one it may be larger."""
    large = b'{"email": "' + b"x" * 16 * 1024 + b'"}'
    for path in ("/v1/auth/send-code", "/v1/auth/verify-code", "/v1/auth/agent-login", "/v1/auth/logout"):
        refused = await client.post(path, content=large, headers={"content-type": "application/json"})
        assert (path, refused.status_code) == (path, 413)
    taken = await client.post(
        f"/v1/teams/{world.team.id}/jobs/trigger",
        content=large,
        headers={"content-type": "application/json"} | world.auth("key"),
    )
    assert taken.status_code == 400
