"""The pages: a user signs in, sees the team's runs and nobody else's, and cancels and repeats them, without JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from owlrunner.accounts import Accounts
from owlrunner.config import Config, WebConfig
from owlrunner.jobs import LONGEST_SHOWN, Jobs
from owlrunner.web.app import build_app
from tests.web.web_world import CATALOG, ENDED, RUNNING, World, asgi_client

ORIGIN = "http://127.0.0.1"


def form_key(page: str) -> str:
    """What the page's forms carry."""
    found = re.search(r'name="form_key" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def rows(page: str) -> list[str]:
    """The ids of the runs in a page's table, in order."""
    return re.findall(r'<td data-label="Type"><a href="/dashboard/jobs/([0-9a-f-]{36})">', page)


async def test_who_is_not_signed_in_signs_in_first(browser: httpx.AsyncClient) -> None:
    """Every page sends a stranger to the sign-in, which leads back to where they wanted to go."""
    response = await browser.get("/dashboard/jobs?status=failed")
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in?next=/dashboard/jobs%3Fstatus%3Dfailed"
    page = await browser.get(response.headers["location"])
    assert 'name="next" value="/dashboard/jobs?status=failed"' in page.text


async def test_signing_in_and_out(world: World, browser: httpx.AsyncClient) -> None:
    """A mailed code signs a user in, on their way; signing out ends it for good."""
    wanted = {"email": "Admin@acme.test", "next": "/dashboard/jobs?status=failed"}
    page = await browser.post("/sign-in", data=wanted)
    assert page.status_code == 200
    assert world.outbox.last_code() not in page.text
    code = world.outbox.last_code()
    wrong = await browser.post("/sign-in/code", data=wanted | {"code": "000000"})
    assert (wrong.status_code, "Invalid or expired code" in wrong.text) == (401, True)
    right = await browser.post("/sign-in/code", data=wanted | {"code": code})
    assert (right.status_code, right.headers["location"]) == (303, "/dashboard/jobs?status=failed")
    assert "HttpOnly; SameSite=Lax" in right.headers["set-cookie"]
    runs = await browser.get("/dashboard/jobs")
    token = browser.cookies["token"]
    out = await browser.post("/sign-out", data={"form_key": form_key(runs.text)})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    browser.cookies.set("token", token)
    assert (await browser.get("/dashboard/jobs")).status_code == 303


async def test_a_demonstration_shows_the_code(world: World) -> None:
    """Where the server says so, the code that was mailed stands on the page, and in its field."""
    config = Config(web=WebConfig(show_codes=True))
    async with asgi_client(build_app(Jobs(world.db, CATALOG), Accounts(world.db), world.mails, config)) as browser:
        page = await browser.post("/sign-in", data={"email": "admin@acme.test"})
    code = world.outbox.last_code()
    assert f"<strong>{code}</strong>" in page.text
    assert re.search(rf'name="code"[^>]* value="{code}"', page.text)


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.test/", "//evil.test", "/dashboard\\..\\\\evil.test", "javascript:alert(1)"]
)
async def test_signing_in_leads_to_our_own_pages(world: World, browser: httpx.AsyncClient, elsewhere: str) -> None:
    """Wherever a link says to go after the sign-in, it is a page of the dashboard."""
    await browser.post("/sign-in", data={"email": "admin@acme.test"})
    form = {"email": "admin@acme.test", "code": world.outbox.last_code(), "next": elsewhere}
    response = await browser.post("/sign-in/code", data=form)
    assert response.headers["location"] == "/dashboard"


async def test_a_teams_runs(world: World, admins: httpx.AsyncClient) -> None:
    """Its runs stand there newest first; other teams' and the system's do not."""
    first = await world.run_row(**ENDED)
    second = await world.run_row(**RUNNING)
    await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id)
    await world.system_run()
    page = await admins.get("/dashboard/jobs")
    assert page.status_code == 200
    assert rows(page.text) == [second, first]


async def test_filters_stand_in_the_url(world: World, admins: httpx.AsyncClient) -> None:
    """Type, status, project and time narrow the page, which shows what is chosen; what does not exist is passed over."""
    ended = await world.run_row(**ENDED)
    running = await world.run_row(**RUNNING)
    assert rows((await admins.get("/dashboard/jobs?status=running")).text) == [running]
    assert rows((await admins.get("/dashboard/jobs?type=acme_sync")).text) == []
    assert rows((await admins.get(f"/dashboard/jobs?project={world.project.id}&span=hour")).text) == [running, ended]
    page = (await admins.get("/dashboard/jobs?status=completed&span=never&project=x")).text
    assert rows(page) == [ended]
    assert re.search(r'<a class="completed" href="[^"]*status=completed[^"]*" aria-current="true">', page)


async def test_pages_lose_and_repeat_nothing(world: World, admins: httpx.AsyncClient) -> None:
    """Going from page to page shows every run once, also those of one instant."""
    await world.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive, created_at)"
        " select 'crowd', %(team)s, %(project)s, 'schedule', false, now() from generate_series(1, 120)",
        team=world.team.id,
        project=world.project.id,
    )
    seen: list[str] = []
    link = "/dashboard/jobs?status=pending"
    while link:
        page = (await admins.get(link)).text
        seen += rows(page)
        more = re.search(r'rel="next" href="([^"]+)"', page)
        link = more[1].replace("&amp;", "&") if more else ""
    assert (len(seen), len(set(seen))) == (120, 120)


async def test_a_run_tells_all(world: World, admins: httpx.AsyncClient) -> None:
    """The page of a run shows its status, progress, params, result and log, with nothing in it that a browser would execute."""
    nasty = "<script>alert(1)</script>"
    run_id = await world.run_row(
        **ENDED, params=f'{{"label": "{nasty}"}}', result='{"done": 7}', progress='{"processed": 7, "total": 7}'
    )
    await world.sql(
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " values (%(id)s, 1, 1, now(), 'warning', 'x', %(nasty)s)",
        id=run_id,
        nasty=nasty,
    )
    response = await admins.get(f"/dashboard/jobs/{run_id}")
    assert response.status_code == 200
    for told in ("completed", "7 of 7", "&#34;done&#34;: 7", "&lt;script&gt;alert(1)&lt;/script&gt;", "750ms"):
        assert told in response.text
    assert nasty not in response.text
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "unsafe-inline" not in response.headers["content-security-policy"]


async def test_a_search_of_a_part_says_so(
    world: World, admins: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search looks at the newest lines of a log, and says so where there are more; a page without one shows no such note."""
    monkeypatch.setattr("owlrunner.storage.job_runs.LINES_SEARCHED", 3)
    run_id = await world.run_row(**ENDED)
    line = """
        insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)
        select %(id)s, 1, n, now(), 'info', 'x', 'owl ' || n
    """
    await world.sql(f"{line} from generate_series(1, 3) n", id=run_id)
    note, page = "Searched: the newest 20,000 lines.", f"/dashboard/jobs/{run_id}"
    assert note not in (await admins.get(f"{page}?q=owl")).text
    await world.sql(f"{line} from generate_series(4, 4) n", id=run_id)
    searched = (await admins.get(f"{page}?q=owl")).text
    assert (note in searched, "owl 4" in searched, "owl 1" in searched) == (True, True, False)
    assert note in (await admins.get(f"{page}?level=info")).text
    assert note not in (await admins.get(page)).text


async def test_a_run_with_long_values(world: World, admins: httpx.AsyncClient) -> None:
    """Params and result that are too long for a page lead to where they are whole."""
    long = '{"label": "%s"}' % ("x" * LONGEST_SHOWN)
    run_id = await world.run_row(**ENDED, params=long, result=long)
    page = (await admins.get(f"/dashboard/jobs/{run_id}")).text
    assert "xxx" not in page
    for name in ("Params", "Result"):
        assert f'<h2>{name}</h2><p>Too long for this page. <a href="/v1/jobs/{run_id}">The run as JSON</a>' in page
    whole = (await admins.get(f"/v1/jobs/{run_id}")).json()["job_run"]
    assert len(whole["params"]["label"]) == len(whole["result"]["label"]) == LONGEST_SHOWN


async def test_others_runs_are_not_there(world: World, admins: httpx.AsyncClient) -> None:
    """Another team's run, a system run, an unknown one, and what is no id at all: each gets a page that says so."""
    other = await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id)
    for run_id in (other, await world.system_run(), str(uuid4())):
        assert (await admins.get(f"/dashboard/jobs/{run_id}")).status_code == 404
    assert (await admins.get("/dashboard/jobs/nonsense")).status_code == 400


async def test_members_are_told_politely(world: World, browser: httpx.AsyncClient) -> None:
    """Who is no admin is told whom to ask, and sees no run."""
    browser.cookies.set("token", world.credentials["member"])
    run_id = await world.run_row(**ENDED)
    page = await browser.get("/dashboard/jobs")
    assert (page.status_code, "You are a member of Acme" in page.text) == (200, True)
    assert (await browser.get(f"/dashboard/jobs/{run_id}")).status_code == 403


async def test_cancelling(world: World, admins: httpx.AsyncClient) -> None:
    """The button asks for a cancel; a running run is shown as cancelling until it has really ended."""
    run_id = await world.run_row(**RUNNING)
    page = f"/dashboard/jobs/{run_id}"
    key = form_key((await admins.get(page)).text)
    response = await admins.post(f"{page}/cancel", data={"form_key": key}, headers={"origin": ORIGIN})
    assert (response.status_code, response.headers["location"]) == (303, page)
    text = (await admins.get(page)).text
    assert '<span class="badge cancelling">cancelling</span>' in text
    await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=run_id)
    response = await admins.post(f"{page}/cancel", data={"form_key": key})
    assert response.headers["location"] == f"{page}?note=ended"


async def test_running_again(world: World, admins: httpx.AsyncClient) -> None:
    """A run that has ended is started again with the same params; a slot that is taken leads to the run that has it."""
    ended = await world.run_row(job_type="acme_sync", params='{"pages": 3}', exclusive=True, **ENDED)
    key = form_key((await admins.get(f"/dashboard/jobs/{ended}")).text)
    response = await admins.post(f"/dashboard/jobs/{ended}/again", data={"form_key": key})
    started, _, note = response.headers["location"].rpartition("/")[2].partition("?")
    assert (response.status_code, note) == (303, "note=started")
    found = await world.sql("select params, status from job_runs where id = %(id)s", id=UUID(started))
    assert found == [({"pages": 3}, "pending")]
    response = await admins.post(f"/dashboard/jobs/{ended}/again", data={"form_key": key})
    assert response.headers["location"] == f"/dashboard/jobs/{started}?note=exists"


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("", {}),
        ("0" * 64, {}),
        ("right", {"origin": "https://evil.test"}),
        ("right", {"origin": "null"}),
        ("right", {"sec-fetch-site": "cross-site"}),
    ],
)
async def test_others_forms_change_nothing(
    world: World, admins: httpx.AsyncClient, key: str, headers: dict[str, str]
) -> None:
    """A form without the key of this sign-in, or from another site, is refused."""
    run_id = await world.run_row(**RUNNING)
    if key == "right":
        key = form_key((await admins.get(f"/dashboard/jobs/{run_id}")).text)
    response = await admins.post(f"/dashboard/jobs/{run_id}/cancel", data={"form_key": key}, headers=headers)
    assert response.status_code == 403
    assert await world.sql("select cancel_requested_at from job_runs") == [(None,)]


async def test_what_pages_are_made_of_is_served(browser: httpx.AsyncClient) -> None:
    """Everything that a page links to comes from this server."""
    page = await browser.get("/sign-in")
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        assert link.startswith("/")
        assert (await browser.get(link)).status_code in {200, 303}


async def test_what_pages_are_made_of_is_kept(browser: httpx.AsyncClient) -> None:
    """Styles and scripts are packed, and browsers keep them under a path that changes when they do; there is nothing else."""
    page = await browser.get("/sign-in")
    (style,) = re.findall(r'href="(/dashboard/static/[0-9a-f]{12}/dashboard.css)"', page.text)
    plain = await browser.get(style, headers={"accept-encoding": "identity"})
    packed = await browser.get(style)
    assert plain.headers["content-type"] == "text/css; charset=utf-8"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert page.headers["cache-control"] == "no-store"
    for other in ("a" * 5000, "%00", "..%2f..%2fapp.py", "x/dashboard.css", ""):
        assert (await browser.get(style.replace("dashboard.css", other))).status_code == 404


async def test_a_page_of_fifty_is_small(world: World, admins: httpx.AsyncClient) -> None:
    """A first page with fifty runs, and all that it is made of, comes in 60 KB."""
    await world.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive, progress)"
        " select 'acme_sync', %(team)s, %(project)s, 'schedule', false, '{\"processed\": 120, \"total\": 340}'"
        " from generate_series(1, 60)",
        team=world.team.id,
        project=world.project.id,
    )
    page = await admins.get("/dashboard/jobs")
    assert len(rows(page.text)) == 50
    links = set(re.findall(r'(?:src|href)="(/dashboard/static/[^"]+)"', page.text))
    folder = next(iter(links)).rpartition("/")[0]
    links |= {f"{folder}/{name}.js" for name in ("live", "dialog", "times")}
    parts = [page, *[await admins.get(link, headers={"accept-encoding": "gzip"}) for link in links]]
    assert {part.status_code for part in parts} == {200}
    assert sum(part.num_bytes_downloaded for part in parts) < 60_000


async def test_counts_stand_beside_the_statuses(world: World, admins: httpx.AsyncClient) -> None:
    """How many runs are in which status is told for the filters, whatever status is looked at."""
    await world.run_row(**ENDED)
    await world.run_row(**ENDED)
    await world.run_row(**RUNNING)
    await world.run_row(job_type="acme_sync")
    page = (await admins.get("/dashboard/jobs?type=crowd&status=running")).text
    told = re.findall(r"(\w+) <span class=\"number\">(\d+)", page[page.index('id="counts"') :])
    assert told == [
        ("All", "3"),
        ("Pending", "0"),
        ("Running", "1"),
        ("Completed", "2"),
        ("Failed", "0"),
        ("Cancelled", "0"),
    ]


async def test_what_stands_around_a_run(world: World, admins: httpx.AsyncClient) -> None:
    """The page of a run names the server that held it, who was told, who cancelled it, and how it came along."""
    await world.sql(
        "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at)"
        " values (%(id)s, 'barn-1', '0', array['crowd'], 1, now(), now())",
        id=RUNNING["server_id"],
    )
    run_id = await world.run_row(
        **ENDED
        | {
            "status": "cancelled",
            "server_id": RUNNING["server_id"],
            "cancel_requested_at": "2026-03-28T20:00:01Z",
            "cancelled_by": "operator",
            "progress": '{"processed": 4, "total": 8}',
        }
    )
    await world.sql(
        "insert into job_run_progress (run_id, attempt, at, processed, total)"
        " select %(id)s, 1, timestamptz '2026-03-28T20:00:00.5Z' + n * interval '100 ms', n, 8 from generate_series(1, 3) n",
        id=run_id,
    )
    await world.sql(
        "insert into notifications (run_id, notifier, recipient, status, settled_at, last_error)"
        " values (%(id)s, 'email', 'owner@acme.test', 'sent', now(), null),"
        " (%(id)s, 'webhook', 'https://inner.example/hook', 'given_up', now(), '10.0.0.7 refuses')",
        id=run_id,
    )
    owner = (await world.sql("select id from users where email = 'owner@acme.test'"))[0][0]
    await world.sql("update job_runs set triggered_by = %(by)s where id = %(id)s", by=f"manual:user:{owner}", id=run_id)
    page = (await admins.get(f"/dashboard/jobs/{run_id}")).text
    for told in (
        "barn-1",
        "email to owner@acme.test: sent",
        "webhook: given up",
        "Cancel requested by <bdi>the operator</bdi>",
        "<polyline points=",
    ):
        assert told in page
    assert "inner.example" not in page, "where the operator is told is not a team's business"
    assert "10.0.0.7" not in page


async def test_a_log_is_narrowed(world: World, admins: httpx.AsyncClient) -> None:
    """Level and text, whatever its case, choose among the lines; what does not exist chooses nothing away."""
    run_id = await world.run_row(**ENDED)
    await world.sql(
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " select %(id)s, 1, n, now(), (array['debug', 'info', 'warning', 'error'])[n], 'x', 'Line_' || n || '%%'"
        " from generate_series(1, 4) n",
        id=run_id,
    )

    async def lines(query: str) -> list[str]:
        page = (await admins.get(f"/dashboard/jobs/{run_id}?{query}")).text
        return re.findall(r'<li id="log-1-(\d)"', page)

    assert await lines("") == ["1", "2", "3", "4"]
    assert await lines("level=warning") == ["3", "4"]
    assert await lines("level=warning&q=LINE_3") == ["3"]
    # Neither of them stands for any other text.
    assert await lines("q=%25") == ["1", "2", "3", "4"]
    assert await lines("q=line%2514") == []
    assert await lines("level=loud&q=") == ["1", "2", "3", "4"]


async def test_the_overview(world: World, admins: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
    """The first page tells what is running, what failed, and how long runs take; of other teams and the system it tells nothing."""
    now = datetime.now(UTC)
    times = {"created_at": now, "started_at": now, "completed_at": now + timedelta(seconds=4)}
    await world.run_row(**ENDED | times)
    await world.run_row(**ENDED | times | {"status": "failed", "error": "out of owls"})
    running = await world.run_row(**RUNNING)
    await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id, job_type="secret")
    await world.system_run()
    page = (await admins.get("/dashboard")).text
    assert "out of owls" in page
    assert f'href="/dashboard/jobs/{running}"' in page
    assert "1 failed, 1 running, 1 completed" in page
    assert '<td class="number">4.0s</td>' in page
    assert "secret" not in page
    assert "db_pruning" not in page
    browser.cookies.set("token", world.credentials["member"])
    assert "You are a member of Acme" in (await browser.get("/dashboard")).text


async def test_an_unknown_page_is_a_page(admins: httpx.AsyncClient) -> None:
    """A path under the dashboard that leads nowhere says so to people, not in JSON."""
    response = await admins.get("/dashboard/owls")
    assert (response.status_code, "There is no such page" in response.text) == (404, True)


async def test_a_browser_without_a_stream_asks(world: World, admins: httpx.AsyncClient) -> None:
    """What has changed can be asked for, too: at first everything, then nothing until something has changed."""
    run_id = await world.run_row(**RUNNING)
    first = (await admins.get("/dashboard/jobs/live")).json()
    assert set(first["parts"]) == {"counts", "nothing", f"run-{run_id}"}
    assert first["lists"] == {"rows": [f"run-{run_id}"]}
    again = (await admins.get("/dashboard/jobs/live", params={"seen": first["seen"]})).json()
    assert (again["parts"], again["lists"], again["seen"]) == ({}, {}, first["seen"])
    await world.sql("update job_runs set status = 'completed', completed_at = now() where id = %(id)s", id=run_id)
    then = (await admins.get("/dashboard/jobs/live", params={"seen": first["seen"]})).json()
    assert (set(then["parts"]), then["active"]) == ({"counts", f"run-{run_id}"}, False)


async def test_streams_are_for_those_who_may_look(world: World, browser: httpx.AsyncClient) -> None:
    """Who is not signed in is told so by status, and a member and a stranger to the team get what the page would tell them."""
    run_id = await world.run_row(**RUNNING)
    paths = ("/dashboard/live", "/dashboard/jobs/live", f"/dashboard/jobs/{run_id}/live")
    assert [(await browser.get(path)).status_code for path in paths] == [401, 401, 401]
    browser.cookies.set("token", world.credentials["member"])
    assert [(await browser.get(path)).status_code for path in paths] == [403, 403, 403]
    browser.cookies.set("token", world.credentials["rival"])
    assert [(await browser.get(path)).status_code for path in paths] == [200, 200, 404]


async def test_a_log_that_runs_ahead(world: World, admins: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more lines came at once than a page takes, the newest are shown, and that some are left out."""
    monkeypatch.setattr("owlrunner.web.dashboard.one_run.LINES", 3)
    run_id = await world.run_row(**RUNNING)
    insert = (
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " select %(id)s, 1, n, now(), 'info', 'x', 'y' from generate_series(%(first)s::int, %(last)s::int) n"
    )
    await world.sql(insert, id=run_id, first=1, last=2)
    path = f"/dashboard/jobs/{run_id}/live"
    first = (await admins.get(path)).json()
    await world.sql(insert, id=run_id, first=3, last=4)
    second = (await admins.get(path, params={"seen": first["seen"]})).json()
    await world.sql(insert, id=run_id, first=5, last=9)
    third = (await admins.get(path, params={"seen": second["seen"]})).json()
    told = [[name for name, _ in one["lines"]] for one in (first, second, third)]
    assert told == [["log-1-1", "log-1-2"], ["log-1-3", "log-1-4"], ["gap-1-7", "log-1-7", "log-1-8", "log-1-9"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dashboard?team=%00&span=%ff", 403),
        ("/dashboard/jobs?type=%00&status=%00&project=%00&span=%00", 200),
        ("/dashboard/jobs?cursor=%00", 400),
        ("/dashboard/jobs?cursor=9999-12-31T23:59:59.999Z|00000000-0000-4000-8000-000000000000", 200),
        ("/dashboard/jobs/live?seen=%00~99999999999.1", 200),
        ("/dashboard/jobs/%00", 400),
        ("/dashboard/jobs/%ff/live", 400),
        ("/dashboard/jobs/new?type=%00", 404),
        ("/dashboard/jobs/{run}?q=%00&level=%00&note=%00", 200),
        ("/dashboard/jobs/{run}/live?seen=~9999999999.9999999999&q=%ed%a0%80", 200),
    ],
)
async def test_nonsense_in_a_url_is_no_crash(world: World, admins: httpx.AsyncClient, path: str, status: int) -> None:
    """Whatever somebody types into a URL, they get a page, or a sentence that says what is wrong."""
    run_id = await world.run_row(**RUNNING)
    assert (await admins.get(path.format(run=run_id))).status_code == status


async def test_attempts_stand_in_the_life_of_a_run(world: World, admins: httpx.AsyncClient) -> None:
    """A run that was tried more than once tells when each attempt ended, and which one goes on."""
    run_id = await world.run_row(**RUNNING | {"attempt": 3}, max_attempts=5)
    await world.sql(
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " select %(id)s, n, seq, timestamptz '2026-03-28T19:00:00Z' + n * interval '1 minute' + seq * interval '1 second',"
        " 'error', 'x', 'y' from generate_series(1, 3) n, generate_series(1, 2) seq",
        id=run_id,
    )

    async def attempts() -> list[tuple[str, str]]:
        page = (await admins.get(f"/dashboard/jobs/{run_id}")).text
        life = page[page.index('id="life"') : page.index('id="about"')]
        return re.findall(
            r'<span>(Attempt[^<]+)</span> <span class="faint"><time datetime="2026-03-28T(\S+)\.000Z">', life
        )

    failed = [("Attempt 1 did not succeed", "19:01:02"), ("Attempt 2 did not succeed", "19:02:02")]
    assert await attempts() == [*failed, ("Attempt 3 of 5 started", "20:00:00")]
    await world.sql("update job_runs set status = 'pending', server_id = null where id = %(id)s", id=run_id)
    assert [text for text, _ in await attempts()] == [
        *[text for text, _ in failed],
        "Attempt 3 did not succeed",
        "Attempt 3 of 5 started",
    ]
