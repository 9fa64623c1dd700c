"""Whatever is sent to whatever route, page or form: the server answers, and never with an error of its own."""

import gc
import logging
import os
import time

import psutil
import pytest
import trio

from owlrunner.web.app import Application
from tests.web.fuzz import Fuzzer, answer_to
from tests.web.web_world import World

MINUTES = float(os.environ.get("OWLRUNNER_TEST_FUZZ_MINUTES", "1"))
SEED = int(os.environ.get("OWLRUNNER_TEST_FUZZ_SEED", str(time.time_ns() % 1_000_000)))


async def known(world: World, app: Application) -> dict[str, list[str]]:
    """What exists, by what a path, a query or a body calls it."""
    runs = [await world.run_row(), await world.run_row(team_id=world.other_team.id, project_id=world.other_project.id)]
    users = [row[0] for row in await world.sql("select id::text from users")]
    keys = [row[0] for row in await world.sql("select id::text from api_keys")]
    teams = [str(world.team.id), str(world.other_team.id)]
    good = [world.credentials[name] for name in ("key", "owner", "admin", "member", "rival")]
    return {
        "teamId": teams,
        "team": ["acme", "rival"],
        "team_id": teams,
        "runId": runs,
        "run_id": runs,
        "userId": users,
        "keyId": keys,
        "keys_to": users,
        "projectId": [str(world.project.id), str(world.other_project.id)],
        "project_id": [str(world.project.id)],
        "provider": ["acme"],
        "slug": ["site", "docs"],
        "project": [str(world.project.id)],
        "job_type": ["crowd", "acme_sync", "steady"],
        "email": ["owner@acme.test", "new@acme.test"],
        "token": good,
    }


async def fuzz(world: World, seconds: float, seed: int, most: int | None = None) -> int:
    """Ask until the time is over, and return how many requests that were; fails at the first answer that is no good one."""
    fuzzer = Fuzzer(world.app, seed, await known(world, world.app))
    number, end = 0, trio.current_time() + seconds
    while trio.current_time() < end and (most is None or number < most):
        asked = fuzzer.request()
        status, body = await answer_to(world.app, asked)
        if number % 500 == 0:
            # So much is created and used up by then.
            await world.sql("delete from email_verification_codes")
            await world.sql("delete from security_events")
            await world.sql("update projects set deleted_at = null")
        number += 1
        assert 200 <= status < 500, f"seed {seed}, request {number}: {status} {body[:500]!r} to {asked}"
    return number


async def test_a_sample(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A few hundred requests get answers below 500."""
    caplog.set_level(logging.ERROR, "owlrunner.web")
    assert await fuzz(world, 60, 1, most=400) == 400
    assert caplog.records == []


@pytest.mark.slow
async def test_many(world: World) -> None:
    """So do tens of thousands, which leave no file open and no memory taken; OWLRUNNER_TEST_FUZZ_SEED asks for the same again."""
    process = psutil.Process()
    await fuzz(world, 60, SEED, most=1000)
    gc.collect()
    files, memory = process.num_fds(), process.memory_info().rss
    assert await fuzz(world, MINUTES * 60, SEED + 1) > 1000 * MINUTES
    gc.collect()
    # Connections to PostgreSQL are opened as they are needed, ten at most.
    assert process.num_fds() <= files + 10
    assert process.memory_info().rss - memory < 64 * 2**20
