"""What is counted and listed of many runs, for the dashboard and for the owner."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from owlrunner.job_run import RunStatus
from owlrunner.storage import job_runs, overview
from owlrunner.storage.job_runs import Filters
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import now, put, put_run, put_server, value

HOUR = timedelta(hours=1)
C, F, X, R, P = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.RUNNING, RunStatus.PENDING


async def put_team(session: Session, slug: str) -> dict[str, UUID]:
    """A team and a project of its own, as runs name them."""
    team = (await put(session, "teams", name=slug, slug=slug))["id"]
    return {"team_id": team, "project_id": await put_project(session, team, f"{slug}-site")}


async def put_project(session: Session, team: UUID, slug: str) -> UUID:
    """One more project of a team."""
    project_id: UUID = (await put(session, "projects", team_id=team, name=slug, slug=slug))["id"]
    return project_id


async def put_aged(session: Session, status: RunStatus, created: float, **values: Any) -> UUID:
    """A run that was created so many seconds ago."""
    about: dict[str, Any] = {"status": status.value, "created_at": now(-created)}
    if status is R:
        about |= {"started_at": now(-created), "attempt": 1}
    elif status is not P:
        about |= {"completed_at": now(-created), "started_at": now(-created - 1), "error": "x" if status is F else None}
        about |= {"cancel_requested_at": now(-created)} if status is X else {}
    return await put_run(session, **about | values)


async def counted(session: Session, team: UUID, most: int, **filters: Any) -> dict[RunStatus, tuple[int, bool]]:
    """Numbers, and whether they are of all."""
    found = await overview.counts(session, team, Filters(**filters), most)
    return {status: (count.number, count.is_all) for status, count in found.items()}


async def test_runs_are_counted_by_status_and_filters(db: Database) -> None:
    """Of one team; by job type, by project, and from an instant or a span on, which counts itself."""
    async with db.session() as session, session.transaction():
        acme, rival = await put_team(session, "acme"), await put_team(session, "rival")
        server_id, other = await put_server(session), await put_project(session, acme["team_id"], "other")
        for status in RunStatus:
            held: dict[str, Any] = {"server_id": server_id} if status is R else {}
            await put_aged(session, status, 10, **acme | {"project_id": other}, **held)
            await put_aged(session, status, 3600, **acme, job_type="b", **held)
            await put_aged(session, status, 3601, **acme, **held)
            await put_aged(session, status, 10, **rival, **held)
        since = await value(session, now(-3600))
        for filters, number in (
            ({}, 3),
            ({"job_type": "a"}, 2),
            ({"job_type": "b"}, 1),
            ({"project_id": other}, 1),
            ({"since": HOUR}, 2),
            ({"since": since}, 2),
            ({"since": HOUR, "job_type": "a"}, 1),
        ):
            assert await counted(session, acme["team_id"], 9, **filters) == dict.fromkeys(RunStatus, (number, True))


@pytest.mark.parametrize("status", list(RunStatus))
async def test_a_number_says_whether_it_is_of_all(db: Database, status: RunStatus) -> None:
    """It is where fewer were found than are looked at, or where those that were not are older than what was asked for."""
    async with db.session() as session, session.transaction():
        acme = await put_team(session, "acme")
        held: dict[str, Any] = {"server_id": await put_server(session)} if status is R else {}
        for created in (10, 20, 30):
            await put_aged(session, status, created, **acme, **held)
        assert await counted(session, acme["team_id"], 4) == {status: (3, True)}
        assert await counted(session, acme["team_id"], 3) == {status: (3, False)}
        assert (await counted(session, acme["team_id"], 2))[status] == (2, False)
        # Active runs come in no order, so what was not looked at may be as young.
        ends = status not in {R, P}
        assert (await counted(session, acme["team_id"], 3, since=timedelta(seconds=30)))[status] == (3, False)
        assert (await counted(session, acme["team_id"], 3, since=timedelta(seconds=29)))[status] == (2, ends)


async def test_the_newest_are_looked_at(db: Database) -> None:
    """Those that completed or were cancelled by their creation, those that failed by when they did."""
    async with db.session() as session, session.transaction():
        acme = await put_team(session, "acme")
        for status in (C, X):
            for created, job_type in ((10, "new"), (30, "old"), (20, "new")):
                await put_aged(session, status, created, **acme, job_type=job_type, completed_at=now(created - 40))
        for created, completed, job_type in ((10, 9, "old"), (30, 1, "new"), (20, 2, "new")):
            await put_aged(session, F, created, **acme, job_type=job_type, completed_at=now(-completed))
        assert await counted(session, acme["team_id"], 2, job_type="new") == dict.fromkeys((C, F, X), (2, False))
        # A run that failed before the span began may have been created later than others, but nothing younger was left out.
        assert (await counted(session, acme["team_id"], 2, since=timedelta(seconds=2)))[F] == (0, False)
        assert (await counted(session, acme["team_id"], 2, since=timedelta(seconds=1.5)))[F] == (0, True)


async def test_the_latest_failures(db: Database) -> None:
    """Those of a team that failed last, the latest first, whenever they were created."""
    async with db.session() as session, session.transaction():
        acme, rival = await put_team(session, "acme"), await put_team(session, "rival")
        ids = [
            await put_aged(session, F, created, **acme, completed_at=now(-completed))
            for created, completed in ((10, 3), (30, 2), (5, 4))
        ]
        await put_aged(session, C, 1, **acme)
        await put_aged(session, F, 1, **rival)
        assert [run.id for run in await overview.latest_failures(session, acme["team_id"], 2)] == [ids[1], ids[0]]


async def test_activity_is_told_in_steps(db: Database) -> None:
    """How many runs of a team were created in each step of a span, by what became of them; only the newest count."""
    async with db.session() as session, session.transaction():
        acme, rival = await put_team(session, "acme"), await put_team(session, "rival")
        for status, created in ((C, 0), (C, 9.9), (F, 9.9), (C, 10), (C, 25), (C, 59.9), (C, 60), (C, 61)):
            await put_aged(session, status, created, **acme)
        await put_aged(session, C, 1, **rival)
        span, step = timedelta(seconds=60), timedelta(seconds=10)
        assert set(await overview.activity(session, acme["team_id"], span, step, 99)) == {
            (0, C, 2), (0, F, 1), (1, C, 1), (2, C, 1), (5, C, 1),
        }  # fmt: skip
        assert set(await overview.activity(session, acme["team_id"], span, step, 4)) == {
            (0, C, 2),
            (0, F, 1),
            (1, C, 1),
        }


async def test_typical_times_are_those_of_runs_that_completed(db: Database) -> None:
    """By job type, those with most runs first; what failed is counted, what was cancelled or is under way is neither."""
    async with db.session() as session, session.transaction():
        acme, rival = await put_team(session, "acme"), await put_team(session, "rival")

        async def took(
            job_type: str,
            seconds: float,
            status: RunStatus = C,
            created: float = 10,
            owner: dict[str, UUID] | None = None,
        ) -> None:
            times = {"started_at": now(-9), "completed_at": now(seconds - 9), "cancel_requested_at": now(-9)}
            await put_run(
                session,
                job_type=job_type,
                status=status.value,
                **(owner or acme),
                created_at=now(-created),
                **times,
                error="x" if status is F else None,
            )

        for seconds in (1.0, 2.0, 6.0):
            await took("b", seconds)
        await took("b", 100.0, F)
        await took("b", 100.0, X)
        for job_type in ("e", "c", "a", "f", "d"):
            await took(job_type, 5.0, F)
        await took("b", 50.0, created=3600)
        await took("b", 50.0, created=3601)
        await took("b", 50.0, owner=rival)
        assert await overview.typical(session, acme["team_id"], HOUR, 99) == [
            ("b", 3, 1, [2.0, 5.6, 6.0]), *((name, 0, 1, None) for name in "acdef"),
        ]  # fmt: skip
        # Not at one instant: PostgreSQL before 18 makes ids whose order is chance within a millisecond.
        for job_type, created in (("y", 2), ("z", 1)):
            await took(job_type, 3.0, created=created)
        assert await overview.typical(session, acme["team_id"], HOUR, 1) == [("z", 1, 0, [3.0, 3.0, 3.0])]


@pytest.mark.parametrize("of_teams", [False, True])
async def test_the_owners_lists(db: Database, of_teams: bool) -> None:
    """The newest runs of nobody's team, or of everybody, by job type, by status, and since an instant or for a span."""
    async with db.session() as session, session.transaction():
        acme = await put_team(session, "acme")
        server_id = await put_server(session, name="north")
        # By ids of our own: of those that are made within a millisecond the order is chance before PostgreSQL 18.
        ids = [UUID(int=number) for number in range(1, 5)]
        old = await put_aged(session, C, 3601, job_type="b", id=ids[0])
        edge = await put_aged(session, C, 3600, server_id=server_id, attempt=1, id=ids[1])
        theirs = await put_aged(session, F, 20, **acme, id=ids[2])
        newest = await put_aged(session, P, 10, id=ids[3])

        async def listed(limit: int = 9, **filters: Any) -> list[UUID]:
            found = await overview.list_runs(session, Filters(**filters), limit, of_teams=of_teams)
            return [one.run.id for one in found]

        everybody = [newest, theirs, edge, old] if of_teams else [newest, edge, old]
        assert await listed() == everybody
        assert await listed(2) == everybody[:2]
        assert await listed(job_type="b") == [old]
        assert await listed(status="completed") == [edge, old]
        assert await listed(since=HOUR) == everybody[:-1]
        assert await listed(since=await value(session, now(-3600))) == everybody[:-1]
        about = {one.run.id: one for one in await overview.list_runs(session, Filters(), 9, of_teams=of_teams)}
        assert (about[edge].server, about[newest].server, about[edge].team, about[edge].project) == (
            "north",
            None,
            None,
            None,
        )
        if of_teams:
            assert (about[theirs].team, about[theirs].project) == ("acme", "acme-site")
        seen = await overview.inspect_run(session, theirs)
        assert seen is not None
        assert (seen.run.id, seen.team, seen.project, seen.server) == (theirs, "acme", "acme-site", None)


async def test_pages_of_a_team(db: Database) -> None:
    """Newest first, by job type, status, project, and between two instants or spans that count themselves; of one instant by id."""
    async with db.session() as session, session.transaction():
        acme, rival = await put_team(session, "acme"), await put_team(session, "rival")
        other = await put_project(session, acme["team_id"], "other")
        a = await put_aged(session, C, 10, **acme | {"project_id": other})
        twins = [await put_aged(session, F, 20, **acme, job_type="b") for _ in range(2)]
        c = await put_aged(session, C, 30, **acme)
        await put_aged(session, C, 20, **rival)
        everything = [a, *sorted(twins, reverse=True), c]

        async def page(limit: int = 9, before: job_runs.Cursor | None = None, **filters: Any) -> list[UUID]:
            return [run.id for run in await job_runs.page(session, acme["team_id"], Filters(**filters), before, limit)]

        assert await page() == everything
        assert await page(2) == everything[:2]
        for place, one in enumerate(everything):
            run = await job_runs.by_id(session, one)
            assert run is not None
            assert await page(before=job_runs.Cursor(run.created_at, one)) == everything[place + 1 :]
        assert await page(job_type="b") == everything[1:3]
        assert await page(status="completed") == [a, c]
        assert await page(project_id=other) == [a]
        second = timedelta(seconds=1)
        assert await page(since=20 * second) == everything[:3]
        assert await page(until=20 * second) == everything[1:]
        edge = await value(session, now(-20))
        assert await page(since=edge, until=edge) == everything[1:3]
