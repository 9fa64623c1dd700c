"""Starting a run from the pages: what may be started, what is said of a form that does not fit, and what comes of it."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from owlrunner.large_input import decoded
from owlrunner.web.forms import MAX_FORM, MAX_STRANGERS_FORM, MOST_FIELDS
from tests.web.test_pages import form_key
from tests.web.web_world import RUNNING, World, asgi_client

NEW = "/dashboard/jobs/new"


@pytest.fixture
async def form(world: World, admins: httpx.AsyncClient) -> dict[str, Any]:
    """What the form of a job type sends."""
    key = form_key((await admins.get(f"{NEW}?type=acme_sync")).text)
    return {"form_key": key, "team": "acme", "type": "acme_sync", "project": str(world.project.id), "param.pages": "2"}


async def test_what_may_be_started(admins: httpx.AsyncClient) -> None:
    """The job types of the project scope are offered, with what they do; those of the system are not, nor can they be asked for."""
    page = (await admins.get(NEW)).text
    assert re.findall(r"type=(\w+)", page) == ["acme_sync", "crowd", "steady"]
    assert "Copy everything from Acme." in page
    for unknown in ("db_pruning", "nothing"):
        assert (await admins.get(f"{NEW}?type={unknown}")).status_code == 404


async def test_a_run_is_started(world: World, admins: httpx.AsyncClient, form: dict[str, Any]) -> None:
    """A form that fits starts a run in the user's name, with the params as JSON, and leads to its page."""
    response = await admins.post(NEW, data=form | {"notify": "yes", "param.label": "x"})
    assert (response.status_code, response.headers["location"][-13:]) == (303, "?note=started")
    ((params, notify, by),) = await world.sql("select params, notify, triggered_by from job_runs")
    assert (params, notify) == ({"pages": 2, "label": "x"}, True)
    assert by.startswith("manual:user:")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"param.pages": "two"}, "Expected a whole number, got &#39;two&#39;"),
        ({"param.label": "NUL \x00"}, "text with NUL characters"),
        ({"project": "nonsense"}, "project_id: expected a uuid"),
        ({"project": "00000000-0000-4000-8000-000000000000"}, "Project not found"),
        ({"project": ""}, "project_id is required"),
    ],
)
async def test_what_does_not_fit_is_told(
    world: World, admins: httpx.AsyncClient, form: dict[str, Any], texts: dict[str, str], told: str
) -> None:
    """A form that does not fit comes back as it was filled in, with what is wrong; nothing has been started."""
    response = await admins.post(NEW, data=form | {"param.label": "kept"} | texts)
    assert response.status_code == 400
    assert told in response.text
    assert texts.get("param.label", "kept").replace("\x00", "") in response.text.replace("\x00", "")
    assert await world.sql("select id from job_runs") == []


async def test_another_teams_project_is_not_there(
    world: World, admins: httpx.AsyncClient, form: dict[str, Any]
) -> None:
    """A project of another team cannot be worked for, and another team's form is refused."""
    response = await admins.post(NEW, data=form | {"project": str(world.other_project.id)})
    assert (response.status_code, "Project not found" in response.text) == (400, True)
    assert (await admins.post(NEW, data=form | {"team": "rival"})).status_code == 403
    assert await world.sql("select id from job_runs") == []


async def test_what_runs_already_is_a_link(world: World, admins: httpx.AsyncClient, form: dict[str, Any]) -> None:
    """Where the slot is taken the page says so, with a link to the run that has it."""
    run_id = await world.run_row(job_type="acme_sync", exclusive=True, **RUNNING)
    response = await admins.post(NEW, data=form)
    assert response.status_code == 409
    assert f'<a href="/dashboard/jobs/{run_id}">see the run that exists</a>' in response.text


async def test_a_form_of_nobodys_starts_nothing(world: World, admins: httpx.AsyncClient, form: dict[str, Any]) -> None:
    """Without the key of this sign-in, or by a member, nothing is started."""
    assert (await admins.post(NEW, data=form | {"form_key": "0" * 64})).status_code == 403
    async with asgi_client(world.app) as members:
        members.cookies.set("token", world.credentials["member"])
        assert (await members.get(NEW)).status_code == 403
        assert (await members.post(NEW, data=form)).status_code == 403
    assert await world.sql("select id from job_runs") == []


async def test_a_form_is_read_within_bounds(
    world: World, client: httpx.AsyncClient, admins: httpx.AsyncClient, form: dict[str, Any]
) -> None:
    """For a user a form of 512 KiB or a thousand fields is read, for a stranger one of 16 KiB; what is larger is refused."""
    longest = MAX_FORM - len(urlencode(form | {"x": ""}))
    many = {str(number): "" for number in range(MOST_FIELDS - len(form))}
    for sent in ({"x": "a" * longest}, many):
        assert (await admins.post(NEW, data=form | sent)).status_code == 303
        await world.sql("delete from job_runs")
    for sent in ({"x": "a" * (longest + 1)}, many | {"x": "1"}):
        assert (await admins.post(NEW, data=form | sent)).status_code == 413
    for size, status in ((MAX_STRANGERS_FORM, 400), (MAX_STRANGERS_FORM + 1, 413)):
        text = "email=" + "x" * (size - len("email="))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert (await client.post("/sign-in", content=text, headers=headers)).status_code == status
    assert await world.sql("select count(*) from job_runs") == [(0,)]


@pytest.mark.parametrize(
    ("content_type", "form_text", "status"),
    [
        ("application/x-www-form-urlencoded", b"param.label=%ED%A0%80", 400),
        ("application/x-www-form-urlencoded", b"param.label=%FF", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="team"\r\n\r\nacme\r\n--x--\r\n',
            415,
        ),
    ],
    ids=["half a character", "no character", "in parts"],
)
async def test_a_form_that_no_page_of_ours_sends_is_refused(
    world: World, admins: httpx.AsyncClient, form: dict[str, Any], content_type: str, form_text: bytes, status: int
) -> None:
    """What is no UTF-8 is not stored as something else, and forms in parts, which take long to read, are not read at all."""
    sent = urlencode(form).encode() + b"&" + form_text
    answer = await admins.post(NEW, content=sent, headers={"content-type": content_type})
    assert answer.status_code == status
    assert await world.sql("select count(*) from job_runs") == [(0,)]


async def test_a_form_that_does_not_tell_its_length_is_as_large_as_it_is(
    world: World, admins: httpx.AsyncClient, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How it is decoded goes by what came, not by what was announced."""
    sizes: list[int] = []

    async def noted(work: Callable[[], Any], size: int) -> Any:
        sizes.append(size)
        return await decoded(work, size)

    monkeypatch.setattr("owlrunner.web.dashboard.new_run.decoded", noted)
    text = urlencode(form).encode()

    async def parts() -> AsyncIterator[bytes]:
        yield text

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await admins.post(NEW, content=parts(), headers=headers)).status_code == 303
    assert sizes == [len(text)]
