"""What strangers can do about somebody's sign-in: neither use up their codes, nor lock them out, nor guess without end."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from owlrunner.accounts import door
from owlrunner.accounts.credentials import hashed
from owlrunner.accounts.origin import GUESSES, LIMITS
from owlrunner.mail import MailUnavailable
from tests.web.web_world import World, asgi_client

EMAIL = "owner@acme.test"
From = Callable[[str], httpx.AsyncClient]


@pytest.fixture
async def at(world: World) -> AsyncIterator[From]:
    """A function that opens a browser, or a program, at an address."""
    async with AsyncExitStack() as opened:
        clients: list[httpx.AsyncClient] = []

        def start(address: str) -> httpx.AsyncClient:
            clients.append(asgi_client(world.app, address))
            return clients[-1]

        yield start
        for client in clients:
            opened.push_async_callback(client.aclose)


async def asked(browser: httpx.AsyncClient, email: str = EMAIL) -> int:
    """Ask for a code on the page."""
    return (await browser.post("/sign-in", data={"email": email})).status_code


async def guessed(browser: httpx.AsyncClient, code: str) -> int:
    """Enter a code on the page."""
    return (await browser.post("/sign-in/code", data={"email": EMAIL, "code": code})).status_code


async def test_a_code_is_good_for_the_browser_that_asked(world: World, at: From) -> None:
    """Another browser, and a program, can neither use it, nor use its guesses up, nor end it by asking for one."""
    mine, other, program = at("192.0.2.1"), at("192.0.2.2"), at("192.0.2.3")
    assert await asked(mine) == 200
    code = world.outbox.last_code()
    for _ in range(6):
        assert await guessed(other, code) == 401
        refused = await program.post("/v1/auth/verify-code", json={"email": EMAIL, "code": code})
        assert refused.status_code == 401
    assert await asked(other) == 200
    assert (await program.post("/v1/auth/send-code", json={"email": EMAIL})).status_code == 200
    assert await guessed(mine, code) == 303


async def test_a_browsers_new_code_ends_the_one_before(world: World, at: From) -> None:
    """Only the latest code of a browser works, so that asking again does not add targets to guess at."""
    mine, codes = at("192.0.2.1"), list[str]()
    for _ in range(2):
        assert await asked(mine) == 200
        codes.append(world.outbox.last_code())
    assert [await guessed(mine, code) for code in codes] == [401, 303]


async def test_no_stranger_uses_up_a_programs_code(world: World, at: From) -> None:
    """A program signs in with its code whatever programs of other clients guess, and whoever asks for another one."""
    mine, other = at("192.0.2.1"), at("192.0.2.2")
    body = {"email": EMAIL}
    assert (await mine.post("/v1/auth/send-code", json=body)).status_code == 200
    code = world.outbox.last_code()
    neighbour = at("192.0.2.1")
    assert (await neighbour.post("/v1/auth/send-code", json=body)).status_code == 200
    for _ in range(GUESSES + 1):
        wrong = await other.post("/v1/auth/verify-code", json=body | {"code": "000000"})
        assert wrong.status_code == 401
    assert (await other.post("/v1/auth/send-code", json=body)).status_code == 200
    assert (await mine.post("/v1/auth/verify-code", json=body | {"code": code})).status_code == 200


async def test_the_browser_keeps_its_key(world: World, at: From) -> None:
    """Until it signs in a browser keeps one key, for a year, which no script reads; over TLS no neighbour can plant it."""
    browser = at("192.0.2.1")
    response = await browser.post("/sign-in", data={"email": EMAIL})
    (cookie,) = response.headers.get_list("set-cookie")
    name, _, rest = cookie.partition("=")
    key, _, attributes = rest.partition("; ")
    assert (name, len(key) >= 32) == ("browser", True)
    assert attributes == "Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    again = await browser.post("/sign-in", data={"email": EMAIL})
    assert again.headers["set-cookie"].startswith(f"browser={key};")
    ((stored,),) = await world.sql("select distinct browser from email_verification_codes")
    assert stored not in {None, key}


async def test_a_key_that_was_planted_knows_nobody(world: World, at: From) -> None:
    """Who signs in gets a new key and is known by that one alone, so that whoever planted the one before is a stranger."""
    planted = "0" * 64
    mine, planter = at("192.0.2.1"), at("192.0.2.2")
    for browser in (mine, planter):
        browser.cookies.set("browser", planted, domain="127.0.0.1", path="/")
    for _ in range(2):
        assert await asked(mine) == 200
        assert await guessed(mine, world.outbox.last_code()) == 303
        ((mark,),) = await world.sql("select mark from known_origins")
        assert mark == f"browser:{hashed(mine.cookies['browser'])}"
    assert mine.cookies["browser"] != planted
    for number in range(LIMITS.of_address):
        await asked(at(f"192.0.2.{10 + number}"))
    assert (await asked(planter), await asked(mine)) == (429, 200)


@pytest.mark.parametrize("key", ["", "x", "ä" * 64, "0" * 5000])
async def test_a_key_that_is_none_is_replaced(at: From, key: str) -> None:
    """What a browser sends as its key and is none gets it a new one."""
    cookie = (b"cookie", f"browser={key}".encode())
    response = await at("192.0.2.1").post("/sign-in", data={"email": EMAIL}, headers=[cookie])
    assert response.status_code == 200
    assert re.match(r"browser=[0-9a-f]{64};", response.headers["set-cookie"])


async def test_no_stranger_locks_somebody_out(world: World, at: From) -> None:
    """When strangers have asked for all codes of an address, a browser that has signed in with it gets one; a new one waits."""
    mine = at("192.0.2.1")
    assert await asked(mine) == 200
    assert await guessed(mine, world.outbox.last_code()) == 303
    got = [await asked(at(f"192.0.2.{10 + number}")) for number in range(LIMITS.of_address + 1)]
    # The code of before was a stranger's, too: nobody had signed in then.
    assert got == [200] * (LIMITS.of_address - 1) + [429] * 2
    refused = await at("192.0.2.99").post("/sign-in", data={"email": EMAIL})
    assert (refused.status_code, 0 < int(refused.headers["retry-after"]) <= 3600) == (429, True)
    assert "Too many verification codes requested" in refused.text
    assert await asked(mine) == 200
    assert await guessed(mine, world.outbox.last_code()) == 303


async def test_a_client_cannot_ask_for_everybody(world: World, at: From) -> None:
    """One client gets so many codes for whatever addresses; others get theirs."""
    crowd = at("192.0.2.1")
    got = [await asked(crowd, f"user{number}@acme.test") for number in range(LIMITS.of_client + 1)]
    assert got == [200] * LIMITS.of_client + [429]
    assert await asked(at("192.0.2.2")) == 200


async def test_failures_are_limited_logged_and_kept(
    world: World, at: From, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client whose sign-ins have failed too often waits, on pages and by the API; each failure is on record with its origin."""
    monkeypatch.setattr(door, "FAILURES_OF_CLIENT", 2)
    caplog.set_level(logging.WARNING, "owlrunner.accounts")
    guesser, other = at("192.0.2.1"), at("192.0.2.2")
    assert await guessed(guesser, "123456") == 401
    body = {"email": "Nobody@acme.test", "code": "123456"}
    assert (await guesser.post("/v1/auth/agent-login", json=body)).status_code == 401
    waits = await guesser.post("/v1/auth/verify-code", json=body)
    assert (waits.status_code, waits.json()) == (429, {"error": "Too many failed sign-ins. Try again later."})
    assert 3500 < int(waits.headers["retry-after"]) <= 3600
    assert await guessed(guesser, "123456") == 429
    assert await guessed(other, "123456") == 401
    assert caplog.messages == [
        "a sign-in as owner@acme.test from 192.0.2.1 failed",
        "a sign-in as nobody@acme.test from 192.0.2.1 failed",
        "a sign-in as owner@acme.test from 192.0.2.2 failed",
    ]
    assert await world.sql(
        "select action, email, client, user_agent like 'python-httpx/%%' from security_events order by at"
    ) == [
        ("sign_in_failed", EMAIL, "192.0.2.1", True),
        ("sign_in_failed", "nobody@acme.test", "192.0.2.1", True),
        ("sign_in_failed", EMAIL, "192.0.2.2", True),
    ]


async def test_others_failures_do_not_keep_who_is_known_out(
    world: World, at: From, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that has signed in with the address may, however many have failed at the same client's address."""
    monkeypatch.setattr(door, "FAILURES_OF_CLIENT", 1)
    mine, other = at("192.0.2.1"), at("192.0.2.1")
    assert await asked(mine) == 200
    assert await guessed(mine, world.outbox.last_code()) == 303
    assert await guessed(other, "123456") == 401
    assert await guessed(other, "123456") == 429
    assert await asked(mine) == 200
    assert await guessed(mine, world.outbox.last_code()) == 303


async def test_a_sign_in_is_kept(world: World, at: From) -> None:
    """Who has signed in, and who was refused a code, is on record with where from."""
    mine = at("192.0.2.1")
    for _ in range(LIMITS.own + 1):
        await asked(mine)
    assert await guessed(mine, world.outbox.last_code()) == 303
    assert await world.sql("select action, email, client from security_events order by at") == [
        ("code_refused", EMAIL, "192.0.2.1"),
        ("sign_in", EMAIL, "192.0.2.1"),
    ]


async def test_a_mail_server_that_is_away_is_no_way_to_ask_without_end(world: World, at: From) -> None:
    """Codes of strangers that could not be mailed count as if they had been."""
    world.outbox.fail_with(MailUnavailable("away"))
    mine = at("192.0.2.1")
    assert [await asked(mine) for _ in range(LIMITS.own + 1)] == [200] * LIMITS.own + [429]
    others = [await asked(at(f"192.0.2.{10 + number}")) for number in range(LIMITS.of_address - LIMITS.own + 1)]
    assert others == [200] * (LIMITS.of_address - LIMITS.own) + [429]
