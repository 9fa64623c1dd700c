"""The audit log: who has done what in a team, from where, and who may read it."""

from typing import Any

import httpx
import pytest

from owlrunner.accounts import Administration
from owlrunner.actor import OperatorActor
from owlrunner.jobs import Jobs
from owlrunner.trigger_request import TriggerRequest
from tests.web.web_world import CATALOG, World, asgi_client

CLIENT = {"user-agent": "owl/1"}


def logs_of(world: World) -> str:
    """Where a team's audit log is."""
    return f"/v1/teams/{world.team.id}/audit-logs"


def told(page: httpx.Response) -> list[tuple[str, ...]]:
    """Who has done what."""
    return [
        (one["actor_type"], one["actor_name"], one["action"], one["resource_type"]) for one in page.json()["audit_logs"]
    ]


async def fresh(world: World) -> None:
    """Forget what setting the scene has written."""
    await world.sql("delete from audit_logs")


async def test_what_was_done_in_a_team(world: World, as_key: httpx.AsyncClient) -> None:
    """Triggers and cancels of keys and users, keys that were made and revoked, each with its client; newest first, page by page."""
    await fresh(world)
    async with asgi_client(world.app, "192.0.2.7") as elsewhere:
        elsewhere.headers.update(world.auth("owner") | CLIENT)
        body = {"job_type": "crowd", "project_id": str(world.project.id)}
        run = (await elsewhere.post(f"/v1/teams/{world.team.id}/jobs/trigger", json=body)).json()["job_run"]["id"]
        await elsewhere.post(f"/v1/jobs/{run}/cancel")
        batch = await elsewhere.post(f"/v1/teams/{world.team.id}/jobs/trigger-batch", json={"runs": [body]})
        key = (await elsewhere.post("/v1/auth/keys", json={"name": "ci", "key_type": "agent"})).json()
        await elsewhere.delete(f"/v1/auth/keys/{key['api_key']['id']}")
    await as_key.post(f"/v1/teams/{world.team.id}/jobs/trigger", json=body)
    page = await as_key.get(logs_of(world))
    assert told(page) == [
        ("api_key", "key test key", "create", "job_run"),
        ("user", "owner@acme.test", "delete", "api_key"),
        ("user", "owner@acme.test", "create", "api_key"),
        ("user", "owner@acme.test", "create", "job_run"),
        ("user", "owner@acme.test", "update", "job_run"),
        ("user", "owner@acme.test", "create", "job_run"),
    ]
    entries = page.json()["audit_logs"]
    assert {(one["client"], one["user_agent"]) for one in entries[1:]} == {("192.0.2.7", "owl/1")}
    assert (entries[0]["client"], entries[0]["user_agent"][:12]) == (None, "python-httpx")
    assert entries[3]["resource_id"] == batch.json()["results"][0]["id"]
    assert [entries[number]["resource_id"] for number in (4, 5)] == [run, run]
    pages: list[Any] = []
    cursor = ""
    while len(pages) < 3:
        part = (await as_key.get(f"{logs_of(world)}?limit=2{cursor}")).json()
        pages.append(part)
        cursor = f"&cursor={part['cursor']}"
    assert [one for part in pages for one in part["audit_logs"]] == entries
    assert [part["has_more"] for part in pages] == [True, True, False]
    assert pages[-1]["cursor"] is None


async def test_a_sign_up_tells_from_where_it_came(world: World) -> None:
    """The team that a new user gets is in its audit log with the client's address and user agent."""
    async with asgi_client(world.app, "192.0.2.7") as elsewhere:
        elsewhere.headers.update(CLIENT)
        await elsewhere.post("/v1/auth/send-code", json={"email": "zoe@acme.test"})
        body = {"email": "zoe@acme.test", "code": world.outbox.last_code()}
        signed_in = (await elsewhere.post("/v1/auth/verify-code", json=body)).json()
    made = await world.sql(
        "select actor_id, client, user_agent from audit_logs where team_id = %(team)s and resource_type = 'team'",
        team=signed_in["teams"][0]["id"],
    )
    assert made == [(signed_in["user"]["id"], "192.0.2.7", "owl/1")]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("resource_type=job_run", 2),
        ("resource_type=api_key", 1),
        ("action=update", 1),
        ("actor_id=operator", 1),
        ("resource_id=r1", 2),
        ("since=1h", 2),
        ("until=1h", 1),
        ("", 3),
    ],
)
async def test_entries_are_filtered(world: World, as_key: httpx.AsyncClient, query: str, number: int) -> None:
    """By what was changed, by whom, how and when."""
    await fresh(world)
    put = """
        insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, "timestamp")
        values (%(team)s, 'api_key', 'k', 'create', 'job_run', 'r1', now() - interval '2 hours'),
            (%(team)s, 'api_key', 'k', 'update', 'job_run', 'r1', now()),
            (%(team)s, 'system', 'operator', 'create', 'api_key', 'k1', now()),
            (%(other)s, 'system', 'operator', 'update', 'job_run', 'r1', now()),
            (null, 'system', 'operator', 'update', 'job_run', 'r1', now())
    """
    await world.sql(put, team=world.team.id, other=world.other_team.id)
    assert len((await as_key.get(f"{logs_of(world)}?{query}")).json()["audit_logs"]) == number


async def test_the_operators_acts(world: World, as_key: httpx.AsyncClient) -> None:
    """What the operator does to a team stands in its log; what belongs to no team, and a secret, in none."""
    await fresh(world)
    admin = Administration(world.db)
    await admin.create_project("acme", "Second")
    await admin.create_user("new@acme.test", "acme", "member")
    await admin.create_user("new@acme.test", "acme", "admin")
    await admin.create_user("new@acme.test", "acme", "admin")
    for secret in ("s3cr3t", "other"):
        await admin.set_integration("acme/site", "revenuecat", {"api_key": secret})
    jobs = Jobs(world.db, CATALOG)
    run = await jobs.trigger(OperatorActor(), world.team.id, TriggerRequest("crowd", str(world.project.id)))
    await jobs.cancel(OperatorActor(), run.id)
    await jobs.trigger(OperatorActor(), None, TriggerRequest("db_pruning"))
    page = await as_key.get(logs_of(world))
    assert {entry[:2] for entry in told(page)} == {("system", "operator")}
    assert [entry[2:] for entry in reversed(told(page))] == [
        ("create", "project"),
        ("create", "team_member"),
        ("update", "team_member"),
        ("create", "integration"),
        ("update", "integration"),
        ("create", "job_run"),
        ("update", "job_run"),
    ]
    (changed,) = [one["changes"] for one in page.json()["audit_logs"] if one["changes"] and one["action"] == "update"]
    assert changed == {"role": {"before": "member", "after": "admin"}}
    assert "s3cr3t" not in page.text
    ((resource_type,),) = await world.sql("select resource_type from audit_logs where team_id is null")
    assert resource_type == "job_run"


async def test_the_page(world: World, admins: httpx.AsyncClient) -> None:
    """An admin reads who has done what, with links to runs and older pages; nothing in it is executed by a browser."""
    await fresh(world)
    assert "Nothing has been done yet." in (await admins.get("/dashboard/audit")).text
    put = """
        insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client)
        select %(team)s, 'system', 'operator', 'create', 'api_key', n, '{"name": "<b>ci</b>"}', '192.0.2.7'
        from generate_series(1, 49) n
    """
    await world.sql(put, team=world.team.id)
    form = {"form_key": ""}
    run_id = await world.run_row()
    page = (await admins.get(f"/dashboard/jobs/{run_id}")).text
    form["form_key"] = page.partition('name="form_key" value="')[2].partition('"')[0]
    assert (await admins.post(f"/dashboard/jobs/{run_id}/cancel", data=form)).status_code == 303
    await world.sql("""update audit_logs set "timestamp" = "timestamp" - interval '1 day' where resource_id = '7'""")
    first = (await admins.get("/dashboard/audit")).text
    assert f'<a href="/dashboard/jobs/{run_id}">' in first
    assert ("&lt;b&gt;ci&lt;/b&gt;" in first, "<b>ci" in first, "192.0.2.7" in first) == (True, False, True)
    assert 'rel="next"' not in first
    await world.sql(put, team=world.team.id)
    older = (await admins.get("/dashboard/audit")).text.partition('rel="next" href="')[2].partition('"')[0]
    second = (await admins.get(older.replace("&amp;", "&"))).text
    assert ("Newest" in second, second.count("<tr>")) == (True, 1 + 49)


async def test_members_do_not_read_it(world: World, browser: httpx.AsyncClient) -> None:
    """Who is no admin sees no entry, also not of another team."""
    browser.cookies.set("token", world.credentials["member"])
    page = await browser.get("/dashboard/audit")
    assert (page.status_code, "You are a member of Acme" in page.text) == (200, True)
    browser.cookies.set("token", world.credentials["admin"])
    assert (await browser.get("/dashboard/audit?team=rival")).status_code == 403
