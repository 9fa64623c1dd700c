"""The door to runs by itself: it does not rely on the web, or on commands, to have asked for permissions and limits before."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import trio

import owlrunner
from owlrunner import jobs
from owlrunner.actor import Actor, ApiKeyActor, OperatorActor
from owlrunner.errors import (
    InvalidParams,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Refused,
    RunAlreadyActive,
    UnknownJobType,
)
from owlrunner.job_run import RunStatus
from owlrunner.jobs import READ, WRITE, Jobs
from owlrunner.plugins import Catalog
from owlrunner.storage import job_runs
from owlrunner.storage.job_runs import LogFilter, StoredLogLine
from owlrunner.storage.overview import Activity
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.runtime.away import Away
from tests.storage.rows import now, put, put_run

OPERATOR = OperatorActor()
TEAM = uuid4()


@owlrunner.job_type(scope="system")
async def sweep(ctx: owlrunner.JobContext) -> None:
    """Have one slot."""


@owlrunner.job_type(scope="system", overlap="allow")
async def crowd(ctx: owlrunner.JobContext) -> None:
    """Run beside others."""


@pytest.fixture
def door(db: Database) -> Jobs:
    """The door to a fresh database."""
    return Jobs(db, Catalog(job_types={one.name: one for one in (sweep, crowd)}))


def holder(*permissions: str) -> ApiKeyActor:
    """A key of the team with these permissions."""
    return ApiKeyActor(uuid4(), "agent", TEAM, frozenset(permissions))


async def put_teams_run(door: Jobs) -> UUID:
    """A run of the team."""
    async with door.db.session() as session:
        await put(session, "teams", id=TEAM, name="Acme", slug="acme")
        project = (await put(session, "projects", team_id=TEAM, name="Site", slug="site"))["id"]
        return await put_run(session, team_id=TEAM, project_id=project)


Act = Callable[[Jobs, Actor, UUID], Awaitable[object]]


@pytest.mark.parametrize(
    ("act", "needs", "lacks"),
    [
        (lambda door, actor, run_id: door.view(actor, run_id), READ, WRITE),
        (lambda door, actor, run_id: door.logs(actor, run_id, (0, 0), 9), READ, WRITE),
        (lambda door, actor, run_id: door.about(actor, run_id, LogFilter(), (0, 0), 9), READ, WRITE),
        (lambda door, actor, run_id: door.view_many(actor, [run_id]), READ, WRITE),
        (lambda door, actor, run_id: door.cancel(actor, run_id), WRITE, READ),
    ],
    ids=["view", "logs", "about", "view_many", "cancel"],
)
async def test_a_run_is_for_those_with_the_permission(door: Jobs, act: Act, needs: str, lacks: str) -> None:
    """Reading and cancelling need a permission each; who lacks it is refused whether the run is there or not."""
    run_id = await put_teams_run(door)
    with pytest.raises(PermissionDenied, match=needs):
        await act(door, holder(lacks), run_id)
    await act(door, holder(needs), run_id)


async def test_runs_are_triggered_by_those_with_the_permission(door: Jobs) -> None:
    """One or many: who lacks it is refused before anything else is looked at, and who has it is told what is wrong."""
    wanted = TriggerRequest("nothing")
    with pytest.raises(PermissionDenied, match=WRITE):
        await door.trigger(holder(READ), TEAM, wanted)
    with pytest.raises(PermissionDenied, match=WRITE):
        await door.trigger_many(holder(READ), TEAM, [wanted])
    with pytest.raises(UnknownJobType):
        await door.trigger(holder(WRITE), TEAM, wanted)


async def test_who_may_not_look_is_not_told_what_is_there(door: Jobs) -> None:
    """Without the permission a run that is not there is refused like one that is."""
    with pytest.raises(PermissionDenied, match=READ):
        await door.view(holder(WRITE), uuid4())
    with pytest.raises(NotFound):
        await door.view(holder(READ), uuid4())


async def test_so_many_at_once(door: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many runs as the limit says are created at once; one more, and none is."""
    monkeypatch.setattr(jobs, "MAX_BATCH", 2)
    one = TriggerRequest("crowd")
    with pytest.raises(InvalidRequest, match="runs: at most 2 at once, got 3"):
        await door.trigger_many(OPERATOR, None, [one] * 3)
    answers = await door.trigger_many(OPERATOR, None, [one] * 2)
    assert len({answer for answer in answers if isinstance(answer, UUID)}) == 2


async def test_each_of_many_is_answered_as_if_it_were_alone(door: Jobs) -> None:
    """In their order: the new run's id, or what triggering it alone would have raised."""
    first = await door.trigger_many(OPERATOR, None, [TriggerRequest("sweep")])
    wanted = [
        TriggerRequest("nothing"),
        TriggerRequest("crowd"),
        TriggerRequest("sweep"),
        TriggerRequest("sweep"),
        TriggerRequest("crowd", params={"pages": 2}),
        TriggerRequest("crowd", project_id=str(uuid4())),
        TriggerRequest("crowd", priority=101),
    ]
    answers = await door.trigger_many(OPERATOR, None, wanted)
    kinds = [type(answer) for answer in answers]
    assert kinds == [
        UnknownJobType,
        UUID,
        RunAlreadyActive,
        RunAlreadyActive,
        InvalidParams,
        InvalidRequest,
        InvalidRequest,
    ]
    assert [answer.existing_run_id for answer in answers if isinstance(answer, RunAlreadyActive)] == first * 2
    for one, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Refused):
            with pytest.raises(type(answer)) as alone:
                await door.trigger(OPERATOR, None, one)
            assert str(alone.value) == str(answer)


async def test_a_run_is_shown_with_its_own_notifications(door: Jobs) -> None:
    """Who was told of other runs is no part of what is told about a run."""
    mine = await put_teams_run(door)
    async with door.db.session() as session:
        for run_id, recipient in ((mine, "mine@acme.test"), (await put_run(session), "other@acme.test")):
            await put(session, "notifications", run_id=run_id, notifier="mail", recipient=recipient, due_at=now())
    about = await door.about(OPERATOR, mine, LogFilter(), (0, 0), 9)
    assert [one.recipient for one in about.notifications] == ["mine@acme.test"]


async def test_where_all_are_refused_the_database_is_not_asked() -> None:
    """What was wrong with each of them is told even while PostgreSQL is away."""
    door = Jobs(Away(), Catalog())
    answers = await door.trigger_many(OPERATOR, None, [TriggerRequest("nothing")] * 2)
    assert [type(answer) for answer in answers] == [UnknownJobType] * 2


async def test_a_run_is_due_when_it_was_asked_for(door: Jobs) -> None:
    """An instant is the run's own, and a delay counts from the moment of the trigger."""
    at = await door.trigger(OPERATOR, None, TriggerRequest("crowd", run_at="2099-01-02T03:04:05Z"))
    assert at.run_at == datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    later = await door.trigger(OPERATOR, None, TriggerRequest("crowd", run_at="10m"))
    assert later.run_at - later.created_at == timedelta(minutes=10)


async def test_a_look_back_is_told_in_as_many_steps_as_are_wanted(door: Jobs) -> None:
    """A run stands in the step in which it was created: of four in an hour each takes a quarter of it."""
    async with door.db.session() as session:
        await put(session, "teams", id=TEAM, name="Acme", slug="acme")
        project = (await put(session, "projects", team_id=TEAM, name="Site", slug="site"))["id"]
        for minutes in (1, 16, 44, 46):
            about = {"job_type": f"after_{minutes}", "created_at": now(-60 * minutes)}
            await put_run(session, team_id=TEAM, project_id=project, **about)
    back = await door.look_back(holder(READ), TEAM, timedelta(hours=1), 4)
    assert (back.span, back.steps) == (timedelta(hours=1), 4)
    pending = RunStatus.PENDING
    assert sorted(back.activity) == [Activity(ago, pending, 1) for ago in (0, 1, 2, 3)]


async def test_logs_are_searched_one_after_another(door: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two searches do not keep two processors busy, and who only looks at a log waits for neither."""
    run_id = await put_teams_run(door)
    searching, may_go_on, searched = trio.Event(), trio.Event(), 0

    async def newest_lines(_: object, __: UUID, wanted: LogFilter, ___: object, ____: int) -> list[StoredLogLine]:
        nonlocal searched
        if wanted.text:
            searched += 1
            searching.set()
            await may_go_on.wait()
        return []

    monkeypatch.setattr(job_runs, "newest_lines", newest_lines)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(door.about, OPERATOR, run_id, LogFilter(text="owl"), (0, 0), 10)
        await searching.wait()
        await door.about(OPERATOR, run_id, LogFilter(), (0, 0), 10)
        assert searched == 1
        may_go_on.set()
    assert searched == 2
