"""Runs over HTTP: shapes, texts and codes that existing clients rely on."""

from uuid import uuid4

import httpx
import pytest

from owlrunner.storage.accounts import Team
from tests.web.web_world import ENDED, RUNNING, World

FIELDS = [
    "id",
    "job_type",
    "status",
    "team_id",
    "project_id",
    "triggered_by",
    "params",
    "progress",
    "result",
    "error",
    "notify",
    "started_at",
    "completed_at",
    "created_at",
    # What has come since, behind what clients have always known.
    "run_at",
    "attempt",
    "max_attempts",
    "cancel_requested_at",
    "cancelled_by",
    "triggered_by_name",
    "cancelled_by_name",
    "waiting_for",
    "omitted",
]


def runs_of(team: Team) -> str:
    return f"/v1/teams/{team.id}/jobs"


async def trigger(
    client: httpx.AsyncClient, world: World, job_type: str = "acme_sync", **more: object
) -> httpx.Response:
    body = {"job_type": job_type, "project_id": str(world.project.id)} | more
    return await client.post(f"{runs_of(world.team)}/trigger", json=body)


async def test_list_of_a_fresh_team_is_empty(world: World, as_key: httpx.AsyncClient) -> None:
    """A team without runs gets an empty page without a cursor."""
    response = await as_key.get(runs_of(world.team))
    assert (response.status_code, response.text) == (200, '{"job_runs":[],"cursor":null,"has_more":false}')
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_trigger_answers_with_the_pending_run(world: World, as_key: httpx.AsyncClient) -> None:
    """A triggered run comes back with 201, pending, in the fields and the order of the contract."""
    response = await trigger(as_key, world, params={"pages": "3"}, notify=True)
    run = response.json()["job_run"]
    ((key_id,),) = await world.sql("select id::text from api_keys where name = 'test key' and last_used_at is not null")
    assert response.status_code == 201
    assert list(run) == FIELDS
    assert run | {"id": "", "created_at": "", "run_at": ""} == {
        "id": "",
        "job_type": "acme_sync",
        "status": "pending",
        "team_id": str(world.team.id),
        "project_id": str(world.project.id),
        "triggered_by": f"manual:api_key:{key_id}",
        "params": {"pages": 3},
        "progress": None,
        "result": None,
        "error": None,
        "notify": True,
        "started_at": None,
        "completed_at": None,
        "created_at": "",
        "run_at": "",
        "attempt": 0,
        "max_attempts": 1,
        "cancel_requested_at": None,
        "cancelled_by": None,
        "triggered_by_name": "key test key",
        "cancelled_by_name": None,
        "waiting_for": {"reason": "no_server", "detail": "no server is alive", "until": None, "since": None},
        "omitted": None,
    }


async def test_a_users_run_names_the_user(world: World, as_owner: httpx.AsyncClient) -> None:
    """Who triggered a run is stored as manual:user:<id>."""
    run = (await trigger(as_owner, world)).json()["job_run"]
    ((user_id,),) = await world.sql("select id::text from users where email = 'owner@acme.test'")
    assert run["triggered_by"] == f"manual:user:{user_id}"


async def test_times_have_three_digits(world: World, as_key: httpx.AsyncClient) -> None:
    """Times are UTC and end in exactly three digits and a Z, whatever the row holds."""
    run_id = await world.run_row(**ENDED, created_at="2026-03-28T22:00:00+02:00", result='{"n": 1}')
    run = (await as_key.get(f"/v1/jobs/{run_id}")).json()["job_run"]
    times = (run["created_at"], run["started_at"], run["completed_at"])
    assert times == ("2026-03-28T20:00:00.000Z", "2026-03-28T20:00:00.500Z", "2026-03-28T20:00:01.250Z")
    assert run["result"] == {"n": 1}


async def test_list_shows_the_new_run_first(world: World, as_key: httpx.AsyncClient) -> None:
    """The newest run heads the list, and a view of it says the same."""
    await world.run_row(created_at="2020-01-01")
    await trigger(as_key, world)
    first = (await as_key.get(runs_of(world.team))).json()["job_runs"][0]
    assert first["job_type"] == "acme_sync"
    assert (await as_key.get(f"/v1/jobs/{first['id']}")).json() == {"job_run": first}


async def test_list_filters(world: World, as_key: httpx.AsyncClient) -> None:
    """Every filter narrows the list as documented; empty and unknown parameters do not."""
    old, new = await world.run_row(**ENDED, created_at="2020-03-28T20:00:00.123456Z"), await world.run_row()
    wanted: dict[str, list[str]] = {
        "job_type=crowd": [new, old],
        "job_type=nobody_knows_it": [],
        "job_type=null": [],
        "status=completed": [old],
        "status=pending": [new],
        "status=failed": [],
        "since=1h": [new],
        "until=1h": [old],
        "since=2020-01-01&until=2020-12-31T00:00:00Z": [old],
        "since=2020-03-28T20:00:00.123456Z&until=2020-03-28T20:00:00.123456Z": [old],
        "since=2020-03-28T20:00:00.123457Z": [new],
        f"project_id={world.project.id}": [new, old],
        f"project_id={world.other_project.id}": [],
        "status=&job_type=&since=&limit=&cursor=&project_id=&until=": [new, old],
        "whatever=1&whatever=2": [new, old],
    }
    got = {}
    for query in wanted:
        response = await as_key.get(f"{runs_of(world.team)}?{query}")
        got[query] = [run["id"] for run in response.json()["job_runs"]]
    assert got == wanted


async def test_limit_is_brought_into_bounds(world: World, as_key: httpx.AsyncClient) -> None:
    """A limit below 1 is 1, above 200 is 200, and 0 or none is 50."""
    await world.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive) "
        "select 'crowd', %(t)s, %(p)s, 'schedule', false from generate_series(1, 201)",
        t=world.team.id,
        p=world.project.id,
    )
    bounds = {"2": 2, "-5": 1, "0": 50, "": 50, "9999": 200, "200": 200, "1e1": 10, "9" * 30: 200}
    got = {}
    for limit in bounds:
        page = (await as_key.get(f"{runs_of(world.team)}?limit={limit}")).json()
        assert (page["has_more"], page["cursor"] is not None) == (True, True)
        got[limit] = len(page["job_runs"])
    assert got == bounds


async def test_cursor_loses_no_row_of_the_same_microsecond(world: World, as_key: httpx.AsyncClient) -> None:
    """Walking page by page visits every run once, also those that share a microsecond or a millisecond."""
    times = ["20:00:00.123456"] * 3 + ["20:00:00.123457", "20:00:00.123999", "20:00:00.124"]
    ids = {await world.run_row(created_at=f"2026-03-28T{time}Z") for time in times}
    seen: list[str] = []
    query = {"limit": "2"}
    ends = []
    for _ in range(3):
        page = (await as_key.get(runs_of(world.team), params=query)).json()
        seen += [run["id"] for run in page["job_runs"]]
        query["cursor"] = page["cursor"]
        ends.append((page["has_more"], page["cursor"] is not None))
    assert ends == [(True, True), (True, True), (False, False)]
    assert len(seen) == 6
    assert set(seen) == ids


async def test_cursor_has_microseconds_and_takes_milliseconds(world: World, as_key: httpx.AsyncClient) -> None:
    """The cursor is <time with microseconds>|<run id>, and one with milliseconds is understood too."""
    ids = [await world.run_row(created_at=f"2026-03-28T20:00:0{second}.5Z") for second in range(3)]
    page = (await as_key.get(f"{runs_of(world.team)}?limit=1")).json()
    assert page["cursor"] == f"2026-03-28T20:00:02.500000Z|{ids[2]}"
    older = (await as_key.get(runs_of(world.team), params={"cursor": f"2026-03-28T20:00:01.500Z|{ids[1]}"})).json()
    assert [run["id"] for run in older["job_runs"]] == [ids[0]]


async def test_second_trigger_is_told_the_first_run(world: World, as_key: httpx.AsyncClient) -> None:
    """A duplicate gets 409 with the id of the run that holds the slot."""
    first = (await trigger(as_key, world)).json()["job_run"]
    second = await trigger(as_key, world)
    assert second.status_code == 409
    assert second.json() == {
        "error": "A job of this type is already running or pending",
        "existing_run_id": first["id"],
    }


async def test_trigger_refuses(world: World, as_key: httpx.AsyncClient) -> None:
    """What cannot be triggered is refused with the known sentence, and no run is made."""
    foreign = str(world.other_project.id)
    refused = [
        ({}, 400, "Invalid job_type. Must be one of: acme_sync, crowd, steady"),
        ({"job_type": "nope"}, 400, "Invalid job_type. Must be one of: acme_sync, crowd, steady"),
        ({"job_type": "db_pruning"}, 400, 'Cannot trigger system job "db_pruning" via API'),
        ({"job_type": "steady"}, 400, "project_id is required for project-scoped jobs"),
        ({"job_type": "steady", "project_id": str(uuid4())}, 404, "Project not found"),
        ({"job_type": "steady", "project_id": foreign}, 404, "Project not found"),
    ]
    got = []
    for body, _, _ in refused:
        response = await as_key.post(f"{runs_of(world.team)}/trigger", json=body)
        got.append((body, response.status_code, response.json()["error"]))
    assert got == refused
    assert await world.sql("select count(*) from job_runs") == [(0,)]


async def test_trigger_of_a_deleted_project_is_not_found(world: World, as_key: httpx.AsyncClient) -> None:
    """A soft-deleted project counts as absent."""
    await world.sql("update projects set deleted_at = now() where id = %(id)s", id=world.project.id)
    response = await trigger(as_key, world)
    assert (response.status_code, response.json()) == (404, {"error": "Project not found"})


async def test_a_member_of_two_teams_cannot_reach_across(world: World, as_owner: httpx.AsyncClient) -> None:
    """A user of two teams cannot run a job on one team's project through the other team's path."""
    await world.sql(
        "insert into team_members (team_id, user_id, role) select %(t)s, id, 'member' from users where email = 'owner@acme.test'",
        t=world.other_team.id,
    )
    body = {"job_type": "steady", "project_id": str(world.other_project.id)}
    response = await as_owner.post(f"{runs_of(world.team)}/trigger", json=body)
    assert (response.status_code, response.json()) == (404, {"error": "Project not found"})


async def test_view_of_an_unknown_run(as_key: httpx.AsyncClient) -> None:
    """An id that nobody has is not found."""
    response = await as_key.get(f"/v1/jobs/{uuid4()}")
    assert (response.status_code, response.json()) == (404, {"error": "Job run not found"})


async def test_cancel_of_a_pending_run(world: World, as_key: httpx.AsyncClient) -> None:
    """A pending run is cancelled at once; the request needs neither body nor content type."""
    run_id = await world.run_row()
    response = await as_key.post(f"/v1/jobs/{run_id}/cancel")
    assert (response.status_code, response.json()) == (200, {"cancelled": True})
    assert await world.status(run_id) == "cancelled"


async def test_cancel_of_a_running_run(world: World, as_key: httpx.AsyncClient) -> None:
    """A running run is asked to end, on whichever server it runs; asking twice is fine."""
    run_id = await world.run_row(**RUNNING)
    for _ in range(2):
        response = await as_key.post(f"/v1/jobs/{run_id}/cancel")
        assert (response.status_code, response.json()) == (200, {"cancelled": True})
    assert await world.sql("select status, cancel_requested_at is not null from job_runs") == [("running", True)]


async def test_cancel_of_an_ended_run(world: World, as_key: httpx.AsyncClient) -> None:
    """A run that has ended cannot be cancelled, and the answer says how it ended."""
    run_id = await world.run_row(**ENDED)
    response = await as_key.post(f"/v1/jobs/{run_id}/cancel")
    assert (response.status_code, response.json()) == (400, {"error": 'Cannot cancel a job with status "completed"'})


@pytest.mark.parametrize("who", ["key", "owner"])
async def test_system_runs_are_invisible(world: World, client: httpx.AsyncClient, who: str) -> None:
    """A system run can be neither seen nor touched through the API, even by who knows its id."""
    run_id = await world.system_run()
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/logs")):
        response = await client.request(method, f"/v1/jobs/{run_id}{path}", headers=world.auth(who))
        assert (response.status_code, response.json()) == (404, {"error": "Job run not found"})
    listed = await client.get(runs_of(world.team), headers=world.auth(who))
    assert listed.json()["job_runs"] == []
    assert await world.status(run_id) == "pending"


async def test_logs_can_be_followed(world: World, as_key: httpx.AsyncClient) -> None:
    """Each page's cursor leads to the next lines, also when there are none yet."""
    run_id = await world.run_row(**RUNNING)

    async def write(attempt: int, *seqs: int) -> None:
        for seq in seqs:
            await world.sql(
                "insert into job_run_logs values (%(r)s, %(a)s, %(s)s, '2026-03-28T20:00:00.1234Z', 'INFO', 'acme', %(m)s)",
                r=run_id,
                a=attempt,
                s=seq,
                m=f"line {attempt}.{seq}",
            )

    async def page(**query: str) -> tuple[list[str], str | None, bool]:
        body = (await as_key.get(f"/v1/jobs/{run_id}/logs", params=query)).json()
        return [line["message"] for line in body["logs"]], body["cursor"], body["has_more"]

    assert await page() == ([], None, False)
    await write(1, 1, 2, 3)
    assert await page(limit="2") == (["line 1.1", "line 1.2"], "1.2", True)
    assert await page(after="1.2") == (["line 1.3"], "1.3", False)
    assert await page(after="1.3") == ([], "1.3", False)
    await write(2, 1)
    assert await page(after="1.3") == (["line 2.1"], "2.1", False)
    assert (await as_key.get(f"/v1/jobs/{run_id}/logs?after=1.3")).json()["logs"] == [
        {
            "attempt": 2,
            "seq": 1,
            "at": "2026-03-28T20:00:00.123Z",
            "level": "INFO",
            "logger": "acme",
            "message": "line 2.1",
        }
    ]


async def test_job_types_are_those_that_a_team_can_trigger(as_key: httpx.AsyncClient) -> None:
    """The job types are listed by name with the schema of their params, without the system's."""
    listed = (await as_key.get("/v1/job-types")).json()["job_types"]
    assert [one["name"] for one in listed] == ["acme_sync", "crowd", "steady"]
    assert list(listed[0]) == ["name", "label", "description", "scope", "params_schema"]
    assert listed[0]["label"] == "Acme Sync"
    assert listed[0]["description"] == "Copy everything from Acme."
    assert listed[0]["params_schema"]["properties"]["pages"] == {"type": "integer", "default": 1}


async def test_trigger_is_audited(world: World, as_key: httpx.AsyncClient) -> None:
    """Who triggered what stands in the team's audit log."""
    run = (await trigger(as_key, world)).json()["job_run"]
    rows = await world.sql(
        "select actor_type::text, action::text, metadata from audit_logs where resource_type = 'job_run' and resource_id = %(id)s",
        id=run["id"],
    )
    assert rows == [("api_key", "create", {"job_type": "acme_sync", "project_id": str(world.project.id)})]
