"""What run a fire makes, what a fire waits for, and when one that waits is given up."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

import owlrunner
from owlrunner.cron import Cron
from owlrunner.runtime.firing import Deployed, _has_lapsed, _trigger, start_queued
from owlrunner.schedule import MissedPolicy, Schedule
from owlrunner.storage import new_runs
from owlrunner.storage.new_runs import NewRun
from owlrunner.storage.postgres import Database
from owlrunner.storage.schedules import Locked
from tests.storage.rows import look, now, put_run
from tests.storage.scheduled import put_fire, put_schedule
from tests.test_execution import never_looks

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("missed", "age", "queued_before", "lapses"),
    [
        ("latest", DAY, MOMENT, False),
        ("latest", DAY + MOMENT, MOMENT, True),
        ("latest", DAY + MOMENT, timedelta(0), False),
        ("all", DAY + MOMENT, MOMENT, True),
        ("skip", MOMENT, MOMENT, True),
        ("skip", MOMENT, timedelta(0), False),
    ],
)
def test_a_waiting_fire_lapses_past_the_window(
    missed: MissedPolicy, age: timedelta, queued_before: timedelta, lapses: bool
) -> None:
    """Only where it has waited since before servers were there again, and is older than what the schedule makes up for."""
    schedule = Schedule("s", "work", Cron.parse("0 * * * *"), missed=missed, missed_window=DAY)
    watched_since = NOW - timedelta(hours=1)
    locked = Locked(NOW, NOW, watched_since, has_queued=True, has_queued_on_time=True, waits_for=None)
    assert _has_lapsed(schedule, NOW - age, watched_since - queued_before, locked) is lapses
    assert not _has_lapsed(schedule, NOW - age, NOW, locked._replace(watched_since=None))


async def test_what_run_a_fire_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its params are the schedule's and its limits the job type's; its priority is the ordinary one, and nobody is told."""
    asked: list[NewRun] = []
    active = uuid4()

    async def insert_pending(_: Any, new: NewRun, __: Any) -> Any:
        asked.append(new)
        return active

    monkeypatch.setattr(new_runs, "insert_pending", insert_pending)
    job_type = owlrunner.job_type(
        scope="system", name="work", on_restart="requeue", retry=owlrunner.Retry(max_attempts=4)
    )(never_looks)
    schedule = Schedule("s", "work", Cron.parse("0 * * * *"), params={"pages": 2})
    session: Any = None
    assert await _trigger(session, Deployed(schedule, "f", job_type), NOW) == (False, active)
    (new,) = asked
    assert new == NewRun(
        job_type="work",
        team_id=None,
        project_id=None,
        triggered_by="schedule",
        params='{"pages":2}',
        notify=False,
        priority=0,
        exclusive=True,
        requeue_on_restart=True,
        max_attempts=4,
        delay=timedelta(0),
        schedule="s",
        fire_time=NOW,
        id=new.id,
    )


@owlrunner.job_type(scope="system", name="a")
async def alone(ctx: owlrunner.JobContext) -> None:
    """Have one slot."""


async def test_a_fire_that_goes_on_waiting_waits_for_the_run_that_is_active(db: Database) -> None:
    """Where another run has taken the slot when its turn comes, that one is on record as what it waits for."""
    async with db.session() as session:
        fingerprint = await put_schedule(session)
        await put_fire(session, -30, active_run_id=uuid4(), decided_at=now())
        active = await put_run(session, exclusive=True)
        deployed = Deployed(Schedule("s", "a", Cron.parse("0 * * * *")), fingerprint, alone)
        assert await start_queued(session, deployed)
        (fire,) = await look(session, "select outcome, active_run_id from schedule_fires")
    assert fire == {"outcome": "queued", "active_run_id": active}
