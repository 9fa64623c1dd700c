"""Projects over HTTP: a team makes, names and deletes its own, and sees nobody else's."""

from uuid import uuid4

import httpx
import pytest

from owlrunner.actor import OperatorActor
from owlrunner.storage import integrations, projects
from tests.web.web_world import World


async def test_projects_are_listed_of_the_callers_teams(world: World, client: httpx.AsyncClient) -> None:
    """A list has the projects of all teams of the caller, the oldest first, or of the one that is named; never others."""
    made = await _create(client, world, "admin", slug="a-docs")
    for who in ("key", "admin", "member"):
        listed = (await client.get("/v1/projects", headers=world.auth(who))).json()["projects"]
        assert [one["slug"] for one in listed] == ["site", "a-docs"], who
        assert listed[1] == made
    for team, slugs in ((world.team.id, ["site", "a-docs"]), (world.other_team.id, []), (uuid4(), [])):
        named = await client.get(f"/v1/projects?team_id={team}", headers=world.auth("admin"))
        assert [one["slug"] for one in named.json()["projects"]] == slugs


async def test_a_project_is_viewed(world: World, client: httpx.AsyncClient) -> None:
    """One project has the fields of a list, and the empty list of apps that OwlMetry's clients read."""
    made = await _create(client, world, "key", slug="docs", name="Docs")
    seen = await client.get(f"/v1/projects/{made['id']}", headers=world.auth("key"))
    assert seen.json() == made | {"apps": []}
    assert made | {"id": "", "created_at": ""} == {
        "id": "",
        "team_id": str(world.team.id),
        "name": "Docs",
        "slug": "docs",
        "created_at": "",
    }


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"slug": None}, 400, "team_id, name, and slug are required"),
        ({"name": ""}, 400, "team_id, name, and slug are required"),
        ({"team_id": None}, 400, "team_id, name, and slug are required"),
        (
            {"slug": "My Site"},
            400,
            "slug must contain only lowercase letters, numbers, and hyphens, 200 at most",
        ),
        (
            {"slug": "a" * 201},
            400,
            "slug must contain only lowercase letters, numbers, and hyphens, 200 at most",
        ),
        ({"name": "\u200b"}, 400, "name: expected 1 to 255 printable characters"),
        ({"slug": "site"}, 409, "A project with this slug already exists in your team"),
        ({"team_id": "x"}, 403, "Not a member of this team"),
    ],
)
async def test_a_project_that_cannot_be_made_is_told(
    world: World, client: httpx.AsyncClient, change: dict[str, object], status: int, error: str
) -> None:
    """What is wrong with a new project is told in one sentence, and nothing is made."""
    body = {"team_id": str(world.team.id), "name": "Docs", "slug": "docs"} | change
    answer = await client.post("/v1/projects", json=body, headers=world.auth("admin"))
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert await world.sql("select count(*) from projects where team_id = %(t)s", t=world.team.id) == [(1,)]


async def test_a_project_is_renamed(world: World, client: httpx.AsyncClient) -> None:
    """A new name is told, kept, and noted with the old one; the slug stays, and what is no change is on no record."""
    for _ in range(2):
        answer = await client.patch(
            f"/v1/projects/{world.project.id}", json={"name": "The Site"}, headers=world.auth("admin")
        )
        assert (answer.json()["name"], answer.json()["slug"]) == ("The Site", "site")
    noted = await world.sql("select changes from audit_logs where resource_type = 'project' and action = 'update'")
    assert noted == [({"name": {"before": world.project.name, "after": "The Site"}},)]
    for bad, error in (
        ({}, "At least one field to update is required"),
        ({"color": "#22c55e"}, "body: object contains unknown field color"),
    ):
        answer = await client.patch(f"/v1/projects/{world.project.id}", json=bad, headers=world.auth("admin"))
        assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_a_deleted_project_is_gone_with_its_runs(world: World, client: httpx.AsyncClient) -> None:
    """A deleted project is found by nothing, its pending run ends as cancelled, and its slug is free; its row and runs stay."""
    run_id = await world.run_row()
    path = f"/v1/projects/{world.project.id}"
    assert (await client.delete(path, headers=world.auth("admin"))).json() == {"deleted": True}
    for method in ("GET", "DELETE"):
        answer = await client.request(method, path, headers=world.auth("admin"))
        assert (answer.status_code, answer.json()) == (404, {"error": "Project not found"})
    assert (await client.get("/v1/projects", headers=world.auth("admin"))).json() == {"projects": []}
    assert await world.sql("select status::text, cancelled_by from job_runs where id = %(i)s", i=run_id) == [
        ("cancelled", "project deleted")
    ]
    again = await _create(client, world, "admin", slug="site")
    assert again["id"] != str(world.project.id)
    slugs = await world.sql("select slug from projects where id = %(i)s", i=world.project.id)
    assert slugs == [(f"site~{world.project.id}",)]
    noted = await world.sql(
        "select action::text, actor_type::text, metadata from audit_logs where resource_type = 'project' and resource_id = %(i)s"
        " and action = 'delete'",
        i=str(world.project.id),
    )
    assert noted == [("delete", "user", {"name": world.project.name, "slug": "site"})]


async def test_a_freed_slug_is_nobody_elses(world: World, client: httpx.AsyncClient) -> None:
    """The slug of a deleted project is free whatever slugs other projects of the team have."""
    gone = await _create(client, world, "admin", slug="docs")
    await _create(client, world, "admin", slug=f"docs-{gone['id']}")
    await client.delete(f"/v1/projects/{gone['id']}", headers=world.auth("admin"))
    again = await _create(client, world, "admin", slug="docs")
    assert again["id"] != gone["id"]


async def test_a_team_has_so_many_projects_at_most(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the most that a team may have, a project is refused until one is deleted."""
    monkeypatch.setattr("owlrunner.projects.MOST_OF_TEAM", 2)
    made = await _create(client, world, "admin", slug="docs")
    body = {"team_id": str(world.team.id), "name": "More", "slug": "more"}
    refused = await client.post("/v1/projects", json=body, headers=world.auth("admin"))
    assert refused.status_code == 400
    assert refused.json()["error"] == "the team has 2 projects, which is the most; delete one first"
    await client.delete(f"/v1/projects/{made['id']}", headers=world.auth("admin"))
    assert (await client.post("/v1/projects", json=body, headers=world.auth("admin"))).status_code == 201


async def _create(
    client: httpx.AsyncClient, world: World, who: str, *, slug: str, name: str = "Docs"
) -> dict[str, object]:
    body = {"team_id": str(world.team.id), "name": name, "slug": slug}
    answer = await client.post("/v1/projects", json=body, headers=world.auth(who))
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


@pytest.mark.parametrize("gone", ["projects", "teams"])
async def test_nothing_is_written_for_what_was_deleted_meanwhile(world: World, gone: str) -> None:
    """What asks for a project that is deleted between the look and the write changes nothing, and notes nothing."""
    project, team = world.project.id, world.team.id
    actor = OperatorActor()
    await world.sql(f"update {gone} set deleted_at = now()")
    noted = "select count(*) from audit_logs"
    before = await world.sql(noted)
    if gone == "projects":
        assert await projects.rename(world.db, project, "Other", actor) is None
        assert await projects.delete(world.db, project, actor) is False
        assert await integrations.create(world.db, project, "acme", {}, actor) is None
    else:
        async with world.db.session() as session, session.transaction():
            assert await projects.create(session, team, "Docs", "docs", actor) is None
    assert await world.sql(noted) == before
