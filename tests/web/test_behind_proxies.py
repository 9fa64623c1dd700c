"""The examples for proxies, with real proxies: TLS, the client's address, streams, and a server that is away."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from owlrunner.accounts import Accounts
from owlrunner.config import Config, WebConfig
from owlrunner.jobs import Jobs
from owlrunner.web.app import build_app
from tests.web.listening import address, served
from tests.web.web_world import CATALOG, World

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
CLIENT = "127.0.0.2"


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def adapted(example: str, port: int, upstream: int, folder: Path) -> str:
    """An example for localhost, with the first of its servers away."""
    text = (EXAMPLES / example).read_text("utf-8")
    for old, new in (
        ("8321", str(free_port())),
        ("8322", str(upstream)),
        ("/etc/ssl/jobs.example.com", f"{folder}/site"),
    ):
        text = text.replace(old, new)
    if example == "Caddyfile":
        site = f"https://localhost:{port} {{\n\ttls {folder}/site.pem {folder}/site.key"
        text = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text.replace("jobs.example.com {", site)
        # It asks for readiness at once, and then not within this test.
        return text.replace("health_interval 5s", "health_interval 1h")
    return text.replace("443 ssl", f"127.0.0.1:{port} ssl").replace("jobs.example.com", "localhost")


def nginx(config: Path) -> list[str]:
    """How to start nginx."""
    ours = "daemon off; pid nginx.pid; error_log stderr; lock_file lock;"
    return ["nginx", "-p", str(config.parent), "-c", str(config), "-g", ours]


def caddy(config: Path) -> list[str]:
    """How to start Caddy."""
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


@pytest.fixture(params=[("nginx.conf", nginx), ("Caddyfile", caddy)], ids=["nginx", "caddy"])
async def behind(
    request: pytest.FixtureRequest, world: World, tmp_path: Path, nursery: trio.Nursery
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application behind a proxy, from an address of its own."""
    example, command = request.param
    start: Callable[[Path], list[str]] = command
    if shutil.which(start(tmp_path)[0]) is None:
        pytest.skip(f"{start(tmp_path)[0]} is not installed")
    port = free_port()
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "site.key"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(tmp_path / "site.pem"), append=True)
    web = WebConfig(public_url=f"https://localhost:{port}", trusted_proxies=["127.0.0.1", "::1"])
    app = build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, Config(web=web))
    async with served(app, nursery) as site:
        config = tmp_path / example
        config.write_text(adapted(example, port, address(site.url)[1], tmp_path))
        environ = os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        proxy = _started(start(config), environ)
        try:
            context = ssl.create_default_context()
            authority.configure_trust(context)
            transport = httpx.AsyncHTTPTransport(verify=context, local_address=CLIENT)
            async with httpx.AsyncClient(transport=transport, base_url=f"https://localhost:{port}") as client:
                await _until_it_answers(client, proxy)
                yield client
        finally:
            proxy.terminate()
            proxy.wait(10)


def _started(command: list[str], environ: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _until_it_answers(client: httpx.AsyncClient, proxy: "subprocess.Popen[bytes]") -> None:
    with trio.fail_after(20):
        while True:
            assert proxy.poll() is None
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await trio.lowlevel.checkpoint()


async def test_a_sign_in_through_a_proxy(world: World, behind: httpx.AsyncClient) -> None:
    """Pages know themselves, cookies are for TLS alone, and who asks is who the proxy says, whatever the client says itself."""
    origin = {"origin": str(behind.base_url).rstrip("/"), "x-forwarded-for": "198.51.100.9"}
    asked = await behind.post("/sign-in", data={"email": "admin@acme.test"}, headers=origin)
    assert asked.status_code == 200
    form = {"email": "admin@acme.test", "code": world.outbox.last_code()}
    signed_in = await behind.post("/sign-in/code", data=form, headers=origin)
    assert signed_in.status_code == 303
    assert set(behind.cookies) == {"__Host-browser", "__Host-token"}
    assert (await behind.get("/dashboard/jobs")).status_code == 200
    assert await world.sql("select action, client from security_events") == [("sign_in", CLIENT)]
    foreign = await behind.post("/sign-out", headers={"origin": "https://evil.test"})
    assert foreign.status_code == 403


# httpx leaves generators behind when a stream is not read to its end.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_stream_through_a_proxy(world: World, behind: httpx.AsyncClient) -> None:
    """Events come as they happen: nothing in between gathers them."""
    await world.run_row()
    path = f"/v1/teams/{world.team.id}/jobs/stream"
    with trio.fail_after(20):
        async with (
            behind.stream("GET", path, headers=world.auth("key")) as response,
            aclosing(response.aiter_lines()) as lines,  # type: ignore[type-var]
        ):
            got = [await anext(lines) for _ in range(5)]
    assert any(line.startswith("data: ") for line in got), got
