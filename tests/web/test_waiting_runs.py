"""Over HTTP and on the pages, an active run says what it waits for, and who asked it to stop."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.web.web_world import ENDED, RUNNING, World

SERVER = UUID(str(RUNNING["server_id"]))
BETWEEN: dict[str, Any] = {"attempt": 2, "max_attempts": 3, "progress": '{"processed": 5, "total": 10}'}


async def serve(world: World, *job_types: str, lease_left: float = 60.0) -> None:
    """Enter a server into the register."""
    await world.sql(
        "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at)"
        " values (%(id)s, 'barn', '0', %(types)s, 1, now(), now() + %(left)s * interval '1 second')",
        id=SERVER,
        types=list(job_types),
        left=lease_left,
    )


async def log(world: World, run_id: str, attempt: int, message: str) -> None:
    """Write an error into a run's log."""
    await world.sql(
        "insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
        " values (%(id)s, %(attempt)s, 1, now(), 'error', 'x', %(message)s)",
        id=run_id,
        attempt=attempt,
        message=message,
    )


async def told(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """The run as the API has it."""
    run: dict[str, Any] = (await client.get(f"/v1/jobs/{run_id}")).json()["job_run"]
    return run


def in_words(page: str) -> str:
    """A page as somebody reads it: without tags, on one line."""
    text = ""
    for part in page.replace("\n", " ").split("<"):
        text += part.rpartition(">")[2]
    return " ".join(text.split())


async def test_a_scheduled_run_says_when_it_is_due(
    world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient
) -> None:
    """A run that is due later says so in the API, on its page, in the list and on the overview."""
    due = datetime.now(UTC) + timedelta(hours=1, minutes=52, seconds=30)
    run_id = await world.run_row(run_at=due)
    run = await told(as_key, run_id)
    assert (run["waiting_for"]["reason"], run["waiting_for"]["until"]) == ("scheduled", run["run_at"])
    for path in (f"/dashboard/jobs/{run_id}", "/dashboard/jobs", "/dashboard"):
        assert "scheduled, due in 1h 52m" in in_words((await admins.get(path)).text)


async def test_a_run_between_attempts_says_why(
    world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient
) -> None:
    """Between two attempts a run tells the error of the last one and when the next begins, and shows no bar of the failed one."""
    run_id = await world.run_row(**BETWEEN, run_at=datetime.now(UTC) + timedelta(seconds=90))
    await log(world, run_id, 2, "attempt 2 failed\nTraceback:\n  File x\nOSError: <gone>")
    run = await told(as_key, run_id)
    assert (run["waiting_for"]["reason"], run["waiting_for"]["detail"]) == (
        "retry",
        "attempt 2 of 3 failed: OSError: <gone>",
    )
    assert (run["attempt"], run["max_attempts"], run["progress"]) == (2, 3, None)
    for path in (f"/dashboard/jobs/{run_id}", "/dashboard/jobs", "/dashboard"):
        page = (await admins.get(path)).text
        failed = "attempt 2 of 3 failed: OSError: &lt;gone&gt;"
        narrow, wide = rf"retrying in 1m \d+s, {failed}", rf"retrying, {failed}; again in 1m \d+s"
        assert re.search(narrow if path == "/dashboard/jobs" else wide, in_words(page))
        assert "<progress" not in page


@pytest.mark.parametrize(
    ("job_types", "lease_left", "reason"),
    [
        (["crowd"], 60.0, "queue"),
        (["greet"], 60.0, "no_server_for_job_type"),
        (["crowd"], -1.0, "no_server"),
        ([], 60.0, "no_server_for_job_type"),
    ],
)
async def test_a_due_run_says_which_server_it_waits_for(
    world: World, as_key: httpx.AsyncClient, job_types: list[str], lease_left: float, reason: str
) -> None:
    """A due run waits for room where a living server offers its job type, and else says that none does."""
    await serve(world, *job_types, lease_left=lease_left)
    run = await told(as_key, await world.run_row())
    assert run["waiting_for"]["reason"] == reason


async def test_a_trigger_is_told_at_once_that_nobody_offers_it(world: World, as_key: httpx.AsyncClient) -> None:
    """The answer to a trigger says already what the run waits for, and the list says the same."""
    await serve(world, "greet")
    body = {"job_type": "steady", "project_id": str(world.project.id)}
    answer = await as_key.post(f"/v1/teams/{world.team.id}/jobs/trigger", json=body)
    run = answer.json()["job_run"]
    assert run["waiting_for"]["detail"] == "no living server offers steady"
    assert (await as_key.get(f"/v1/teams/{world.team.id}/jobs")).json()["job_runs"] == [run]


async def test_a_cancelling_run_says_who_asked_and_when(
    world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient
) -> None:
    """Until it has ended, a run whose cancel was requested names who asked, and when; afterwards it still does."""
    run_id = await world.run_row(**RUNNING)
    await serve(world, "crowd")
    await as_key.post(f"/v1/jobs/{run_id}/cancel")
    run = await told(as_key, run_id)
    assert (run["status"], run["cancelled_by"][:15]) == ("running", "manual:api_key:")
    assert run["cancelled_by_name"] == "key test key"
    assert (run["waiting_for"]["reason"], run["waiting_for"]["since"]) == ("cancel", run["cancel_requested_at"])
    for path in (f"/dashboard/jobs/{run_id}", "/dashboard/jobs", "/dashboard"):
        assert "cancelling, asked by key test key, " in in_words((await admins.get(path)).text)
    await world.sql("update job_runs set status = 'cancelled', completed_at = now()")
    run = await told(as_key, run_id)
    assert (run["cancelled_by_name"], run["waiting_for"]) == ("key test key", None)
    assert "Cancel requested by key test key" in in_words((await admins.get(f"/dashboard/jobs/{run_id}")).text)


async def test_people_are_named(world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient) -> None:
    """Users go by their address, and who is not on record any more is said to be gone; one's own doing is one's own."""
    users = dict(await world.sql("select email, id from users"))
    starters = {name: f"manual:user:{users[f'{name}@acme.test']}" for name in ("owner", "admin")}
    starters |= {"gone": f"manual:user:{uuid4()}", "odd": "manual:user:odd"}
    runs = {name: await world.run_row(**ENDED, triggered_by=by) for name, by in starters.items()}
    names = {name: (await told(as_key, run_id))["triggered_by_name"] for name, run_id in runs.items()}
    assert names == starters | {"owner": "owner@acme.test", "admin": "admin@acme.test"}
    page = in_words((await admins.get("/dashboard/jobs")).text)
    for words in ("owner@acme.test", "you", "a user who is gone"):
        assert f" Site {words} " in page


async def test_a_run_of_a_silent_server_does_not_go_on(
    world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient
) -> None:
    """When a server's lease has run out, its runs say so; no duration counts on, and no end is foretold."""
    now = datetime.now(UTC)
    progress = '{"processed": 5, "total": 10}'
    run_id = await world.run_row(**RUNNING | {"started_at": now - timedelta(seconds=100), "progress": progress})
    path = f"/dashboard/jobs/{run_id}"
    await serve(world, "crowd")
    page = (await admins.get(path)).text
    assert ("data-ticking" in page, "left at this pace" in page) == (True, True)
    await world.sql("update servers set lease_expires_at = (select started_at + interval '30 seconds' from job_runs)")
    run = await told(as_key, run_id)
    assert (run["waiting_for"]["reason"], run["waiting_for"]["detail"]) == (
        "silent_server",
        "its server barn has not been heard of",
    )
    page = (await admins.get(path)).text
    assert ("data-ticking" in page, "left at this pace" in page) == (False, False)
    assert "no sign of life, its server barn has not been heard of, its lease ran out " in in_words(page)
    assert ">30.0s<" in page


async def test_a_run_that_was_never_due(world: World, admins: httpx.AsyncClient) -> None:
    """The timeline of a run that was cancelled before its time has no moment at which it was due."""
    due = datetime.now(UTC) + timedelta(hours=1)
    run_id = await world.run_row(run_at=due)
    path = f"/dashboard/jobs/{run_id}"
    page = (await admins.get(path)).text
    assert "<span>Due</span>" in page
    key = page.partition('name="form_key" value="')[2][:64]
    await admins.post(f"{path}/cancel", data={"form_key": key})
    page = (await admins.get(path)).text
    assert "<span>Due</span>" not in page
    assert "Cancelled" in in_words(page[page.index('id="life"') :])


async def test_a_stream_is_silent_while_somebody_only_waits(world: World, admins: httpx.AsyncClient) -> None:
    """That a time is nearer by a second is no news: the browser counts by itself, and nothing is sent again."""
    await world.run_row(run_at=datetime.now(UTC) + timedelta(hours=1))
    run_id = await world.run_row(**ENDED)
    for path in ("/dashboard/jobs/live", f"/dashboard/jobs/{run_id}/live"):
        first = (await admins.get(path)).json()
        again = (await admins.get(path, params={"seen": first["seen"]})).json()
        assert again["parts"] == {}


async def test_a_run_that_no_server_can_read_says_so(
    world: World, as_key: httpx.AsyncClient, admins: httpx.AsyncClient
) -> None:
    """In the middle of a deploy a run with params of another version says what it waits for, until a server may read it."""
    run_id = await world.run_row()
    await serve(world, "greet")
    await world.sql("update servers set fingerprints = '{old}'")
    await world.sql("update job_runs set unreadable_by = '{old}', set_aside = true, attempt = 1, job_type = 'greet'")
    assert (await told(as_key, run_id))["waiting_for"]["reason"] == "no_server_for_params"
    assert "no living server can read its params" in in_words((await admins.get(f"/dashboard/jobs/{run_id}")).text)
    await world.sql("update servers set fingerprints = '{new}'")
    assert (await told(as_key, run_id))["waiting_for"]["reason"] == "queue"
