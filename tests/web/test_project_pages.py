"""The pages of projects: a team's admin makes one, connects it and starts a sync, without JavaScript."""

from uuid import uuid4

import httpx
import pytest

from owlrunner.accounts import Administration
from tests.web.test_integrations import SECRET
from tests.web.test_pages import form_key
from tests.web.web_world import World, asgi_client

LIST = "/dashboard/projects"


async def send(admins: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Send a form with the key that every form of this visitor carries."""
    page = await admins.get(LIST)
    return await admins.post(path, data={"form_key": form_key(page.text)} | fields)


async def test_a_project_is_made_and_connected(world: World, admins: httpx.AsyncClient) -> None:
    """A new project has a slug from its name; its page connects it, and shows the secret to nobody any more."""
    made = await send(admins, LIST, team="acme", name="My Docs", slug="")
    path = made.headers["location"].partition("?")[0]
    page = (await admins.get(made.headers["location"])).text
    assert "The project is created." in page
    assert "<code>my-docs</code>" in page
    connected = await send(
        admins, f"{path}/integrations/acme", **{"config-api_key": f" {SECRET} ", "config-region": ""}
    )
    assert connected.headers["location"] == f"{path}?note=connected"
    page = (await admins.get(path)).text
    assert 'placeholder="sk_n****"' in page
    assert SECRET not in page
    assert await world.sql("select config from project_integrations") == [({"api_key": SECRET},)]
    listed = (await admins.get(LIST)).text
    assert f'<a href="{path}"><bdi>My Docs</bdi></a>' in listed


@pytest.mark.parametrize(
    ("fields", "status", "complaint"),
    [
        ({"name": "Site", "slug": ""}, 409, "A project with this slug already exists in your team"),
        ({"name": " ", "slug": "x"}, 400, "team_id, name, and slug are required"),
        ({"name": "&lt;", "slug": "A b"}, 400, "slug must contain only lowercase letters, numbers, and hyphens"),
    ],
)
async def test_what_was_typed_is_kept(
    world: World, admins: httpx.AsyncClient, fields: dict[str, str], status: int, complaint: str
) -> None:
    """A form that cannot be used comes back with what is wrong and with what was typed."""
    page = await send(admins, LIST, team="acme", **fields)
    assert (page.status_code, complaint in page.text) == (status, True)
    assert f'value="{fields["slug"]}"' in page.text
    assert await world.sql("select count(*) from projects where team_id = %(t)s", t=world.team.id) == [(1,)]


async def test_a_secret_stays_unless_another_is_typed(world: World, admins: httpx.AsyncClient) -> None:
    """Saving a configuration changes what is not secret, also to nothing, and a secret only where one was typed."""
    path = f"{LIST}/{world.project.id}/integrations/acme"
    await send(admins, path, **{"config-api_key": SECRET, "config-region": "eu"})
    for typed, stored in (({"region": "", "api_key": ""}, SECRET), ({"region": "", "api_key": "sk_new"}, "sk_new")):
        saved = await send(admins, path, there="yes", **{f"config-{key}": text for key, text in typed.items()})
        assert saved.headers["location"].endswith("?note=saved")
        assert await world.sql("select config from project_integrations") == [({"api_key": stored, "region": ""},)]


async def test_a_secret_is_not_sent_back(world: World, admins: httpx.AsyncClient) -> None:
    """A configuration that is refused comes back without its secret, open, and with what is wrong at its provider."""
    path = f"{LIST}/{world.project.id}/integrations/acme"
    page = await send(admins, path, **{"config-api_key": SECRET, "config-region": "eu" * 3000})
    assert page.status_code == 400
    assert SECRET not in page.text
    assert "<details open>" in page.text
    assert page.text.count("Config field &#34;region&#34; must have at most 4096 characters") == 1


async def test_an_integration_is_switched_off_and_on_and_removed(world: World, admins: httpx.AsyncClient) -> None:
    """Disable, enable and disconnect do so, and say so; a sync is offered only where it can be started."""
    page = f"{LIST}/{world.project.id}"
    path = f"{page}/integrations/acme"
    await send(admins, path, **{"config-api_key": SECRET})
    for act, enabled, badge in (("disable", False, "disabled"), ("enable", True, "connected")):
        answer = await send(admins, f"{path}/{act}")
        assert answer.headers["location"] == f"{page}?note={act}d"
        assert await world.sql("select enabled from project_integrations") == [(enabled,)]
        shown = (await admins.get(answer.headers["location"])).text
        assert (f">{badge}</span>" in shown, "Sync now" in shown) == (True, enabled)
    assert (await send(admins, f"{path}/explode")).status_code == 404
    await send(admins, f"{path}/disconnect")
    shown = (await admins.get(page)).text
    assert ("not connected" in shown, "Sync now" in shown) == (True, False)


async def test_where_webhooks_go_is_told(world: World, admins: httpx.AsyncClient) -> None:
    """The page of a connected project has the address of its webhooks, and says that they need a secret."""
    page = f"{LIST}/{world.project.id}"
    address = f"/v1/webhooks/acme/{world.project.id}</code>"
    assert address not in (await admins.get(page)).text
    await send(admins, f"{page}/integrations/acme", **{"config-api_key": SECRET})
    shown = (await admins.get(page)).text
    assert (address in shown, "are not taken until" in shown) == (True, True)
    await send(admins, f"{page}/integrations/acme", there="yes", **{"config-webhook_secret": SECRET})
    shown = (await admins.get(page)).text
    assert (address in shown, "are not taken until" in shown) == (True, False)


async def test_a_sync_leads_to_its_run(world: World, admins: httpx.AsyncClient) -> None:
    """Starting a sync leads to its run; starting it again, to the run that exists."""
    path = f"{LIST}/{world.project.id}/integrations/acme"
    await send(admins, path, **{"config-api_key": SECRET})
    first = await send(admins, f"{path}/sync")
    ((run_id,),) = await world.sql("select id::text from job_runs")
    assert first.headers["location"] == f"/dashboard/jobs/{run_id}?note=started"
    again = await send(admins, f"{path}/sync")
    assert again.headers["location"] == f"/dashboard/jobs/{run_id}"


async def test_a_project_is_renamed_and_deleted(world: World, admins: httpx.AsyncClient) -> None:
    """A project gets another name; it is deleted only where its slug is written, and says what has become of it."""
    path = f"{LIST}/{world.project.id}"
    renamed = await send(admins, f"{path}/rename", name="The <Site>")
    assert "The &lt;Site&gt;" in (await admins.get(renamed.headers["location"])).text
    unnamed = await send(admins, f"{path}/rename", name="  ")
    assert (unnamed.status_code, "name: expected 1 to 255 printable characters" in unnamed.text) == (400, True)
    wrong = await send(admins, f"{path}/delete", slug="sight")
    assert (wrong.status_code, "Nothing was deleted" in wrong.text) == (400, True)
    gone = await send(admins, f"{path}/delete", slug="site")
    assert gone.headers["location"] == f"{LIST}?team={world.team.id}&note=deleted"
    page = (await admins.get(gone.headers["location"])).text
    assert ("The project is deleted." in page, "has no project yet" in page) == (True, True)
    assert (await admins.get(path)).status_code == 404


async def test_what_no_plugin_offers_is_shown(world: World, admins: httpx.AsyncClient) -> None:
    """An integration whose plugin is gone is named, and can be disconnected."""
    await Administration(world.db).set_integration("acme/site", "old one", {"token": SECRET})
    path = f"{LIST}/{world.project.id}"
    page = (await admins.get(path)).text
    assert ("<bdi>old one</bdi>" in page, SECRET in page) == (True, False)
    assert f'action="{path}/integrations/old%20one/disconnect"' in page
    await send(admins, f"{path}/integrations/old%20one/disconnect")
    assert "old one" not in (await admins.get(path)).text


async def test_others_projects_have_no_page(world: World, admins: httpx.AsyncClient) -> None:
    """A project of another team is not found, whatever is asked of it; a stranger signs in first, and a form needs its key."""
    for project, status in ((world.other_project.id, 404), (uuid4(), 404), ("x", 400)):
        assert (await admins.get(f"{LIST}/{project}")).status_code == status
        for act in ("rename", "delete", "integrations/acme", "integrations/acme/sync", "integrations/acme/disable"):
            assert (await send(admins, f"{LIST}/{project}/{act}", name="x", slug="site")).status_code == status
    foreign = await admins.post(f"{LIST}/{world.project.id}/delete", data={"slug": "site"})
    assert (foreign.status_code, "This form is out of date" in foreign.text) == (403, True)
    async with asgi_client(world.app) as stranger:
        assert (await stranger.get(LIST)).headers["location"] == "/sign-in?next=/dashboard/projects"
