"""Who may do what, over every route and every kind of credential: made from the table of routes."""

from typing import Any

import httpx
import pytest

from owlrunner.accounts import Administration
from owlrunner.web.route import Auth, Route
from owlrunner.web.routes import ROUTES
from tests.web.web_world import World

SENTENCES = {
    "nobody": "Missing authorization",
    "unknown key": "Invalid API key",
    "revoked key": "Invalid API key",
    "expired key": "API key expired",
    "unknown token": "Invalid or expired token",
    "expired token": "Invalid or expired token",
}
KEYS = ("key", "reading key", "writing key", "powerless key", "client key", "rival key")
USERS = ("member", "admin", "owner", "rival")
HOLDS = {"reading key": {"jobs:read"}, "writing key": {"jobs:write"}, "powerless key": set(), "client key": set()}
ABOUT_TEAM_KEYS = {"create_key", "list_keys", "revoke_key"}
FOR_MEMBERS = {"list_projects", "view_project", "list_providers", "list_integrations"}
LAST = ("delete_integration", "revoke_key", "delete_project")
"""What the other routes need must be there until they have been tried."""


def expected(route: Route, who: str) -> tuple[int, str | None]:
    """Status and error text that the table promises for a sound request: the first obstacle, or success."""
    for_admins = route.name not in FOR_MEMBERS and (
        bool(route.permissions) or any(part in route.path for part in ("{teamId}", "{runId}", "{projectId}"))
    )
    lacking = [one for one in route.permissions if one not in HOLDS.get(who, set(route.permissions))]
    obstacles = [
        (who in SENTENCES, 401, SENTENCES.get(who, "")),
        (who in KEYS and route.auth is Auth.USER, 403, route.users_only),
        (bool(lacking), 403, f"Missing permission: {', '.join(lacking)}"),
        (
            who.startswith("rival") and ("{teamId}" in route.path or route.name == "create_project"),
            403,
            "Not a member of this team",
        ),
        (who.startswith("rival") and "{projectId}" in route.path, 404, "Project not found"),
        (who.startswith("rival") and "{runId}" in route.path, 404, "Job run not found"),
        (who.startswith("rival") and "{keyId}" in route.path, 404, "API key not found"),
        (route.name == "remove_member" and who in {"member", "admin"}, 403, "Requires owner role or higher"),
        (
            who == "member" and (for_admins or route.name in ABOUT_TEAM_KEYS),
            403,
            "Requires admin role or higher",
        ),
    ]
    met = [(status, error) for applies, status, error in obstacles if applies and route.auth is not Auth.NONE]
    return met[0] if met else (min(route.answers), None)


async def _call(
    client: httpx.AsyncClient, world: World, route: Route, who: str, path: dict[str, str]
) -> httpx.Response:
    bodies: dict[str, Any] = {
        "trigger_run": {"job_type": "acme_sync", "project_id": str(world.project.id)},
        "trigger_batch": {"runs": []},
        "send_code": {"email": "new@acme.test"},
        "create_key": {"name": "k", "key_type": "agent"},
        "create_project": {"team_id": str(world.team.id), "name": "Docs", "slug": "docs"},
        "update_project": {"name": "Site"},
        "create_integration": {"provider": "acme", "config": {"api_key": "sk_acme"}},
        "update_integration": {"enabled": True},
    }
    if route.name in {"verify_code", "agent_login"}:
        await client.post("/v1/auth/send-code", json={"email": f"{route.name}@acme.test"})
        bodies[route.name] = {"email": f"{route.name}@acme.test", "code": world.outbox.last_code()}
    body = {"json": bodies[route.name]} if route.name in bodies else {}
    # Signing out would end the credential that the next routes are tried with.
    headers = {} if route.name == "logout" else world.auth(who)
    # A stream that is let in does not end; its headers tell enough.
    method = "HEAD" if route.streams and expected(route, who)[0] == 200 else route.method
    return await client.request(method, route.path.format(**path), headers=headers, **body)


@pytest.mark.parametrize("who", [*SENTENCES, *KEYS, *USERS])
async def test_every_route_lets_in_whom_the_table_says(world: World, client: httpx.AsyncClient, who: str) -> None:
    """Each route answers each kind of caller with the status and the sentence that its declaration stands for."""
    ((key_id,),) = await world.sql(
        "select id::text from api_keys where deleted_at is null and team_id = %(t)s limit 1", t=world.team.id
    )
    await Administration(world.db).create_user("leaver@acme.test", "acme", "member")
    ((user_id,),) = await world.sql("select id::text from users where email = 'leaver@acme.test'")
    got, wanted = {}, {}
    # A webhook shows a secret of its project; see test_webhooks.
    routes = [route for route in ROUTES if route.name != "receive_webhook"]
    for route in sorted(routes, key=lambda route: LAST.index(route.name) if route.name in LAST else -1):
        path = {"teamId": str(world.team.id), "runId": await world.run_row(), "keyId": key_id, "userId": user_id}
        path |= {"projectId": str(world.project.id), "provider": "acme"}
        response = await _call(client, world, route, who, path)
        name = f"{route.method} {route.path}"
        wanted[name] = expected(route, who)
        if route.name == "verify_code":
            wanted[name] = (201, None)
        got[name] = (response.status_code, response.json().get("error") if response.content else None)
    assert got == wanted
