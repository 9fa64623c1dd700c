"""The books find what is wrong: an audit that never complains would prove nothing."""

import json
import os
import time
from uuid import UUID, uuid4

from tests.lab.arena import Arena, Setting
from tests.lab.ground import Ground
from tests.lab.play import play
from tests.lab.scenarios import Scenario
from tests.lab.server_process import open_forge

_INSERT = """
insert into job_runs (job_type, status, triggered_by, attempt, started_at, completed_at, error)
values (%s, %s, 'operator', 1, now(), now(), %s) returning id
"""


async def _stored(arena: Arena, job_type: str, status: str, error: str | None = None) -> UUID:
    """A run that has ended."""
    ((run_id,),) = await arena.observer.rows(_INSERT, job_type, status, error)
    return UUID(str(run_id))


def _executed(arena: Arena, run_id: UUID, start: float, end: float, how: str) -> None:
    """Somebody was at work on it for a while."""
    about = {"run": str(run_id), "attempt": 1, "pid": os.getpid()}
    with arena.diary.file.open("a") as file:
        file.write(json.dumps({"event": "start", "at": start, **about}) + "\n")
        file.write(json.dumps({"event": "end", "at": end, "how": how, **about}) + "\n")


async def _everything_wrong(arena: Arena) -> None:
    arena.acknowledged.add(uuid4())
    await _stored(arena, "lab_system", "completed")
    await _stored(arena, "lab_requeued", "failed", "for no reason")
    twice = await _stored(arena, "lab_timed", "completed")
    now = time.monotonic()
    for start in (now, now + 1):
        _executed(arena, twice, start, start + 2, "returned")
    arena.cancelled.add(await _stored(arena, "lab_retried", "failed", "not by a cancel"))
    await arena.observer.rows("update job_runs set status = 'failed', error = 'after all' where id = %s", twice)


async def _nothing_wrong(arena: Arena) -> None:
    run_id = await _stored(arena, "lab_system", "completed")
    arena.acknowledged.add(run_id)
    _executed(arena, run_id, 1.0, 2.0, "returned")


async def test_the_audit_finds_each_mistake(ground: Ground) -> None:
    """Lost runs, outcomes without work, work at once, second outcomes and lost cancels are each told in a sentence."""
    setting = Setting(lease=3.0, hold=4.0, tenant=ground.tenant)
    async with open_forge() as forge:
        right = await play(ground, forge, setting, Scenario("right", _nothing_wrong), None)
        wrong = await play(ground, forge, setting, Scenario("wrong", _everything_wrong), None)
    assert right.broken == []
    assert set(wrong.broken) == {
        "an acknowledged run is gone",
        "completed, though no handler returned in that attempt",
        "failed (for no reason), though it was never executed",
        "failed (not by a cancel), though it was never executed",
        "a run whose cancel was acknowledged is failed (not by a cancel)",
        "executed 2 times",
        "two executions of one run at once",
        "a handler returned, and the run is failed (after all)",
        "a run went from completed to failed",
    }
