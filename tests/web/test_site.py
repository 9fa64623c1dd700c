"""Other sites' pages cannot use the browser of somebody who is signed in here, nor pretend to be ours."""

from typing import Any

import httpx
import pytest

from owlrunner.accounts import Accounts
from owlrunner.config import Config, WebConfig
from owlrunner.errors import PermissionDenied
from owlrunner.jobs import Jobs
from owlrunner.web.app import build_app
from owlrunner.web.exchange import ProtocolRefusal
from owlrunner.web.site import Site
from tests.web.web_world import CATALOG, World, asgi_client

LOCAL = WebConfig()
PUBLIC = WebConfig(public_url="https://Jobs.Example.com/owl", hosts=["owl.internal"])
PLAIN = WebConfig(public_url="http://jobs.example.com:8080")
BEHIND_TLS = WebConfig(secure_cookies=True, hosts=["owl.internal"])


def verdict(
    web: WebConfig, method: str = "GET", path: str = "/v1/auth/whoami", *, asks_credential: bool = True, **headers: str
) -> str:
    """What becomes of a request with these headers."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    scope: Any = {
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in names.items()],
    }
    try:
        Site.of(web).check(scope, asks_credential=asks_credential)
    except ProtocolRefusal as refusal:
        return {421: "misdirected"}[refusal.status]
    except PermissionDenied:
        return "denied"
    return "served"


@pytest.mark.parametrize(
    ("web", "host", "wanted"),
    [
        (LOCAL, "127.0.0.1:8321", "served"),
        (LOCAL, "localhost", "served"),
        (LOCAL, "owl.localhost:8321", "served"),
        (LOCAL, "[::1]:8321", "served"),
        (LOCAL, "10.1.2.3", "served"),
        (LOCAL, "evil.example", "misdirected"),
        (LOCAL, "127.0.0.1.evil.example:8321", "misdirected"),
        (LOCAL, "localhost.evil.example", "misdirected"),
        (LOCAL, "xlocalhost", "misdirected"),
        (LOCAL, "localhost.", "served"),
        (LOCAL, "localhost..", "misdirected"),
        (LOCAL, ".", "misdirected"),
        (LOCAL, ":80", "misdirected"),
        (PUBLIC, "jobs.example.com", "served"),
        (PUBLIC, "JOBS.example.com.:443", "served"),
        (PUBLIC, "owl.internal:8321", "served"),
        (PUBLIC, "127.0.0.1:8321", "served"),
        (PUBLIC, "example.com", "misdirected"),
        (WebConfig(host="owl.lan"), "owl.lan:8321", "served"),
    ],
)
def test_names(web: WebConfig, host: str, wanted: str) -> None:
    """A server answers under its configured names, addresses and localhost; a name that was made to mean its address is refused."""
    assert verdict(web, host=host) == wanted


def test_who_need_not_know_the_name() -> None:
    """A probe of health, a caller with a credential of its own, and a client of HTTP/1.0 are answered under any name."""
    assert verdict(LOCAL, path="/health", host="evil.example") == "served"
    assert verdict(LOCAL, path="/ready", host="evil.example") == "served"
    assert verdict(LOCAL, host="evil.example", authorization="Bearer x") == "served"
    assert verdict(LOCAL) == "served"


def test_a_header_alone_proves_nothing() -> None:
    """Where no credential is asked for, an Authorization header opens neither another name nor another site's change."""
    theirs = {"host": "evil.example", "authorization": "Basic eDp5"}
    assert verdict(LOCAL, asks_credential=False, **theirs) == "misdirected"
    theirs = {"host": "127.0.0.1", "origin": "http://evil.example", "authorization": ""}
    assert verdict(LOCAL, "POST", asks_credential=False, **theirs) == "denied"


async def test_by_another_name_only_a_credential_is_answered(world: World, client: httpx.AsyncClient) -> None:
    """Whatever Authorization header a page of a name that means us sets, it sees no page, signs in nobody, and needs a good key."""
    evil = {"host": "evil.example", "authorization": "Bearer x"}
    session = {"cookie": f"token={world.credentials['admin']}"}
    runs = f"/v1/teams/{world.team.id}/jobs"
    for method, path, status in (
        ("GET", "/sign-in", 421),
        ("POST", "/sign-in", 421),
        ("GET", "/dashboard", 421),
        ("POST", "/v1/auth/send-code", 421),
        ("POST", "/v1/auth/verify-code", 421),
        ("GET", "/nowhere", 421),
        ("PUT", runs, 421),
        ("GET", runs, 401),
        ("POST", f"{runs}/trigger", 401),
    ):
        answer = await client.request(method, path, headers=evil | session)
        assert (method, path, answer.status_code) == (method, path, status)
    assert (await client.get(runs, headers=evil | world.auth("key"))).status_code == 200


@pytest.mark.parametrize(
    ("web", "headers", "wanted"),
    [
        (LOCAL, {"host": "127.0.0.1:8321", "origin": "http://127.0.0.1:8321"}, "served"),
        (LOCAL, {"host": "127.0.0.1:80", "origin": "http://127.0.0.1"}, "served"),
        (LOCAL, {"host": "127.0.0.1:8321", "origin": "http://127.0.0.1:9999"}, "denied"),
        (LOCAL, {"host": "127.0.0.1:8321", "origin": "https://127.0.0.1:8321"}, "denied"),
        (LOCAL, {"host": "127.0.0.1:8321", "origin": "null"}, "denied"),
        (LOCAL, {"host": "127.0.0.1:8321", "origin": "https://evil.example"}, "denied"),
        (LOCAL, {"host": "127.0.0.1:8321"}, "served"),
        (LOCAL, {"host": "127.0.0.1:8321", "sec_fetch_site": "same-origin"}, "served"),
        (LOCAL, {"host": "127.0.0.1:8321", "sec_fetch_site": "same-site"}, "denied"),
        (LOCAL, {"host": "127.0.0.1:8321", "sec_fetch_site": "cross-site"}, "denied"),
        (LOCAL, {"host": "127.0.0.1", "origin": "https://evil.example", "authorization": "Bearer x"}, "served"),
        (PUBLIC, {"host": "jobs.example.com", "origin": "https://jobs.example.com"}, "served"),
        (PUBLIC, {"host": "127.0.0.1:8321", "origin": "https://jobs.example.com"}, "served"),
        (PUBLIC, {"host": "127.0.0.1:8321", "origin": "http://127.0.0.1:8321"}, "served"),
        (PUBLIC, {"host": "jobs.example.com", "origin": "http://jobs.example.com"}, "denied"),
        (PUBLIC, {"host": "jobs.example.com", "origin": "https://other.example.com"}, "denied"),
        (PLAIN, {"host": "jobs.example.com:8080", "origin": "http://jobs.example.com:8080"}, "served"),
        (PLAIN, {"host": "jobs.example.com:8080", "origin": "http://jobs.example.com"}, "denied"),
        (BEHIND_TLS, {"host": "owl.internal", "origin": "https://owl.internal"}, "served"),
        (BEHIND_TLS, {"host": "owl.internal", "origin": "http://owl.internal"}, "denied"),
    ],
)
def test_origins(web: WebConfig, headers: dict[str, str], wanted: str) -> None:
    """What changes something is taken from our own pages, by scheme, name and port, and from programs; reading is free."""
    for method, becomes in (("POST", wanted), ("DELETE", wanted), ("GET", "served")):
        assert verdict(web, method, asks_credential=True, **headers) == becomes


async def test_a_neighbours_form_cancels_nothing(world: World) -> None:
    """A form that another page sends to the API, with the cookie that the browser adds, is refused, and a page's as well."""
    run_id = await world.run_row()
    cookie = {"cookie": f"token={world.credentials['admin']}", "origin": "https://neighbour.example"}
    async with asgi_client(world.app) as client:
        for path in (f"/v1/jobs/{run_id}/cancel", f"/dashboard/jobs/{run_id}/cancel", "/sign-in"):
            response = await client.post(path, headers=cookie)
            assert (response.status_code, response.json()) == (403, {"error": "This was sent from another site"})
        assert (await client.get("/sign-in", headers={"host": "evil.example"})).status_code == 421
    assert await world.sql("select status::text, cancel_requested_at from job_runs") == [("pending", None)]


async def test_cookies_over_tls(world: World) -> None:
    """Behind TLS the cookie has a name that no neighbour can set, browsers come by TLS alone, and another name is not looked at."""
    web = WebConfig(public_url="https://127.0.0.1")
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(web=web))
    token = world.credentials["admin"]
    async with asgi_client(app) as client:
        page = await client.get("/sign-in")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert (await client.get("/v1/auth/whoami", headers={"cookie": f"__Host-token={token}"})).status_code == 200
        assert (await client.get("/v1/auth/whoami", headers={"cookie": f"token={token}"})).status_code == 401
        assert (await client.get("/dashboard", headers={"cookie": f"__Host-token={token}"})).status_code == 200
        assert (await client.get("/dashboard", headers={"cookie": f"token={token}"})).status_code == 303
        ended = await client.post("/v1/auth/logout", headers={"cookie": f"__Host-token={token}"})
        assert ended.headers["set-cookie"].startswith(
            "__Host-token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
        )
    async with asgi_client(world.app) as client:
        assert "strict-transport-security" not in (await client.get("/sign-in")).headers
