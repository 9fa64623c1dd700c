"""This is the room for what a server costs beside its work: idle, with a crowd of sleepers, with those who talk all the time."""

import tempfile
import time
from pathlib import Path

import trio

from owlrunner.actor import OperatorActor
from owlrunner.jobs import Jobs
from owlrunner.plugins import load_catalog
from owlrunner.storage.postgres import Database
from owlrunner.storage.queries import query
from owlrunner.trigger_request import TriggerRequest
from tests.benchmarks import tally
from tests.benchmarks.contestants import Contestant, OwlRunner
from tests.benchmarks.drain import working
from tests.benchmarks.house import House, Sql
from tests.benchmarks.waiting import PATIENCE, until
from tests.benchmarks.workers import owlrunner_jobs

IDLE_SECONDS = 60.0
MEGABYTE = 1_000_000
NAPS = 0.05
TALKERS = 1000


def idle(house: House, contestant: Contestant) -> dict[str, float]:
    """Statements a minute and memory of a worker that has nothing to do."""
    with (
        house.database(contestant.template) as sql,
        tempfile.TemporaryDirectory() as folder,
        working(contestant, sql, 1, Path(folder) / "tally") as (process,),
    ):
        time.sleep(5.0)
        with house.counting() as statements:
            time.sleep(1.0)
            before = statements()
            time.sleep(IDLE_SECONDS)
            sent = statements() - before
        return {"statements a minute": sent * 60 / IDLE_SECONDS, "RSS MB": process.memory_info().rss / MEGABYTE}


def sleepers(house: House, count: int) -> dict[str, float]:
    """Memory of a server with so many sleeping runs, the worst age of its heartbeat, and how long SIGTERM takes to end them all."""
    settings = {"OWLRUNNER_SERVER__CAPACITY": str(count), "OWLRUNNER_SERVER__SHUTDOWN_GRACE": "0"}
    contestant = OwlRunner("OwlRunner", job_type="sleeper", settings=settings)
    with house.database(contestant.template) as sql, tempfile.TemporaryDirectory() as folder:
        contestant.fill(sql, count)
        shared = Path(folder) / "tally"
        with working(contestant, sql, 1, shared) as (process,):
            until(lambda: tally.read(shared)[0] >= count, "all sleep")
            lease = 30.0
            left = lease
            for _ in range(200):
                left = min(
                    left, float(sql.one("select extract(epoch from min(lease_expires_at) - now()) from servers"))
                )
                time.sleep(NAPS)
            rss = process.memory_info().rss / MEGABYTE
            started = time.monotonic()
            process.terminate()
            until(lambda: not sql.one("select exists (select from job_runs where status = 'running')"), "all end")
            ended = time.monotonic() - started
            process.wait(PATIENCE)
        return {"RSS MB": rss, "oldest heartbeat s": lease - left, "all ended s": ended}


def progress(house: House) -> dict[str, float]:
    """What telling progress costs: one handler at full speed, and a thousand that tell now and then."""
    contestant = OwlRunner("OwlRunner", settings={"OWLRUNNER_SERVER__CAPACITY": "1000"})
    with house.database(contestant.template) as sql, tempfile.TemporaryDirectory() as folder:
        with working(contestant, sql, 1, Path(folder) / "tally"):
            alone = _talk(sql, 1, {"calls": 50_000, "pause": 0.01})
            writes, _ = _updates(sql)
            with house.counting(query("job_runs/save_progress").splitlines()[0]) as statements:
                time.sleep(1.0)
                talked, _ = _talk(sql, TALKERS, {"calls": 1000, "pause": 0.5})
                sent = statements()
            updates, hot = _updates(sql)
        seconds, microseconds = alone
        return {
            "µs a call": microseconds,
            # But for the claim and the end.
            "writes a second": (writes - 2) / seconds,
            "statements of 1,000 talkers a second": sent / talked,
            "HOT share": hot / (updates - 2 * (TALKERS + 1)),
        }


def _updates(sql: Sql) -> tuple[int, int]:
    """How many rows were updated so far, and how many of them without a new entry in any index."""
    # The sessions of a server tell their counts once a second at most.
    time.sleep(2.0)
    return sql.run("select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'job_runs'")[0]


def _talk(sql: Sql, runs: int, params: dict[str, float]) -> tuple[float, float]:
    """Trigger talkers and wait for their end: how long one took, and how many µs a call did."""
    trio.run(_trigger_talkers, sql.url, runs, params)
    until(lambda: not sql.one(OwlRunner.unfinished), "all have talked")
    return sql.run(
        "select max(extract(epoch from completed_at - started_at))::float8, avg((result ->> 'seconds_per_call')::float8 * 1e6)"
        " from job_runs where params ->> 'calls' = %s and status = 'completed'",
        str(params["calls"]),
    )[0]


async def _trigger_talkers(url: str, runs: int, params: dict[str, float]) -> None:
    async with Database(url) as db:
        jobs = Jobs(db, load_catalog({}, [owlrunner_jobs.__name__]))
        await jobs.trigger_many(OperatorActor(), None, [TriggerRequest("talker", params=params)] * runs)


def punctuality(house: House, servers: int) -> dict[str, float]:
    """How late the runs of a schedule that fires each minute are started, over three minutes."""
    with tempfile.TemporaryDirectory() as folder:
        schedules = Path(folder) / "schedules.toml"
        schedules.write_text('[schedules.often]\njob_type = "punctual"\ncron = "* * * * *"\n')
        contestant = OwlRunner("OwlRunner", settings={"OWLRUNNER_SERVER__SCHEDULES": str(schedules)})
        with house.database(contestant.template) as sql, working(contestant, sql, servers, Path(folder) / "tally"):
            done = "select count(*) from job_runs where job_type = 'punctual' and completed_at is not null"
            until(lambda: sql.one(done) >= 3, "three fires", 200.0)
            late = sql.one(
                "select max(extract(epoch from started_at - fire_time))::float8 from job_runs where job_type = 'punctual'"
            )
            return {"latest start ms": late * 1000}
