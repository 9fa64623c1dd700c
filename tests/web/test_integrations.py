"""Integrations over HTTP: a team connects its projects to providers, and no secret comes back."""

import json
import logging
from typing import Any, cast
from uuid import uuid4

import attrs
import httpx
import pytest
import trio

from owlrunner.accounts import Administration
from owlrunner.storage import integrations
from tests.web.web_world import ACME, CATALOG, World

SECRET = "sk_never_told_again"


def path(world: World, *more: str) -> str:
    """The path of the project's integrations, or of one of them."""
    return "/".join((f"/v1/projects/{world.project.id}/integrations", *more))


async def connect(client: httpx.AsyncClient, world: World, config: object = None, who: str = "admin") -> httpx.Response:
    """Connect the project to Acme."""
    body = {"provider": "acme", "config": config if config is not None else {"api_key": SECRET}}
    return await client.post(path(world), json=body, headers=world.auth(who))


async def test_providers_are_described(world: World, client: httpx.AsyncClient) -> None:
    """The providers of the plugins are listed with the keys of their configuration."""
    answer = await client.get(path(world, "providers"), headers=world.auth("member"))
    (provider,) = answer.json()["providers"]
    assert {key: value for key, value in provider.items() if key != "configFields"} == {
        "id": "acme",
        "name": "Acme",
        "description": "Everything about owls.",
    }
    assert provider["configFields"][0] == {
        "key": "api_key",
        "label": "Secret API Key",
        "required": True,
        "sensitive": True,
        "placeholder": "sk_...",
        "description": "",
    }


async def test_a_secret_is_shown_by_its_beginning(
    world: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret is shown by four characters in every answer, in full in none, and stands in no log and no record."""
    caplog.set_level(logging.DEBUG)
    made = await connect(client, world, {"api_key": SECRET, "region": "eu"})
    assert made.status_code == 201
    assert made.json()["config"] == {"api_key": "sk_n****", "region": "eu"}
    changed = await client.patch(path(world, "acme"), json={"config": {"region": "us"}}, headers=world.auth("key"))
    assert changed.json()["config"] == {"api_key": "sk_n****", "region": "us"}
    (listed,) = (await client.get(path(world), headers=world.auth("member"))).json()["integrations"]
    assert listed == changed.json()
    short = await client.patch(path(world, "acme"), json={"config": {"api_key": "sk_n"}}, headers=world.auth("key"))
    assert short.json()["config"]["api_key"] == "****"
    assert SECRET not in caplog.text
    assert await world.sql("select count(*) from audit_logs where audit_logs::text like %(s)s", s=f"%{SECRET}%") == [
        (0,)
    ]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "provider is required"),
        ({"provider": "acme"}, 400, "config is required"),
        ({"provider": "nobody", "config": {}}, 400, 'Unsupported integration provider: "nobody". Supported: acme'),
        (
            {"provider": "acme", "config": {"api_key": ""}},
            400,
            'Missing required config field: "api_key" (Secret API Key)',
        ),
        (
            {"provider": "acme", "config": {"api_key": SECRET, "apikey": SECRET}},
            400,
            'Unknown config field: "apikey". Valid fields for Acme: api_key, region, webhook_secret',
        ),
        ({"provider": "acme", "config": {"api_key": 1}}, 400, 'Config field "api_key" must be a string'),
        (
            {"provider": "acme", "config": {"api_key": f"{SECRET}\0"}},
            400,
            'Config field "api_key" must have at most 4096 characters, without NUL or lone surrogates',
        ),
        (
            {"provider": "acme", "config": {"api_key": SECRET * 1000}},
            400,
            'Config field "api_key" must have at most 4096 characters, without NUL or lone surrogates',
        ),
    ],
)
async def test_a_config_that_cannot_be_used_is_refused(
    world: World, client: httpx.AsyncClient, body: dict[str, Any], status: int, error: str
) -> None:
    """What is wrong with a configuration is told by its key, never by a value, and nothing is stored."""
    answer = await client.post(path(world), json=body, headers=world.auth("admin"))
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert await world.sql("select count(*) from project_integrations") == [(0,)]


async def test_a_second_connection_is_refused(world: World, client: httpx.AsyncClient) -> None:
    """Of several that connect a project to a provider at once one does, the others are told that it is."""
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await connect(client, world)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(one)
    assert sorted(statuses) == [201, 409, 409, 409]
    assert (await connect(client, world)).json() == {"error": 'Integration for "acme" already exists'}


async def test_an_integration_is_changed_in_part(world: World, client: httpx.AsyncClient) -> None:
    """Keys that are not named stay, and so does whether it is enabled; what changed is noted by the names of its keys."""
    await connect(client, world, {"api_key": "sk_old", "region": "eu"})
    for body in ({"enabled": False}, {"config": {"api_key": "sk_new", "region": "eu"}}):
        answer = await client.patch(path(world, "acme"), json=body, headers=world.auth("admin"))
        assert answer.json()["enabled"] is False
    assert await world.sql("select config, enabled from project_integrations") == [
        ({"api_key": "sk_new", "region": "eu"}, False)
    ]
    noted = await world.sql(
        "select metadata - 'project_id' from audit_logs where resource_type = 'integration' and action = 'update'"
        ' order by "timestamp"'
    )
    assert noted == [
        ({"provider": "acme", "config": [], "enabled": False},),
        ({"provider": "acme", "config": ["api_key"], "enabled": None},),
    ]
    emptied = await client.patch(path(world, "acme"), json={"config": {"api_key": ""}}, headers=world.auth("admin"))
    assert emptied.json() == {"error": 'Missing required config field: "api_key" (Secret API Key)'}


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ({"api_key": "sk_old", "of_last_version": 3}, {"of_last_version": 3}),
        (["no", "object"], {"config": ["no", "object"]}),
        (None, {"config": None}),
    ],
)
async def test_what_else_is_stored_stays(
    world: World, client: httpx.AsyncClient, stored: object, kept: dict[str, Any]
) -> None:
    """A secret can be changed beside what an earlier version or the operator has stored, which stays and is hidden."""
    await connect(client, world)
    await world.sql("update project_integrations set config = %(c)s::jsonb", c=json.dumps(stored))
    changed = await client.patch(path(world, "acme"), json={"config": {"api_key": SECRET}}, headers=world.auth("key"))
    assert changed.status_code == 200, changed.text
    assert changed.json()["config"].items() >= {"api_key": "sk_n****"}.items()
    assert await world.sql("select config from project_integrations") == [({"api_key": SECRET} | kept,)]
    unknown = await client.patch(path(world, "acme"), json={"config": {"apikey": "x"}}, headers=world.auth("key"))
    assert "Unknown config field" in unknown.json()["error"]


async def test_a_deleted_projects_integration_stays_as_it_is(world: World, client: httpx.AsyncClient) -> None:
    """A change that waits while the project is deleted is not made."""
    await connect(client, world)
    async with world.db.session() as session, session.transaction():
        assert await integrations.hold(session, world.project.id, "acme") is not None
        await session.connection.execute("update projects set deleted_at = now()")
        assert await integrations.hold(session, world.project.id, "acme") is None


async def test_what_was_deleted_begins_anew(world: World, client: httpx.AsyncClient) -> None:
    """A deleted integration is gone; connecting again brings it back under its id, enabled, with nothing of the old config."""
    first = (await connect(client, world, {"api_key": "sk_old", "region": "eu"})).json()
    await client.patch(path(world, "acme"), json={"enabled": False}, headers=world.auth("admin"))
    assert (await client.delete(path(world, "acme"), headers=world.auth("key"))).json() == {"deleted": True}
    for method in ("PATCH", "DELETE"):
        gone = await client.request(method, path(world, "acme"), json={}, headers=world.auth("admin"))
        assert (gone.status_code, gone.json()) == (404, {"error": "Integration not found"})
    assert (await client.get(path(world), headers=world.auth("admin"))).json() == {"integrations": []}
    again = (await connect(client, world)).json()
    assert (again["id"], again["enabled"], again["config"]) == (first["id"], True, {"api_key": "sk_n****"})


async def test_a_provider_that_no_plugin_offers_can_be_seen_and_removed(
    world: World, client: httpx.AsyncClient
) -> None:
    """An integration whose plugin is gone is listed with every value hidden, and can be deleted, not changed."""
    await Administration(world.db).set_integration("acme/site", "old one", {"token": SECRET, "port": 8080})
    (listed,) = (await client.get(path(world), headers=world.auth("admin"))).json()["integrations"]
    assert listed["config"] == {"token": "sk_n****", "port": "****"}
    refused = await client.patch(path(world, "old%20one"), json={"enabled": False}, headers=world.auth("admin"))
    assert refused.json() == {"error": 'Unsupported provider: "old one". Supported: acme'}
    assert (await client.delete(path(world, "old%20one"), headers=world.auth("admin"))).status_code == 200


async def test_integrations_of_what_is_no_project(world: World, client: httpx.AsyncClient) -> None:
    """A project of others, one that is not there and what is no id are told apart from each other by nothing but the id's form."""
    for project, status, error in (
        (world.other_project.id, 404, "Project not found"),
        (uuid4(), 404, "Project not found"),
        ("x", 400, "project id: expected a uuid, got 'x'"),
    ):
        answer = await client.get(f"/v1/projects/{project}/integrations", headers=world.auth("key"))
        assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_a_sync_is_started_under_the_guard(world: World, client: httpx.AsyncClient) -> None:
    """A sync is a run like any other, started with integrations:write; a second one is told the first one's id."""
    await connect(client, world)
    admin = Administration(world.db)
    raw, _ = await admin.create_key("acme", "sync", permissions=["integrations:write"])
    headers = {"authorization": f"Bearer {raw}"}
    ((users,),) = await world.sql("select count(*) from users")
    started = await client.post(path(world, "acme", "sync"), headers=headers)
    run_id = started.json()["job_run_id"]
    assert (started.status_code, started.json()) == (200, {"syncing": True, "total": users, "job_run_id": run_id})
    assert await world.sql("select job_type, project_id, status::text from job_runs where id = %(i)s", i=run_id) == [
        ("steady", world.project.id, "pending")
    ]
    second = await client.post(path(world, "acme", "sync"), headers=world.auth("admin"))
    assert (second.status_code, second.json()["existing_run_id"]) == (409, run_id)


async def test_nobody_to_sync_starts_nothing(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a project has nobody to sync, that is the answer, and no run is made."""
    await connect(client, world)
    nobody = attrs.evolve(ACME, sync_count="select 0 where %(project_id)s::uuid is not null")
    monkeypatch.setitem(cast("dict[str, object]", CATALOG.providers), "acme", nobody)
    answer = await client.post(path(world, "acme", "sync"), headers=world.auth("admin"))
    assert (answer.status_code, answer.json()) == (200, {"synced": 0, "total": 0})
    assert await world.sql("select count(*) from job_runs") == [(0,)]


@pytest.mark.parametrize("provider", ["acme", "nobody"])
async def test_what_is_not_connected_is_not_synced(world: World, client: httpx.AsyncClient, provider: str) -> None:
    """A sync of what is not connected, or disabled, or offered by no plugin is refused."""
    called = {"acme": "Acme", "nobody": "nobody"}[provider]
    if provider == "acme":
        await connect(client, world)
        await client.patch(path(world, "acme"), json={"enabled": False}, headers=world.auth("admin"))
    answer = await client.post(path(world, provider, "sync"), headers=world.auth("admin"))
    assert (answer.status_code, answer.json()) == (404, {"error": f"{called} integration not found or disabled"})
    assert await world.sql("select count(*) from job_runs") == [(0,)]
