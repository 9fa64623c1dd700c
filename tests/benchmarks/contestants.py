"""This is the room for who takes part: how each is installed, how its jobs are prepared, and how its workers are started."""

import abc
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import attrs
import trio

from owlrunner.actor import OperatorActor
from owlrunner.jobs import Jobs
from owlrunner.plugins import load_catalog
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.benchmarks.house import House, Sql, migrate_owlrunner
from tests.benchmarks.workers import ceiling_worker, owlrunner_jobs
from tests.benchmarks.workers.drip import PAUSE

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Contestant(abc.ABC):
    """One that drains a queue. Subclasses say how."""

    name: str
    template: ClassVar[str] = ""
    unfinished: ClassVar[str] = ""
    """A query: whether anything is left to be done."""

    @abc.abstractmethod
    def make_template(self, house: House) -> None:
        """Make the database that each measurement starts from a copy of."""

    @abc.abstractmethod
    def fill(self, sql: Sql, count: int) -> None:
        """Put so many jobs into the queue, with nobody there to do them."""

    @abc.abstractmethod
    def drip(self, sql: Sql, count: int) -> None:
        """Enqueue so many jobs, one at a time with a pause after each, as somebody's web application would."""

    @abc.abstractmethod
    def command(self, sql: Sql) -> tuple[list[str], dict[str, str]]:
        """What to start as a worker, and with which environment besides."""


@attrs.frozen
class OwlRunner(Contestant):
    """`owlrunner serve`, as a newcomer starts it."""

    job_type: str = "noop"
    settings: dict[str, str] = attrs.field(factory=dict)
    template: ClassVar[str] = "bench_owlrunner"
    # But for the clean-up that may go on beside.
    unfinished: ClassVar[str] = (
        "select exists (select from job_runs where status = 'pending' and job_type <> 'run_retention')"
        " or exists (select from job_runs where status = 'running' and job_type <> 'run_retention')"
    )

    def make_template(self, house: House) -> None:
        migrate_owlrunner(house.make_template(self.template))

    def fill(self, sql: Sql, count: int) -> None:
        if self.job_type == "guarded_noop":
            team = sql.one("insert into teams (name, slug) values ('T', 't') returning id")
            sql.run(
                "insert into projects (team_id, name, slug) select %s, 'P', 'p' || n from generate_series(1, %s) n",
                team,
                count,
            )
            sql.run(
                "insert into job_runs (job_type, team_id, project_id, triggered_by, params, requeue_on_restart)"
                " select 'guarded_noop', team_id, id, 'operator', '{\"n\": 1}', true from projects"
            )
        else:
            sql.run(
                "insert into job_runs (job_type, triggered_by, params, exclusive, requeue_on_restart)"
                " select %s, 'operator', case when %s then jsonb_build_object('n', n) end, false, true"
                " from generate_series(1, %s) n",
                self.job_type,
                self.job_type == "noop",
                count,
            )

    def drip(self, sql: Sql, count: int) -> None:
        trio.run(self._drip, sql.url, count)

    async def _drip(self, url: str, count: int) -> None:
        async with Database(url) as db:
            jobs = Jobs(db, load_catalog({}, [owlrunner_jobs.__name__]))
            for _ in range(count):
                wanted = TriggerRequest("dripping", params={"sent": time.monotonic()})
                await jobs.trigger(OperatorActor(), None, wanted)
                await trio.sleep(PAUSE)

    def command(self, sql: Sql) -> tuple[list[str], dict[str, str]]:
        environment = {
            "DATABASE_URL": sql.url,
            "OWLRUNNER_CONFIG": os.devnull,
            "OWLRUNNER_SERVER__PLUGINS": f'["{owlrunner_jobs.__name__}"]',
            "OWLRUNNER_WEB__PORT": "0",
        }
        return [sys.executable, "-m", "owlrunner", "serve"], environment | self.settings


@attrs.frozen
class Ceiling(Contestant):
    """Hand-written SQL."""

    batch: int = 500
    template: ClassVar[str] = "bench_ceiling"
    unfinished: ClassVar[str] = ceiling_worker.UNFINISHED

    def make_template(self, house: House) -> None:
        house.make_template(self.template)
        with house.sql(self.template) as sql:
            sql.run(ceiling_worker.SCHEMA)

    def fill(self, sql: Sql, count: int) -> None:
        sql.run(ceiling_worker.FILL.format(count=count))

    def drip(self, sql: Sql, count: int) -> None:
        for _ in range(count):
            ceiling_worker.trigger(sql.connection, {"sent": time.monotonic()})
            time.sleep(PAUSE)

    def command(self, sql: Sql) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", ceiling_worker.__name__, sql.url, str(self.batch)], {}


@attrs.frozen
class Peer(Contestant):
    """Somebody else's library, in a virtual environment of its own."""

    module: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()
    arguments: tuple[str, ...] = ()

    def make_template(self, house: House) -> None:
        self._call("schema", house.make_template(self.template), 0)

    def fill(self, sql: Sql, count: int) -> None:
        self._call("fill", sql.url, count)

    def drip(self, sql: Sql, count: int) -> None:
        self._call("drip", sql.url, count)

    def command(self, sql: Sql) -> tuple[list[str], dict[str, str]]:
        return [str(self._python()), "-m", self.module, "work", sql.url, *self.arguments], {}

    def _call(self, verb: str, url: str, number: int) -> None:
        subprocess.run([self._python(), "-m", self.module, verb, url, str(number)], cwd=ROOT, check=True)

    def _python(self) -> Path:
        """The environment's Python, installed at first use."""
        folder = ROOT / ".venv" / "bench" / self.template
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *self.packages], check=True)
            (folder / "installed").touch()
        return python


@attrs.frozen
class Procrastinate(Peer):
    """procrastinate."""

    template: ClassVar[str] = "bench_procrastinate"
    module: ClassVar[str] = "tests.benchmarks.workers.procrastinate_worker"
    packages: ClassVar[tuple[str, ...]] = ("procrastinate==3.10.0", "psycopg[binary]==3.3.9")
    unfinished: ClassVar[str] = "select exists (select from procrastinate_jobs where status in ('todo', 'doing'))"


@attrs.frozen
class PgQueuer(Peer):
    """PgQueuer."""

    template: ClassVar[str] = "bench_pgqueuer"
    module: ClassVar[str] = "tests.benchmarks.workers.pgqueuer_worker"
    packages: ClassVar[tuple[str, ...]] = ("pgqueuer==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0")
    unfinished: ClassVar[str] = "select exists (select from pgqueuer)"
