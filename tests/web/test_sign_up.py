"""Who becomes a user by signing in: anybody, addresses of some domains, or nobody; and from outside it looks the same."""

import attrs
import httpx
import pytest

from owlrunner.accounts import Accounts, RecentCallers, SignUp
from owlrunner.config import Config, WebConfig
from owlrunner.jobs import Jobs
from owlrunner.web.app import build_app
from tests.web.web_world import CATALOG, World, asgi_client

NEW = "new@stranger.test"


def client_of(world: World, web: WebConfig) -> httpx.AsyncClient:
    """A client of a server with this configuration."""
    accounts = Accounts(world.db, RecentCallers(), SignUp.of(web))
    return asgi_client(
        build_app(Jobs(world.db, CATALOG), accounts, attrs.evolve(world.mails, accounts=accounts), Config(web=web))
    )


@pytest.mark.parametrize(
    ("web", "email", "allowed"),
    [
        (WebConfig(), NEW, True),
        (WebConfig(sign_up="closed"), NEW, False),
        (WebConfig(sign_up_domains=["Stranger.test"]), NEW, True),
        (WebConfig(sign_up_domains=["bücher.example"]), "ann@xn--bcher-kva.example", True),
        (WebConfig(sign_up_domains=["acme.test"]), NEW, False),
        (WebConfig(sign_up_domains=["test"]), NEW, False),
        (WebConfig(sign_up="closed", sign_up_domains=["stranger.test"]), NEW, False),
        (WebConfig(sign_up="closed"), "owner@acme.test", True),
        (WebConfig(sign_up_domains=["stranger.test"]), "owner@acme.test", True),
    ],
)
async def test_who_may_sign_in(world: World, web: WebConfig, email: str, allowed: bool) -> None:
    """A known user always may; a new address where sign-up is open for its domain. Nobody else is mailed a code."""
    mails = len(world.outbox.letters)
    async with client_of(world, web) as client:
        asked = await client.post("/v1/auth/send-code", json={"email": email})
        assert (asked.status_code, asked.json()) == (200, {"message": "Verification code sent"})
        assert len(world.outbox.letters) - mails == allowed
        if allowed:
            body = {"email": email, "code": world.outbox.last_code()}
            assert (await client.post("/v1/auth/verify-code", json=body)).status_code in {200, 201}


async def test_codes_that_are_not_mailed_are_limited_too(world: World) -> None:
    """An address that may not sign up meets the same limit on codes as one that is a user's, so that it tells nothing."""
    async with client_of(world, WebConfig(sign_up="closed")) as client:
        for email in (NEW, "owner@acme.test"):
            statuses = [(await client.post("/v1/auth/send-code", json={"email": email})).status_code for _ in range(6)]
            assert statuses == [200] * 5 + [429]


async def test_a_code_from_before_sign_up_was_closed_makes_nobody_a_user(world: World) -> None:
    """A code that was mailed while sign-up was open is refused once it is closed."""
    async with client_of(world, WebConfig()) as client:
        await client.post("/v1/auth/send-code", json={"email": NEW})
    body = {"email": NEW, "code": world.outbox.last_code()}
    async with client_of(world, WebConfig(sign_up="closed")) as client:
        refused = await client.post("/v1/auth/verify-code", json=body)
        assert (refused.status_code, refused.json()) == (401, {"error": "Invalid or expired code"})
    assert await world.sql("select count(*) from users where email = %(email)s", email=NEW) == [(0,)]


async def test_the_demo_shows_no_code_that_is_not_good(world: World) -> None:
    """Where codes are shown, none is for an address that may not sign up."""
    async with client_of(world, WebConfig(sign_up="closed", show_codes=True)) as client:
        page = await client.post("/sign-in", data={"email": NEW})
        assert page.status_code == 200
        known = await client.post("/sign-in", data={"email": "owner@acme.test"})
    assert f"<strong>{world.outbox.last_code()}</strong>" in known.text
    assert "demonstration" in known.text
    assert "demonstration" not in page.text


def test_domains_are_checked_at_the_start() -> None:
    """What is no domain is told when the configuration is read."""
    with pytest.raises(ValueError, match=r"sign_up_domains must be domains like example\.com: 'a b' is no domain name"):
        WebConfig(sign_up_domains=["a b"])
