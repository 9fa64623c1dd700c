"""Who may create runs for which project, which slot is taken, when they are due, and what the audit log says of it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from owlrunner.actor import ApiKeyActor, OperatorActor, Role, ScheduleActor, UserActor
from owlrunner.job_run import JobRun
from owlrunner.storage.new_runs import NewRun, insert_many, insert_pending
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_held, put_run, put_server, runs, value

OPERATOR = OperatorActor()
NEW = NewRun("a", None, None, "operator", None, False, 0, True, False, 1)


async def one_by_one(session: Session, new: NewRun, actor: Any = OPERATOR) -> tuple[bool, UUID] | None:
    """Create it by itself; whether it was, and the run that has the slot."""
    answer = await insert_pending(session, new, actor)
    if isinstance(answer, JobRun):
        return True, answer.id
    return None if answer is None else (answer == new.id, answer)


async def in_a_list(session: Session, new: NewRun, actor: Any = OPERATOR) -> tuple[bool, UUID] | None:
    """The same, in a list of one."""
    (answer,) = await insert_many(session, new.team_id, [new], actor)
    return answer


Create = Callable[..., Any]
both_ways = pytest.mark.parametrize("create", [one_by_one, in_a_list])


async def put_team(session: Session, slug: str, **values: Any) -> UUID:
    """A team."""
    team_id: UUID = (await put(session, "teams", name=slug, slug=slug, **values))["id"]
    return team_id


async def put_project(session: Session, team_id: UUID, slug: str, **values: Any) -> UUID:
    """A project of a team."""
    project_id: UUID = (await put(session, "projects", team_id=team_id, name=slug, slug=slug, **values))["id"]
    return project_id


@both_ways
async def test_runs_are_for_projects_of_the_team(db: Database, create: Create) -> None:
    """A project that is deleted, unknown, of another team, or of a team that is deleted gets no run."""
    async with db.session() as session, session.transaction():
        team, rival = await put_team(session, "acme"), await put_team(session, "rival")
        gone = await put_team(session, "gone", deleted_at=now())
        ours, theirs = await put_project(session, team, "site"), await put_project(session, rival, "site")
        deleted, of_gone = (
            await put_project(session, team, "old", deleted_at=now()),
            await put_project(session, gone, "site"),
        )
        for team_id, project_id in ((team, theirs), (team, deleted), (gone, of_gone), (team, uuid4()), (rival, ours)):
            new = msgspec.structs.replace(NEW, team_id=team_id, project_id=project_id, id=uuid4())
            assert await create(session, new) is None
        assert await runs(session) == {}
        new = msgspec.structs.replace(NEW, team_id=team, project_id=ours, id=uuid4())
        assert await create(session, new) == (True, new.id)
        (row,) = (await runs(session)).values()
        assert (row["team_id"], row["project_id"], row["status"]) == (team, ours, "pending")


@both_ways
@pytest.mark.parametrize("of_project", [True, False])
async def test_a_slot_is_taken_by_an_active_exclusive_run(db: Database, create: Create, of_project: bool) -> None:
    """By one of the same job type and project that is pending or running; what else there is leaves it free."""
    async with db.session() as session, session.transaction():
        team = await put_team(session, "acme")
        site, other = await put_project(session, team, "site"), await put_project(session, team, "other")
        server_id = await put_server(session)
        owner = {"team_id": team, "project_id": site} if of_project else {}
        elsewhere = {} if of_project else {"team_id": team, "project_id": site}
        # None of these takes it.
        await put_run(session, **owner)
        await put_run(session, exclusive=True, job_type="b", **owner)
        await put_run(session, exclusive=True, **elsewhere)
        await put_run(session, exclusive=True, team_id=team, project_id=other)
        await put_run(session, exclusive=True, status="completed", completed_at=now(), **owner)
        for taken in ("pending", "running"):
            first = msgspec.structs.replace(NEW, **owner, id=uuid4())
            assert await create(session, first) == (True, first.id)
            if taken == "running":
                await session.connection.execute(b"delete from job_runs where id = %s", [first.id])
                held = await put_held(session, server_id, **owner, exclusive=True)
                first = msgspec.structs.replace(first, id=held)
            second = msgspec.structs.replace(NEW, **owner, id=uuid4())
            assert await create(session, second) == (False, first.id)
            beside = msgspec.structs.replace(NEW, **owner, exclusive=False, id=uuid4())
            assert await create(session, beside) == (True, beside.id)
            await session.connection.execute(b"delete from job_runs where id = %s", [first.id])


@both_ways
async def test_when_runs_are_due(db: Database, create: Create) -> None:
    """At their time or after their delay, and now where neither is told or the time is past."""
    async with db.session() as session, session.transaction():
        at = await value(session, now())
        soon, past, delay = (
            await value(session, now(60)),
            await value(session, now(-60)),
            await value(session, now(90)) - at,
        )
        for times, due in (({}, at), ({"run_at": soon}, soon), ({"run_at": past}, at), ({"delay": delay}, at + delay)):
            new = msgspec.structs.replace(NEW, **times, exclusive=False, id=uuid4())
            await create(session, new)
            assert (await runs(session))[new.id]["run_at"] == due


@both_ways
async def test_what_people_trigger_is_in_the_audit_log(db: Database, create: Create) -> None:
    """Runs that users, keys and the operator created are, with where from; what schedules start, and what was there, are not."""
    async with db.session() as session, session.transaction():
        team = await put_team(session, "acme")
        site = await put_project(session, team, "site")
        user = (await put(session, "users", email="ann@acme.test", name="Ann"))["id"]
        actor = UserActor(user, "ann@acme.test", {team: Role.ADMIN}, "192.0.2.7", "owl/1")
        key = ApiKeyActor(uuid4(), "agent", team, frozenset(), "ci", "192.0.2.8", "owl/2")
        of_site = msgspec.structs.replace(NEW, team_id=team, project_id=site)
        for new, by in (
            (of_site, actor),
            (of_site, actor),
            (msgspec.structs.replace(of_site, job_type="b"), key),
            (NEW, OPERATOR),
            (msgspec.structs.replace(NEW, job_type="b"), ScheduleActor()),
        ):
            await create(session, msgspec.structs.replace(new, id=uuid4()), by)
        created = {(run["job_type"], run["project_id"]): str(run["id"]) for run in (await runs(session)).values()}
        log = await look(session, "select * from audit_logs")
        columns = ("actor_type", "actor_id", "client", "user_agent", "team_id", "resource_id")
        assert {tuple(line[column] for column in columns) for line in log} == {
            ("user", str(user), "192.0.2.7", "owl/1", team, created["a", site]),
            ("api_key", str(key.id), "192.0.2.8", "owl/2", team, created["b", site]),
            ("system", "operator", None, None, None, created["a", None]),
        }
        assert {(line["action"], line["resource_type"]) for line in log} == {("create", "job_run")}
        told = {line["resource_id"]: line["metadata"] for line in log}
        assert told[created["a", site]] == {"job_type": "a", "project_id": str(site)}


async def test_a_list_is_answered_in_its_order(db: Database) -> None:
    """Each of a list gets its own answer, whichever of them were created, had a slot taken, or have no project."""
    async with db.session() as session, session.transaction():
        team = await put_team(session, "acme")
        sites = [await put_project(session, team, f"site-{number}") for number in range(3)]
        taken = await put_run(session, team_id=team, project_id=sites[1], exclusive=True)
        wanted = [
            msgspec.structs.replace(NEW, team_id=team, project_id=project_id, id=uuid4())
            for project_id in (sites[2], sites[1], uuid4(), sites[0])
        ]
        assert await insert_many(session, team, wanted, OPERATOR) == [
            (True, wanted[0].id),
            (False, taken),
            None,
            (True, wanted[3].id),
        ]
