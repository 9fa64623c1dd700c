"""Numbers on the pages are true: of all runs, or with the word that there are more."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.web.web_world import ENDED, RUNNING, World

FAILED = {"status": "failed", "error": "out of owls"}


async def counts(admins: httpx.AsyncClient, query: str = "") -> dict[str, str]:
    """The numbers beside the statuses."""
    page = (await admins.get(f"/dashboard/jobs?{query}")).text
    return dict(re.findall(r"(\w+) <span class=\"number\">([^<]+)</span>", page[page.index('id="counts"') :]))


async def many(world: World, number: int, status: str, age: timedelta) -> None:
    """Insert that many runs."""
    await world.sql(
        "insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive, status, server_id, attempt,"
        " created_at, started_at, completed_at, error)"
        " select 'crowd', %(team)s, %(project)s, 'schedule', false, %(status)s::job_status, gen_random_uuid(), 1,"
        " now() - %(age)s, now() - %(age)s, now() - %(age)s, case when %(status)s::text = 'failed' then 'x' end"
        " from generate_series(1, %(number)s)",
        team=world.team.id,
        project=world.project.id,
        number=number,
        status=status,
        age=age,
    )


async def test_old_failures_are_counted(
    world: World, admins: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs have completed since, each failure is counted; where not all are looked at, a plus says so."""
    monkeypatch.setattr("owlrunner.jobs.COUNTED", 50)
    await many(world, 20, "failed", timedelta(days=9))
    await many(world, 60, "completed", timedelta(days=1))
    await world.run_row(**RUNNING)
    wanted = {"All": "71+", "Pending": "0", "Running": "1", "Completed": "50+", "Failed": "20", "Cancelled": "0"}
    assert await counts(admins) == wanted
    await many(world, 7, "completed", timedelta(0))
    # The newest fifty reach back beyond the hour, so these are all of it.
    assert (await counts(admins, "span=hour"))["Completed"] == "7"
    assert (await counts(admins, "span=month"))["Completed"] == "50+"
    assert (await counts(admins, "type=acme_sync"))["Failed"] == "0"


async def test_the_latest_failure_is_the_one_that_failed_last(world: World, admins: httpx.AsyncClient) -> None:
    """A run of days that fails now stands before runs that were created, and failed, since it began."""
    now = datetime.now(UTC)
    for minutes in range(9, 1, -1):
        created = now - timedelta(minutes=minutes)
        times = {"created_at": created, "started_at": created, "completed_at": created}
        await world.run_row(**ENDED | FAILED | times)
    begun = now - timedelta(days=3)
    long = await world.run_row(**ENDED | FAILED | {"created_at": begun, "started_at": begun, "completed_at": now})
    page = (await admins.get("/dashboard")).text
    failures = re.findall(r'/dashboard/jobs/([0-9a-f-]{36})"', page[page.index('id="failures"') :])
    assert (failures[0], len(failures)) == (long, 5)


async def test_the_duration_of_a_retried_run_says_what_it_covers(world: World, admins: httpx.AsyncClient) -> None:
    """What the last attempt took is said to be the last attempt's."""
    run_id = await world.run_row(**ENDED | {"attempt": 3}, max_attempts=3)
    for path in ("/dashboard/jobs", f"/dashboard/jobs/{run_id}"):
        page = (await admins.get(path)).text
        assert re.search(r'750ms\s*<span class="faint">\(attempt 3\)</span>', page)


async def test_an_empty_overview_has_no_highest(world: World, admins: httpx.AsyncClient) -> None:
    """Where nothing ran there is no chart whose highest bar has one run."""
    page = (await admins.get("/dashboard")).text
    assert "Nothing ran in this time." in page
    assert "highest" not in page


async def test_names_do_not_scramble_what_stands_beside_them(world: World, admins: httpx.AsyncClient) -> None:
    """A name from right to left is set apart, in the list, on the run's page, on the overview and in the menu."""
    name = "متجر 7"
    await world.sql("update projects set name = %(name)s where team_id = %(team)s", name=name, team=world.team.id)
    await world.sql("update teams set name = %(name)s where id = %(team)s", name=name, team=world.team.id)
    run_id = await world.run_row(**RUNNING)
    for path in ("/dashboard/jobs", f"/dashboard/jobs/{run_id}", "/dashboard", "/dashboard/jobs/new?type=crowd"):
        page = (await admins.get(path)).text
        shown = page.partition("</title>")[2]
        assert name in shown
        shown = re.sub(r'<option dir="auto"[^>]*>', "<bdi>", shown)
        assert re.findall(rf"(?<!<bdi>){name}", shown) == []
