"""A trigger or cancel whose answer was lost is looked up, and done again only where it is not there."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from owlrunner.actor import OperatorActor
from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.storage.job_runs import request_cancel
from owlrunner.storage.new_runs import NewRun, insert_many, insert_pending
from owlrunner.storage.postgres import Database, Params, Session
from tests.storage.rows import now, put_held, put_run, put_server

OPERATOR = OperatorActor()
LOST = DatabaseUnavailable("the answer was lost", unknown=True)
EXCLUSIVE = NewRun("a", None, None, "operator", None, False, 0, True, False, 1)


class Flaky(Database):
    """Raises instead of the first answer to a query: after it took effect, before, or between the look and the next try."""

    def __init__(self, db: Database, name: str, error: Exception = LOST, *, effect: str) -> None:
        self._real = db
        self._name = name
        self._error = error
        self._effect = effect
        self._late: Callable[[], Coroutine[Any, Any, Any]] | None = None
        self.asked: list[str] = []

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """Ask the real database."""
        self.asked.append(name)
        if name == self._name and self.asked.count(name) == 1:
            if self._effect == "early":
                await self._real.rows(name, params)
            elif self._effect == "late":
                self._late = lambda: self._real.rows(name, params)
            raise self._error
        answer = await self._real.rows(name, params, plan_anew=plan_anew)
        if self._late is not None:
            late, self._late = self._late, None
            await late()
        return answer


@pytest.mark.parametrize(("effect", "tries"), [("early", 1), ("never", 2), ("late", 2)])
async def test_a_trigger_is_there_once(db: Database, effect: str, tries: int) -> None:
    """Whether its statement took effect at once, never, or after it had been looked up, there is one run, and it is told."""
    flaky = Flaky(db, "job_runs/insert_pending", effect=effect)
    answer = await insert_pending(flaky, EXCLUSIVE, OPERATOR)
    assert isinstance(answer, JobRun)
    assert answer.id == EXCLUSIVE.id
    assert flaky.asked.count("job_runs/insert_pending") == tries
    async with db.session() as session:
        cursor = await session.connection.execute("select id from job_runs")
        assert await cursor.fetchall() == [(EXCLUSIVE.id,)]


@pytest.mark.parametrize(("effect", "tries"), [("early", 1), ("never", 2), ("late", 2)])
async def test_each_of_many_triggers_is_there_once(db: Database, effect: str, tries: int) -> None:
    """Those that are there are not sent again, and for each the answer is that it was created."""
    wanted = [EXCLUSIVE, msgspec.structs.replace(EXCLUSIVE, job_type="b", id=uuid4())]
    flaky = Flaky(db, "job_runs/insert_many", effect=effect)
    assert await insert_many(flaky, None, wanted, OPERATOR) == [(True, one.id) for one in wanted]
    assert flaky.asked == ["job_runs/insert_many", "job_runs/existing", "job_runs/insert_many"][: tries + 1]
    async with db.session() as session:
        cursor = await session.connection.execute("select id from job_runs order by job_type")
        assert await cursor.fetchall() == [(one.id,) for one in wanted]


async def test_a_slot_that_was_taken_meanwhile_is_told(db: Database) -> None:
    """Where the statement had no effect and another run has the slot by now, that run is the answer."""
    async with db.session() as session:
        other = await put_run(session, job_type="a", exclusive=True)
    flaky = Flaky(db, "job_runs/insert_pending", effect="never")
    assert await insert_pending(flaky, EXCLUSIVE, OPERATOR) == other


async def test_what_did_not_happen_is_told(db: Database) -> None:
    """A statement that was never sent is no riddle: nothing is looked up, and the error is the caller's."""
    for name, ask in (
        ("job_runs/insert_pending", lambda flaky: insert_pending(flaky, EXCLUSIVE, OPERATOR)),
        ("job_runs/request_cancel", lambda flaky: request_cancel(flaky, uuid4(), OPERATOR)),
    ):
        flaky = Flaky(db, name, DatabaseUnavailable("cannot connect"), effect="never")
        with pytest.raises(DatabaseUnavailable, match="cannot connect"):
            await ask(flaky)
        assert flaky.asked == [name]


async def test_inside_a_transaction_the_caller_looks_it_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the lost answer is that of the whole transaction."""

    async def row(*_: Any, **__: Any) -> None:
        raise LOST

    async with db.session() as session:
        monkeypatch.setattr(Session, "row", row)
        with pytest.raises(DatabaseUnavailable):
            await insert_pending(session, EXCLUSIVE, OPERATOR)


@pytest.mark.parametrize(("effect", "tries"), [("early", 1), ("never", 2), ("late", 2)])
@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
async def test_a_cancel_is_asked_for_once(db: Database, effect: str, tries: int, status: RunStatus) -> None:
    """A run that waits is cancelled and one that runs is asked to leave, and that is the answer, too."""
    async with db.session() as session:
        is_held = status is RunStatus.RUNNING
        run_id = await (put_held(session, await put_server(session)) if is_held else put_run(session))
    flaky = Flaky(db, "job_runs/request_cancel", effect=effect)
    answer = await request_cancel(flaky, run_id, OPERATOR)
    wanted = status if status is RunStatus.RUNNING else RunStatus.CANCELLED
    assert answer is wanted
    assert flaky.asked.count("job_runs/request_cancel") == tries
    async with db.session() as session:
        cursor = await session.connection.execute("select status::text, cancel_requested_at is not null from job_runs")
        assert await cursor.fetchall() == [(str(wanted), True)]


async def test_a_cancel_of_what_has_ended_is_none(db: Database) -> None:
    """A run that completed in spite of an earlier request was not cancelled, and an unknown one neither."""
    async with db.session() as session:
        ended = await put_run(session, status="completed", completed_at=now(), cancel_requested_at=now())
    for run_id in (ended, uuid4()):
        flaky = Flaky(db, "job_runs/request_cancel", effect="early")
        assert await request_cancel(flaky, run_id, OPERATOR) is None
