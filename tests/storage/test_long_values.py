"""Lists of runs carry no more of params and results than is short, whatever runs hold."""

import json
import random
import string
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from owlrunner.job_run import JobRun
from owlrunner.storage import job_runs, overview
from owlrunner.storage.job_runs import LONGEST_IN_LIST, Filters
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_run

Lists = Callable[[Session, UUID, UUID], Awaitable[list[JobRun]]]


async def _page(session: Session, team: UUID, _: UUID) -> list[JobRun]:
    return await job_runs.page(session, team, Filters(), None, 10)


async def _by_ids(session: Session, _: UUID, run: UUID) -> list[JobRun]:
    return await job_runs.by_ids(session, [run])


async def _latest_failures(session: Session, team: UUID, _: UUID) -> list[JobRun]:
    return await overview.latest_failures(session, team, 10)


async def _of_all(session: Session, _: UUID, __: UUID) -> list[JobRun]:
    return [one.run for one in await overview.list_runs(session, Filters(), 10, of_teams=True)]


async def _inspected(session: Session, _: UUID, run: UUID) -> list[JobRun]:
    found = await overview.inspect_run(session, run, LONGEST_IN_LIST)
    return [found.run] if found is not None else []


LISTS = {
    "page": _page,
    "by_ids": _by_ids,
    "latest_failures": _latest_failures,
    "of_all": _of_all,
    "inspect": _inspected,
}


async def failed_run(session: Session, **values: Any) -> tuple[UUID, UUID]:
    """A team, and a run of it that has failed."""
    team: UUID = (await put(session, "teams", name="Acme", slug="acme"))["id"]
    project = (await put(session, "projects", team_id=team, name="Site", slug="site"))["id"]
    about = {"status": "failed", "error": "x", "started_at": now(-2), "completed_at": now(-1), "attempt": 1}
    return team, await put_run(session, team_id=team, project_id=project, **about, **values)


def text_of(length: int, letter: str = "x") -> str:
    """A JSON object of so many bytes, as PostgreSQL writes it."""
    return json.dumps({"a": letter * (length - 9)})


def mixed(length: int) -> str:
    """JSON that is hard to compress."""
    return json.dumps({"a": "".join(random.Random(1).choices(string.ascii_letters, k=length))})  # noqa: S311


@pytest.mark.parametrize("how", LISTS)
@pytest.mark.parametrize("long", [text_of(LONGEST_IN_LIST + 1), mixed(2 * LONGEST_IN_LIST)], ids=["alike", "mixed"])
@pytest.mark.parametrize(("name", "other"), [("params", "result"), ("result", "params")])
async def test_what_is_long_is_left_out(db: Database, how: str, long: str, name: str, other: str) -> None:
    """Params and result are each left out beyond the limit, however well they are compressed, and their stored size is told."""
    short = text_of(LONGEST_IN_LIST)
    async with db.session() as session:
        team, run_id = await failed_run(session, **{name: long, other: short})
        (run,) = await LISTS[how](session, team, run_id)
        stored = (await look(session, f"select pg_column_size({name}) as size from job_runs"))[0]["size"]
        assert (getattr(run, name), run.omitted) == (None, {name: stored})
        assert getattr(run, other) == json.loads(short)


@pytest.mark.parametrize("how", LISTS)
async def test_what_is_not_there_is_not_left_out(db: Database, how: str) -> None:
    """Where a run has no params, or null as its result, nothing is said to be missing."""
    async with db.session() as session:
        team, run_id = await failed_run(session, result="null")
        (run,) = await LISTS[how](session, team, run_id)
        assert (run.params, run.result, run.omitted) == (None, None, None)


@pytest.mark.parametrize("how", LISTS)
async def test_a_long_error_is_cut(db: Database, how: str) -> None:
    """With a sign that it is; one that is as long as it may be is whole."""
    for length, told in ((LONGEST_IN_LIST, "x" * LONGEST_IN_LIST), (LONGEST_IN_LIST + 1, "x" * LONGEST_IN_LIST + "…")):
        async with db.session() as session:
            await session.connection.execute("truncate teams cascade")
            team, run_id = await failed_run(session)
            await session.connection.execute("update job_runs set error = repeat('x', %s)", (length,))
            (run,) = await LISTS[how](session, team, run_id)
            assert run.error == told


async def test_system_runs_are_listed_likewise(db: Database) -> None:
    """The owner's list of runs that belong to no team leaves out what is long, too."""
    async with db.session() as session:
        await put_run(session, params=mixed(2 * LONGEST_IN_LIST))
        (one,) = await overview.list_runs(session, Filters(), 10, of_teams=False)
        assert (one.run.params, set(one.run.omitted or ())) == (None, {"params"})


async def test_one_run_is_whole(db: Database) -> None:
    """Whoever asks for one run gets all of it."""
    long = mixed(2 * LONGEST_IN_LIST)
    async with db.session() as session:
        _, run_id = await failed_run(session, params=long, result=long)
        inspected = await overview.inspect_run(session, run_id)
        assert inspected is not None
        for run in (inspected.run, await job_runs.by_id(session, run_id)):
            assert run is not None
            assert (run.params, run.result, run.omitted) == (json.loads(long), json.loads(long), None)
