"""Webhooks of providers: what shows the integration's secret starts a run, which is stored before the answer; nothing else does."""

from typing import Any

import httpx
import pytest

from owlrunner.accounts import Administration
from tests.web.web_world import World

SECRET = "whsec_of_this_project"


@pytest.fixture
async def connected(world: World) -> World:
    """A world whose project takes webhooks of Acme's."""
    config = {"api_key": "sk_acme", "webhook_secret": SECRET}
    await Administration(world.db).set_integration("acme/site", "acme", config)
    return world


async def send(
    client: httpx.AsyncClient, world: World, body: object, secret: str = SECRET, provider: str = "acme"
) -> httpx.Response:
    """Send a webhook to the project."""
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return await client.post(f"/v1/webhooks/{provider}/{world.project.id}", json=body, headers=headers)


async def test_a_webhook_starts_a_run(connected: World, client: httpx.AsyncClient) -> None:
    """Each event is a pending run of the project by the time of the answer, with the params that the plugin made of it."""
    for pages in (3, 4):
        answer = await send(client, connected, {"api_version": "1.0", "event": {"pages": pages}})
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert await connected.sql(
        "select job_type, team_id, project_id, triggered_by, params->'pages', status::text from job_runs order by id"
    ) == [("crowd", connected.team.id, connected.project.id, "webhook:acme", pages, "pending") for pages in (3, 4)]
    (run,) = (await client.get(f"/v1/teams/{connected.team.id}/jobs?limit=1", headers=connected.auth("key"))).json()[
        "job_runs"
    ]
    assert run["triggered_by_name"] == "webhook:acme"


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({}, 400, {"error": "Invalid webhook payload: missing event"}),
        ({"event": None}, 400, {"error": "Invalid webhook payload: missing event"}),
        ({"event": {}}, 400, {"error": "Invalid webhook payload: no pages"}),
        ({"event": {"pages": 0}}, 200, {"received": True}),
    ],
)
async def test_what_asks_for_nothing_starts_nothing(
    connected: World, client: httpx.AsyncClient, body: object, status: int, answer: dict[str, Any]
) -> None:
    """What is no event is refused with a sentence; an event with which there is nothing to do is received, and starts no run."""
    sent = await send(client, connected, body)
    assert (sent.status_code, sent.json()) == (status, answer)
    assert await connected.sql("select count(*) from job_runs") == [(0,)]


@pytest.mark.parametrize("secret", ["", "whsec", SECRET + "x", "sk_acme", "\u00e9"])
async def test_without_the_secret_nothing_is_taken(connected: World, client: httpx.AsyncClient, secret: str) -> None:
    """A webhook without the integration's secret is refused before anything is said of what it holds."""
    headers = {b"authorization": f"Bearer {secret}".encode()} if secret else {}
    answer = await client.post(
        f"/v1/webhooks/acme/{connected.project.id}", json={"event": {"pages": 1}}, headers=headers
    )
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid webhook secret"})
    assert await connected.sql("select count(*) from job_runs") == [(0,)]


@pytest.mark.parametrize("config", [{"api_key": "sk_acme"}, {"api_key": "sk_acme", "webhook_secret": ""}])
async def test_where_no_secret_is_set_nothing_is_taken(
    world: World, client: httpx.AsyncClient, config: dict[str, str]
) -> None:
    """An integration without a secret takes no webhook, not even one that shows an empty secret."""
    await Administration(world.db).set_integration("acme/site", "acme", config)
    for secret in ("", " ", "None"):
        assert (await send(client, world, {"event": {"pages": 1}}, secret)).status_code == 401
    assert await world.sql("select count(*) from job_runs") == [(0,)]


@pytest.mark.parametrize("change", ["enabled = false", "deleted_at = now()"])
async def test_what_is_not_connected_takes_nothing(connected: World, client: httpx.AsyncClient, change: str) -> None:
    """A disabled integration, a deleted one, a deleted project and a provider that no plugin offers look the same."""
    await connected.sql(f"update project_integrations set {change}")
    answer = await send(client, connected, {"event": {"pages": 1}})
    assert (answer.status_code, answer.json()) == (404, {"error": "Acme integration not found or disabled"})
    other = await send(client, connected, {"event": {"pages": 1}}, provider="nobody")
    assert (other.status_code, other.json()) == (404, {"error": "nobody integration not found or disabled"})


@pytest.mark.parametrize("gone", ["projects", "teams"])
async def test_what_was_deleted_takes_nothing(connected: World, client: httpx.AsyncClient, gone: str) -> None:
    """A webhook for a project that was deleted, by itself or with its team, starts nothing."""
    identity = {"projects": connected.project.id, "teams": connected.team.id}[gone]
    await connected.sql(f"update {gone} set deleted_at = now() where id = %(i)s", i=identity)
    assert (await send(client, connected, {"event": {"pages": 1}})).status_code == 404
    assert await connected.sql("select count(*) from job_runs") == [(0,)]
