"""This is the room for waiting: how long from a trigger to the handler, and from a cancel request to its end."""

import statistics
import tempfile
from pathlib import Path
from uuid import UUID

import trio

from owlrunner.actor import OperatorActor
from owlrunner.jobs import Jobs
from owlrunner.plugins import load_catalog
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.benchmarks.contestants import Contestant, OwlRunner
from tests.benchmarks.drain import working
from tests.benchmarks.house import House
from tests.benchmarks.waiting import PATIENCE, until
from tests.benchmarks.workers import drip, owlrunner_jobs

WARM_UP = 10
OPERATOR = OperatorActor()


def pickup(house: House, contestant: Contestant, count: int) -> dict[str, float]:
    """Milliseconds from the trigger to the handler's first line, on an idle worker."""
    with house.database(contestant.template) as sql, tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "latencies"
        with working(contestant, sql, 1, Path(folder) / "tally", {drip.VARIABLE: str(heard)}):
            contestant.drip(sql, WARM_UP)
            _wait_for(heard, WARM_UP)
            contestant.drip(sql, count)
            latencies = _wait_for(heard, WARM_UP + count)[WARM_UP:]
    return _percentiles(latencies)


def cancel(house: House, count: int) -> dict[str, float]:
    """Milliseconds from a cancel request in another process to Trio's Cancelled in the handler, whose grace is 0."""
    contestant = OwlRunner("OwlRunner")
    with house.database(contestant.template) as sql, tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "latencies"
        with working(contestant, sql, 2, Path(folder) / "tally", {drip.VARIABLE: str(heard)}):
            trio.run(_cancel_each, sql.url, heard, count)
        return _percentiles(drip.read(heard))


async def _cancel_each(url: str, heard: Path, count: int) -> None:
    async with Database(url) as db:
        jobs = Jobs(db, load_catalog({}, [owlrunner_jobs.__name__]))
        for number in range(count):
            run_id = (await jobs.trigger(OPERATOR, None, TriggerRequest("sleeper"))).id
            await _until_running(jobs, run_id)
            drip.ask(heard)
            await jobs.cancel(OPERATOR, run_id)
            await trio.to_thread.run_sync(_wait_for, heard, number + 1)


async def _until_running(jobs: Jobs, run_id: UUID) -> None:
    with trio.fail_after(PATIENCE):
        while (await jobs.view(OPERATOR, run_id)).started_at is None:
            await trio.sleep(0.01)
    # The handler starts a moment after its row says so.
    await trio.sleep(0.02)


def _wait_for(heard: Path, count: int) -> list[float]:
    until(lambda: len(drip.read(heard)) >= count, f"{count} jobs arrive")
    return drip.read(heard)


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50 ms": cuts[49] * 1000, "p95 ms": cuts[94] * 1000, "p99 ms": cuts[98] * 1000}
