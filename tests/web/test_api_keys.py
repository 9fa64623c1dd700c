"""API keys: who makes them, what they may hold, how they are shown, and how they end."""

from typing import Any

import httpx
import pytest

from owlrunner.accounts.credentials import hashed
from owlrunner.actor import AGENT_PERMISSIONS, CLIENT_PERMISSIONS
from tests.web.web_world import World

FIELDS = [
    "id",
    "key_prefix",
    "key_type",
    "app_id",
    "team_id",
    "name",
    "created_by",
    "permissions",
    "created_at",
    "updated_at",
    "last_used_at",
    "expires_at",
    "app_name",
    "created_by_email",
]


async def create(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/auth/keys", json={"name": "k", "key_type": "agent"} | body)


@pytest.mark.parametrize(("kind", "permissions"), [("agent", AGENT_PERMISSIONS), ("client", CLIENT_PERMISSIONS)])
async def test_create(world: World, as_owner: httpx.AsyncClient, kind: str, permissions: tuple[str, ...]) -> None:
    """A new key is told once, stored hashed, and may do all that its kind may unless something else was asked for."""
    response = await create(as_owner, name=" deploy ", key_type=kind)
    body = response.json()
    key = body["api_key"]
    assert (response.status_code, list(body), list(key)) == (201, ["key", "api_key"], FIELDS)
    assert body["key"].startswith(f"owl_{kind}_")
    assert len(body["key"]) == len(f"owl_{kind}_") + 48
    assert (key["key_prefix"], key["name"], key["permissions"]) == (body["key"][:16], "deploy", list(permissions))
    assert (key["team_id"], key["created_by_email"]) == (str(world.team.id), "owner@acme.test")
    assert (key["app_id"], key["app_name"], key["expires_at"], key["last_used_at"]) == (None, None, None, None)
    assert await world.sql("select key_hash from api_keys where id = %(id)s", id=key["id"]) == [(hashed(body["key"]),)]
    whoami = await as_owner.get("/v1/auth/whoami", headers={"authorization": f"Bearer {body['key']}"})
    assert whoami.json()["permissions"] == list(permissions)


async def test_create_refuses(world: World, as_owner: httpx.AsyncClient) -> None:
    """A key that cannot be made is refused with a sentence, and none is made."""
    before = await world.sql("select count(*) from api_keys")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"permissions": []}, "At least one permission is required"),
        ({"permissions": ["jobs:read", "jobs:read"]}, "Duplicate permissions are not allowed"),
        ({"permissions": ["jobs:fly"]}, "Unknown permission: jobs:fly"),
        ({"permissions": ["events:write"]}, 'Permission "events:write" is not allowed for agent keys'),
        ({"permissions": ["jobs:read"], "key_type": "client"}, 'Permission "jobs:read" is not allowed for client keys'),
        ({"permissions": [1]}, "body.permissions[0]: expected str, got int"),
        ({"key_type": "server"}, "key_type: expected one of client, agent, got 'server'"),
        ({"key_type": None}, "key_type: expected one of client, agent, got ''"),
        ({"name": None}, "name: expected 1 to 255 printable characters"),
        ({"name": " "}, "name: expected 1 to 255 printable characters"),
        ({"name": "x" * 256}, "name: expected 1 to 255 printable characters"),
        ({"name": "a\x00b"}, "name: expected 1 to 255 printable characters"),
        ({"expires_in_days": 0}, "expires_in_days: expected a number from 1 to 3650, got 0"),
        ({"expires_in_days": 10**12}, "expires_in_days: expected a number from 1 to 3650, got 1000000000000"),
        ({"app_id": "b1946ac9-2492-4d23-8f3b-5d5d5d5d5d5d"}, "app_id: keys of one app are not supported; leave it out"),
        ({"colour": "red"}, "body: object contains unknown field colour"),
    ]
    got = []
    for body, _ in refused:
        response = await create(as_owner, **body)
        got.append((body, response.status_code, response.json()))
    assert got == [(body, 400, {"error": error}) for body, error in refused]
    assert await world.sql("select count(*) from api_keys") == before


async def test_a_key_holds_what_it_was_given(world: World, as_owner: httpx.AsyncClient) -> None:
    """A key that was given one permission lacks the others."""
    raw = (await create(as_owner, permissions=["jobs:read"])).json()["key"]
    response = await as_owner.post(
        f"/v1/teams/{world.team.id}/jobs/trigger", json={}, headers={"authorization": f"Bearer {raw}"}
    )
    assert (response.status_code, response.json()) == (403, {"error": "Missing permission: jobs:write"})


async def test_a_key_expires(world: World, as_owner: httpx.AsyncClient) -> None:
    """A key with a term works until then, by the database's clock."""
    body = (await create(as_owner, expires_in_days=1)).json()
    auth = {"authorization": f"Bearer {body['key']}"}
    assert body["api_key"]["expires_at"] is not None
    assert (await as_owner.get("/v1/auth/whoami", headers=auth)).status_code == 200
    await world.sql(
        "update api_keys set expires_at = expires_at - interval '1 day' where id = %(id)s", id=body["api_key"]["id"]
    )
    response = await as_owner.get("/v1/auth/whoami", headers=auth)
    assert (response.status_code, response.json()) == (401, {"error": "API key expired"})


async def test_the_list_shows_no_hash(world: World, as_owner: httpx.AsyncClient) -> None:
    """The list holds the team's living keys, newest first, and neither a key nor a hash."""
    response = await as_owner.get("/v1/auth/keys")
    keys = response.json()["api_keys"]
    hashes = await world.sql("select key_hash from api_keys")
    assert len(keys) == 6
    assert list(keys[0]) == FIELDS
    assert {key["team_id"] for key in keys} == {str(world.team.id)}
    assert [key["created_at"] for key in keys] == sorted((key["created_at"] for key in keys), reverse=True)
    assert not [secret for (secret,) in hashes if secret in response.text]
    assert not [who for who, raw in world.credentials.items() if raw in response.text]


async def test_the_list_of_another_team_is_closed(world: World, as_owner: httpx.AsyncClient) -> None:
    """A team's keys can be asked for by its admins alone; naming the own team gives what naming none gives."""
    own = await as_owner.get("/v1/auth/keys", params={"team_id": str(world.team.id)})
    assert own.json() == (await as_owner.get("/v1/auth/keys")).json()
    for team in (str(world.other_team.id), "zz"):
        response = await as_owner.get("/v1/auth/keys", params={"team_id": team})
        assert (response.status_code, response.json()) == (403, {"error": "Not a member of this team"})


async def test_a_revoked_key_is_worth_nothing(world: World, as_owner: httpx.AsyncClient) -> None:
    """Revoking takes effect with the next request, and can be done once."""
    body = (await create(as_owner)).json()
    url = f"/v1/auth/keys/{body['api_key']['id']}"
    response = await as_owner.delete(url)
    assert (response.status_code, response.json()) == (200, {"revoked": True})
    after = await as_owner.get("/v1/auth/whoami", headers={"authorization": f"Bearer {body['key']}"})
    assert (after.status_code, after.json()) == (401, {"error": "Invalid API key"})
    again = await as_owner.delete(url)
    assert (again.status_code, again.json()) == (404, {"error": "API key not found"})
    malformed = await as_owner.delete("/v1/auth/keys/zz")
    assert (malformed.status_code, malformed.json()) == (400, {"error": "key id: expected a uuid, got 'zz'"})
    audited = await world.sql(
        "select action::text from audit_logs where resource_id = %(id)s order by timestamp", id=body["api_key"]["id"]
    )
    assert audited == [("create",), ("delete",)]


async def test_last_use_costs_one_write_a_minute(world: World, client: httpx.AsyncClient) -> None:
    """The time of last use moves when it is a minute old, and not with every request."""

    async def used_after(age: str) -> bool:
        row_version = "select xmin::text from api_keys where key_hash = %(h)s"
        await world.sql(f"update api_keys set last_used_at = now() - interval '{age}' where key_hash = %(h)s", h=key)
        before = await world.sql(row_version, h=key)
        assert (await client.get("/v1/auth/whoami", headers=world.auth("key"))).status_code == 200
        return await world.sql(row_version, h=key) != before

    key = hashed(world.credentials["key"])
    assert (await used_after("61 s"), await used_after("50 s")) == (True, False)


async def test_a_locked_key_row_makes_nobody_wait(world: World, client: httpx.AsyncClient) -> None:
    """While somebody else is touching the key's row, requests with the key go on."""
    key = hashed(world.credentials["key"])
    async with world.db.session() as session, session.transaction():
        await session.connection.execute(b"select from api_keys where key_hash = %(h)s for update", {"h": key})
        assert (await client.get("/v1/auth/whoami", headers=world.auth("key"))).status_code == 200
    assert await world.sql("select last_used_at from api_keys where key_hash = %(h)s", h=key) == [(None,)]
