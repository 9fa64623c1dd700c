"""Many runs at once over HTTP: one result for each, and nothing that is refused stands in the way of the others."""

from collections.abc import Mapping
from uuid import UUID, uuid4

import httpx

from tests.web.web_world import World


async def batch(client: httpx.AsyncClient, world: World, *items: Mapping[str, object]) -> httpx.Response:
    """Send these items."""
    return await client.post(f"/v1/teams/{world.team.id}/jobs/trigger-batch", json={"runs": items})


async def test_each_item_gets_its_result(world: World, as_key: httpx.AsyncClient) -> None:
    """What can be created is created, what cannot is told why, and results stand in the order of the items."""
    sync = {"job_type": "acme_sync", "project_id": str(world.project.id)}
    first = (await as_key.post(f"/v1/teams/{world.team.id}/jobs/trigger", json=sync)).json()["job_run"]["id"]
    await world.sql("update job_runs set status = 'cancelled', cancel_requested_at = now(), completed_at = now()")
    response = await batch(
        as_key,
        world,
        {"job_type": "nobody_offers_this"},
        sync,
        sync,
        sync | {"project_id": str(uuid4())},
        sync | {"params": {"pages": "many"}},
    )
    assert response.status_code == 200
    answer = response.json()
    created = answer["results"][1]["id"]
    assert answer["created"] == 1
    assert created != first
    assert answer["results"][2] == {
        "error": "A job of this type is already running or pending",
        "existing_run_id": created,
    }
    assert answer["results"][3] == {"error": "Project not found"}
    assert answer["results"][0]["error"].startswith("Invalid job_type.")
    assert answer["results"][4] == {"error": "params.pages: expected int, got str"}
    rows = await world.sql("select id from job_runs where status = 'pending'")
    assert rows == [(UUID(created),)]


async def test_a_taken_slot_is_named(world: World, as_key: httpx.AsyncClient) -> None:
    """An item whose slot is taken by an older run gets that run's id."""
    sync = {"job_type": "acme_sync", "project_id": str(world.project.id)}
    (first,) = (await batch(as_key, world, sync)).json()["results"]
    (second,) = (await batch(as_key, world, sync)).json()["results"]
    assert second["existing_run_id"] == first["id"]


async def test_a_bad_item_stops_the_batch(world: World, as_key: httpx.AsyncClient) -> None:
    """An item of the wrong shape is named, and nothing is created."""
    good = {"job_type": "acme_sync", "project_id": str(world.project.id)}
    response = await batch(as_key, world, good, good | {"notify": "maybe"})
    assert response.status_code == 400
    assert "body.runs[1].notify" in response.json()["error"]
    assert await world.sql("select id from job_runs") == []


async def test_a_batch_has_an_end(world: World, as_key: httpx.AsyncClient) -> None:
    """More than a thousand items are refused as a whole."""
    response = await batch(as_key, world, *[{"job_type": "acme_sync"}] * 1001)
    assert (response.status_code, response.json()) == (400, {"error": "body.runs: expected at most 1000, got 1001"})


async def test_a_thousand_is_not_too_many(world: World, as_key: httpx.AsyncClient) -> None:
    """The largest batch is taken, and where every item is refused nothing is asked of the database."""
    response = await batch(as_key, world, *[{"job_type": "nobody_offers_this"}] * 1000)
    assert (response.status_code, response.json()["created"], len(response.json()["results"])) == (200, 0, 1000)


async def test_of_two_that_want_one_slot_of_no_project(world: World, as_key: httpx.AsyncClient) -> None:
    """Where the project is not the team's both items are told that, not that the other one is in the way."""
    sync = {"job_type": "acme_sync", "project_id": str(uuid4())}
    assert (await batch(as_key, world, sync, sync)).json()["results"] == [{"error": "Project not found"}] * 2


async def test_an_empty_batch_is_nothing(world: World, as_key: httpx.AsyncClient) -> None:
    """No items, no results."""
    assert (await batch(as_key, world)).json() == {"created": 0, "results": []}


async def test_what_is_created_is_audited(world: World, as_key: httpx.AsyncClient) -> None:
    """A run of a batch stands in the team's audit log as one that was triggered alone does."""
    (one,) = (await batch(as_key, world, {"job_type": "acme_sync", "project_id": str(world.project.id)})).json()[
        "results"
    ]
    assert await world.sql("select action::text, resource_id from audit_logs where resource_type = 'job_run'") == [
        ("create", one["id"])
    ]
