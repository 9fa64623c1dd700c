"""Runs that were created while their project or team was being deleted are cancelled, and no others."""

from typing import Any
from uuid import UUID

import pytest

from owlrunner.storage import job_runs
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import now, put, put_held, put_run, put_server, rings, runs, value


async def put_project(session: Session, slug: str, team_deleted: Any = None, deleted: Any = None) -> dict[str, UUID]:
    """A project of a team of its own, as runs name both."""
    team = (await put(session, "teams", name=slug, slug=slug, deleted_at=team_deleted))["id"]
    project = (await put(session, "projects", team_id=team, name=slug, slug=slug, deleted_at=deleted))["id"]
    return {"team_id": team, "project_id": project}


@pytest.mark.parametrize("what", ["project", "team"])
async def test_what_was_created_about_then_is_cancelled(db: Database, what: str) -> None:
    """Pending runs end, running ones are asked to; those of more than a minute before, of others, and with a request stay."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        times = {"deleted": now(-100)} if what == "project" else {"team_deleted": now(-100)}
        gone, living = await put_project(session, "gone", **times), await put_project(session, "living")
        about_then = {**gone, "created_at": now(-159.999)}
        waiting = await put_run(session, **about_then)
        running = await put_held(session, server_id, **about_then)
        asked = {"cancel_requested_at": now(-9), "cancelled_by": "somebody"}
        await put_run(session, **gone, created_at=now(-160))
        await put_held(session, server_id, **about_then, **asked)
        await put_run(session, **about_then, status="completed", completed_at=now(-1))
        await put_run(session, **living)
        await put_run(session)
        before = await runs(session)
        cancelled = {(one.id, one.status.value) for one in await job_runs.cancel_orphaned(session)}
        after, at = await runs(session), await value(session, now())
        assert cancelled == {(waiting, "cancelled"), (running, "running")}
        assert {one for one in after if after[one] != before[one]} == {waiting, running}
        marks = ("status", "cancel_requested_at", "cancelled_by", "completed_at")
        assert [after[waiting][mark] for mark in marks] == ["cancelled", at, f"{what} deleted", at]
        assert [after[running][mark] for mark in marks] == ["running", at, f"{what} deleted", None]
        assert await job_runs.cancel_orphaned(session) == []


async def test_whoever_executes_one_is_woken(db: Database) -> None:
    """Servers hear of it where there is such a run, and of nothing where there is none."""
    async with db.session() as session:
        gone = await put_project(session, "gone", deleted=now(-1))
        async with rings(db, "owlrunner_held") as heard:
            await job_runs.cancel_orphaned(session)
        assert heard == []
        await put_held(session, await put_server(session), **gone)
        async with rings(db, "owlrunner_held") as heard:
            await job_runs.cancel_orphaned(session)
        assert heard == ["owlrunner_held"]
