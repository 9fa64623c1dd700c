"""Login codes and sign-ins: limited in number, in guesses and in time, used once, ended by signing out."""

from functools import partial
from typing import Any

import httpx
import pytest
import trio

from owlrunner.accounts.credentials import hashed
from owlrunner.actor import AGENT_PERMISSIONS
from owlrunner.mail import MailUnavailable
from tests.web.web_world import World, asgi_client

EMAIL = "owner@acme.test"
REFUSED = (401, {"error": "Invalid or expired code"})


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/auth/{path}", json=body)


async def new_code(client: httpx.AsyncClient, world: World, email: str = EMAIL) -> str:
    response = await post(client, "send-code", email=email)
    assert (response.status_code, response.json()) == (200, {"message": "Verification code sent"})
    return world.outbox.last_code()


def wrong(code: str, step: int = 1) -> str:
    """Another six digits."""
    return str((int(code) - 100_000 + step) % 900_000 + 100_000)


async def test_a_code_is_six_digits_and_stored_hashed(world: World, client: httpx.AsyncClient) -> None:
    """The code goes to the address alone; the database holds its hash."""
    code = await new_code(client, world, " Owner@ACME.test ")
    assert code.isdecimal()
    assert 100_000 <= int(code) <= 999_999
    assert world.outbox.letters[-1].to == EMAIL
    assert await world.sql("select email, code_hash from email_verification_codes") == [(EMAIL, hashed(code))]


async def test_what_is_no_address_gets_no_code(world: World, client: httpx.AsyncClient) -> None:
    """Only addresses get codes, and nothing that could reach a mail header."""
    bad = [
        "",
        " ",
        "x",
        "@acme.test",
        "a@",
        "a b@acme.test",
        "a@acme.test\nBcc: b@acme.test",
        "a@b,c@d",
        "<a@acme.test>",
        "a\x00@acme.test",
    ]
    bad += [
        "a@" + "b" * 64 + ".test",
        "a" * 65 + "@acme.test",
        "a@" + "b." * 130 + "test",
        "ä@acme.test",
        "a@-acme.test",
        "a@acme..test",
    ]
    for email in bad:
        response = await post(client, "send-code", email=email)
        assert (email, response.status_code, response.json()) == (email, 400, {"error": "Valid email is required"})
    assert (await post(client, "send-code")).json() == {"error": "Valid email is required"}
    assert world.outbox.letters == []


async def test_an_unknown_address_gets_the_same_answer(world: World, client: httpx.AsyncClient) -> None:
    """Nobody can find out by asking for codes, or by guessing, which addresses are known."""
    for email in (EMAIL, "stranger@acme.test"):
        code = await new_code(client, world, email)
        guess = await post(client, "verify-code", email=email, code=wrong(code))
        assert (guess.status_code, guess.json()) == REFUSED
        limited = [(await post(client, "send-code", email=email)).status_code for _ in range(5)]
        assert limited == [200, 200, 200, 200, 429]
    never_asked = await post(client, "verify-code", email="nobody@acme.test", code="123456")
    assert (never_asked.status_code, never_asked.json()) == REFUSED


async def test_five_codes_an_hour(world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sixth code within an hour is refused and told when to come back; spelling the address otherwise does not help."""
    monkeypatch.setattr("owlrunner.accounts.refusals.KEPT", 0.0)
    for _ in range(5):
        await new_code(client, world)
    response = await post(client, "send-code", email=EMAIL.upper())
    assert response.status_code == 429
    assert response.json() == {"error": "Too many verification codes requested. Try again later."}
    assert 3500 < int(response.headers["retry-after"]) <= 3600
    assert len(world.outbox.letters) == 5
    await world.sql("update email_verification_codes set created_at = created_at - interval '1 hour'")
    await new_code(client, world)


async def test_an_internationalised_domain_is_one_address(world: World, client: httpx.AsyncClient) -> None:
    """However a domain is spelt, in letters or in ASCII, it is the same user."""
    code = await new_code(client, world, "ann@Bücher.example")
    response = await post(client, "verify-code", email="Ann@xn--bcher-kva.example", code=code)
    assert (response.status_code, response.json()["user"]["email"]) == (201, "ann@xn--bcher-kva.example")


async def test_parallel_requests_get_five_codes_too(world: World, client: httpx.AsyncClient) -> None:
    """Asking for many codes at the same instant yields five; of those of a browser one is alive."""
    client.cookies.set("browser", "0" * 64)
    got: list[int] = []

    async def ask() -> None:
        got.append((await client.post("/sign-in", data={"email": EMAIL})).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(ask)
    assert sorted(got) == [200] * 5 + [429] * 7
    assert await world.sql("select count(*) from email_verification_codes where expires_at > now()") == [(1,)]


async def test_sign_in_of_a_known_user(world: World, client: httpx.AsyncClient) -> None:
    """A right code gives 200, the user with teams, and a token that works as header and as cookie."""
    response = await post(client, "verify-code", email=EMAIL, code=await new_code(client, world))
    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["token", "user", "teams", "is_new_user"]
    assert list(body["user"]) == ["id", "email", "name", "created_at", "updated_at"]
    assert (body["user"]["email"], body["is_new_user"]) == (EMAIL, False)
    assert body["teams"] == [{"id": str(world.team.id), "name": "Acme", "slug": "acme", "role": "owner"}]
    assert response.headers["set-cookie"] == f"token={body['token']}; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"
    client.cookies.clear()
    for headers in ({"authorization": f"Bearer {body['token']}"}, {"cookie": f"a=b; token={body['token']}; c=d"}):
        whoami = await client.get("/v1/auth/whoami", headers=headers)
        assert whoami.json() == {"type": "user", "email": EMAIL, "teams": body["teams"]}
        me = await client.get("/v1/auth/me", headers=headers)
        assert me.json() == {"user": body["user"], "teams": body["teams"]}
    ((stored, seconds),) = await world.sql(
        "select token_hash, extract(epoch from expires_at - created_at)::int from user_sessions order by created_at desc limit 1"
    )
    assert (stored, seconds) == (hashed(body["token"]), 604800)


async def test_sign_up_of_a_new_user(world: World, client: httpx.AsyncClient) -> None:
    """An address that is new becomes a user with a team of their own, with 201."""
    code = await new_code(client, world, "zoe.smith@acme.test")
    response = await post(client, "verify-code", email="Zoe.Smith@acme.test", code=code)
    body = response.json()
    assert (response.status_code, body["is_new_user"], body["user"]["name"]) == (201, True, "Zoe.smith")
    slug = f"zoe-smith-{body['user']['id'][:8]}"
    assert [(team["name"], team["slug"], team["role"]) for team in body["teams"]] == [
        ("Zoe.smith's Team", slug, "owner")
    ]


async def test_a_code_works_once(world: World, client: httpx.AsyncClient) -> None:
    """Of many who send the right code at the same instant one gets in, and nobody later."""
    code = await new_code(client, world)
    got: list[int] = []

    async def guess() -> None:
        got.append((await post(client, "verify-code", email=EMAIL, code=code)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(guess)
    await guess()
    assert sorted(got) == [200] + [401] * 8


async def test_a_code_dies_after_ten_minutes(world: World, client: httpx.AsyncClient) -> None:
    """A code is valid for ten minutes."""
    code = await new_code(client, world)
    assert await world.sql("select expires_at - created_at = interval '10 minutes' from email_verification_codes") == [
        (True,)
    ]
    await world.sql("update email_verification_codes set expires_at = now()")
    response = await post(client, "verify-code", email=EMAIL, code=code)
    assert (response.status_code, response.json()) == REFUSED


async def test_a_new_code_ends_no_code_of_a_program(world: World, client: httpx.AsyncClient) -> None:
    """Each code that programs have asked for works, because it may be somebody else who has asked for the next one."""
    first = await new_code(client, world)
    second = await new_code(client, world)
    assert (await post(client, "verify-code", email=EMAIL, code=first)).status_code == 200
    assert (await post(client, "verify-code", email=EMAIL, code=second)).status_code == 200


@pytest.mark.parametrize("path", ["verify-code", "agent-login"])
async def test_five_wrong_guesses_kill_a_code(world: World, client: httpx.AsyncClient, path: str) -> None:
    """After five wrong guesses the right code is refused too; after four it is not."""
    for guesses, status in ((4, {"verify-code": 200, "agent-login": 201}[path]), (5, 401)):
        code = await new_code(client, world)
        for step in range(1, guesses + 1):
            response = await post(client, path, email=EMAIL, code=wrong(code, step))
            assert (response.status_code, response.json()) == REFUSED
        assert (await post(client, path, email=EMAIL, code=code)).status_code == status


async def test_parallel_guesses_are_counted(world: World, client: httpx.AsyncClient) -> None:
    """Guessing at the same instant does not buy a sixth guess."""
    code = await new_code(client, world)
    async with trio.open_nursery() as nursery:
        for step in range(1, 21):
            nursery.start_soon(partial(post, client, "verify-code", email=EMAIL, code=wrong(code, step)))
    assert await world.sql("select wrong_guesses, used_at from email_verification_codes") == [(5, None)]
    assert (await post(client, "verify-code", email=EMAIL, code=code)).status_code == 401


@pytest.mark.parametrize("path", ["verify-code", "agent-login"])
async def test_email_and_code_are_required(client: httpx.AsyncClient, path: str) -> None:
    """Without address or code nothing is tried."""
    for body in (
        {},
        {"email": EMAIL},
        {"code": "123456"},
        {"email": "", "code": "123456"},
        {"email": EMAIL, "code": None},
    ):
        response = await post(client, path, **body)
        assert (response.status_code, response.json()) == (400, {"error": "email and code required"})
    response = await post(client, path, email=EMAIL, code=123456)
    assert (response.status_code, response.json()) == (400, {"error": "body.code: expected str | null, got int"})


async def test_agent_login(world: World, client: httpx.AsyncClient) -> None:
    """A right code gives 201 and a key with every agent permission that works at once."""
    response = await post(client, "agent-login", email=EMAIL, code=await new_code(client, world))
    body = response.json()
    assert (response.status_code, list(body)) == (201, ["api_key", "team"])
    assert body["team"] == {"id": str(world.team.id), "name": "Acme", "slug": "acme"}
    assert body["api_key"].startswith("owl_agent_")
    assert len(body["api_key"]) == len("owl_agent_") + 48
    whoami = await client.get("/v1/auth/whoami", headers={"authorization": f"Bearer {body['api_key']}"})
    assert whoami.text.startswith('{"type":"api_key","key_type":"agent","team":{"id":')
    assert whoami.json() == {
        "type": "api_key",
        "key_type": "agent",
        "team": body["team"],
        "permissions": list(AGENT_PERMISSIONS),
    }
    stored = await world.sql("select name, expires_at from api_keys order by created_at desc limit 1")
    assert stored == [("CLI Agent Key", None)]


async def test_agent_login_with_several_teams(world: World, client: httpx.AsyncClient) -> None:
    """Who has several teams is told which, and the same code works once the team is named."""
    await world.sql(
        "insert into team_members (team_id, user_id, role, joined_at) "
        "select %(t)s, id, 'member', now() + interval '1 s' from users where email = %(e)s",
        t=world.other_team.id,
        e=EMAIL,
    )
    code = await new_code(client, world)
    login = partial(post, client, "agent-login", email=EMAIL, code=code)
    response = await login()
    assert response.status_code == 400
    assert response.json() == {
        "error": "Multiple teams found. Specify team_id.",
        "teams": [
            {"id": str(world.team.id), "name": "Acme", "slug": "acme", "role": "owner"},
            {"id": str(world.other_team.id), "name": "Rival", "slug": "rival", "role": "member"},
        ],
    }
    for team, error in (
        ("zz", "Not a member of this team"),
        (str(world.other_team.id), "Requires admin role or higher"),
    ):
        response = await login(team_id=team)
        assert (response.status_code, response.json()) == (403, {"error": error})
    assert (await login(team_id=str(world.team.id))).status_code == 201
    assert (await login(team_id=str(world.team.id))).status_code == 401


async def test_a_member_cannot_make_a_key_by_agent_login(world: World, client: httpx.AsyncClient) -> None:
    """An agent key could do what a member may not, so a member gets none."""
    code = await new_code(client, world, "member@acme.test")
    response = await post(client, "agent-login", email="member@acme.test", code=code)
    assert (response.status_code, response.json()) == (403, {"error": "Requires admin role or higher"})


async def test_agent_login_without_a_team(world: World, client: httpx.AsyncClient) -> None:
    """Who was removed from their last team is told so."""
    await world.sql("delete from team_members where user_id = (select id from users where email = %(e)s)", e=EMAIL)
    response = await post(client, "agent-login", email=EMAIL, code=await new_code(client, world))
    assert (response.status_code, response.json()) == (403, {"error": "User has no team membership"})


async def test_logout_ends_the_token(world: World, client: httpx.AsyncClient) -> None:
    """After signing out the token is refused everywhere, and the cookie is taken back; others stay signed in."""
    token = {"authorization": f"Bearer {world.credentials['owner']}"}
    assert (await client.get("/v1/auth/me", headers=token)).status_code == 200
    response = await client.post("/v1/auth/logout", headers=token)
    assert (response.status_code, response.json()) == (200, {"success": True})
    assert response.headers["set-cookie"] == "token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    after = await client.get("/v1/auth/me", headers=token)
    assert (after.status_code, after.json()) == (401, {"error": "Invalid or expired token"})
    assert (await client.get("/v1/auth/me", headers=world.auth("admin"))).status_code == 200


async def test_logout_does_not_end_an_api_key(world: World, client: httpx.AsyncClient) -> None:
    """Keys are revoked, not signed out."""
    assert (await client.post("/v1/auth/logout", headers=world.auth("key"))).json() == {"success": True}
    assert (await client.get("/v1/auth/whoami", headers=world.auth("key"))).status_code == 200


async def test_a_removed_member_is_out_at_once(world: World, client: httpx.AsyncClient) -> None:
    """A sign-in carries no rights of its own: they are looked up with every request."""
    url = f"/v1/teams/{world.team.id}/jobs"
    assert (await client.get(url, headers=world.auth("admin"))).status_code == 200
    await world.sql("delete from team_members where role = 'admin'")
    response = await client.get(url, headers=world.auth("admin"))
    assert (response.status_code, response.json()) == (403, {"error": "Not a member of this team"})


async def test_a_deleted_team_takes_keys_and_memberships_with_it(world: World, client: httpx.AsyncClient) -> None:
    """Keys and memberships of a soft-deleted team do not work."""
    await world.sql("update teams set deleted_at = now() where id = %(id)s", id=world.team.id)
    for who, status, error in (("key", 401, "Invalid API key"), ("owner", 403, "Not a member of this team")):
        response = await client.get(f"/v1/teams/{world.team.id}/jobs", headers=world.auth(who))
        assert (response.status_code, response.json()) == (status, {"error": error})
    whoami = await client.get("/v1/auth/whoami", headers=world.auth("owner"))
    assert whoami.json() == {"type": "user", "email": EMAIL, "teams": []}


async def test_an_unreachable_mail_server_costs_no_code(world: World) -> None:
    """Where somebody has signed in with the address before, codes that could not be mailed do not count."""
    async with asgi_client(world.app, "192.0.2.7") as client:
        await post(client, "verify-code", email=EMAIL, code=await new_code(client, world))
        world.outbox.fail_with(MailUnavailable("mail server mail.internal:587: refused"))
        for _ in range(7):
            assert (await post(client, "send-code", email=EMAIL)).status_code == 200
        world.outbox.fail_with(None)
        await new_code(client, world)
