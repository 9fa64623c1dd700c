"""This is the room for getting runs in: one by one, duplicates, and many at once."""

import time
from uuid import UUID

import attrs
import trio

from owlrunner.actor import OperatorActor
from owlrunner.errors import RunAlreadyActive
from owlrunner.jobs import Jobs
from owlrunner.plugins import load_catalog
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.benchmarks.contestants import Ceiling, Contestant, OwlRunner
from tests.benchmarks.house import House, Sql
from tests.benchmarks.workers import ceiling_worker, owlrunner_jobs

OPERATOR = OperatorActor()


@attrs.frozen
class Projects:
    """A team with so many projects."""

    team: UUID
    ids: list[UUID]

    @classmethod
    def make(cls, sql: Sql, count: int) -> "Projects":
        """Make them."""
        team = sql.one("insert into teams (name, slug) values ('Bench', 'bench') returning id")
        made = sql.run(
            "insert into projects (team_id, name, slug) select %s, 'P', 'p' || n from generate_series(1, %s) n returning id",
            team,
            count,
        )
        return cls(team, [project for (project,) in made])


def trigger(house: House, count: int, *, template: str = "") -> dict[str, float]:
    """Triggers a second through the Python door with the guard on: new ones, duplicates, and many at once."""
    with house.database(template or OwlRunner.template) as sql:
        projects = Projects.make(sql, count * 3)
        sql.settle()
        return trio.run(_trigger, sql.url, projects, count)


async def _trigger(url: str, projects: Projects, count: int) -> dict[str, float]:
    async with Database(url) as db:
        jobs = Jobs(db, load_catalog({}, [owlrunner_jobs.__name__]))
        wanted = [TriggerRequest("guarded_noop", str(project), {"n": 1}) for project in projects.ids]
        for one in wanted[:10]:
            await jobs.trigger(OPERATOR, projects.team, one)
        started = time.perf_counter()
        for one in wanted[10:count]:
            await jobs.trigger(OPERATOR, projects.team, one)
        new = (count - 10) / (time.perf_counter() - started)
        started, duplicates = time.perf_counter(), 0
        for one in wanted[:count]:
            try:
                await jobs.trigger(OPERATOR, projects.team, one)
            except RunAlreadyActive:
                duplicates += 1
        told = duplicates / (time.perf_counter() - started)
        started = time.perf_counter()
        rest = wanted[count:]
        for start in range(0, len(rest), 1000):
            await jobs.trigger_many(OPERATOR, projects.team, rest[start : start + 1000])
        many = len(rest) / (time.perf_counter() - started)
    return {"new a second": new, "duplicates a second": told, "in batches of 1,000 a second": many}


def ceiling_trigger(house: House, count: int) -> dict[str, float]:
    """The same by hand-written SQL on one connection."""
    with house.database(Ceiling.template) as sql:
        for _ in range(10):
            ceiling_worker.trigger(sql.connection, {"n": 1})
        started = time.perf_counter()
        for _ in range(count):
            ceiling_worker.trigger(sql.connection, {"n": 1})
        return {"new a second": count / (time.perf_counter() - started)}


def bulk(house: House, peer: Contestant, count: int) -> dict[str, float]:
    """A peer's bulk enqueue. What its process takes to start is taken off."""
    with house.database(peer.template) as sql:
        peer.fill(sql, 10)
        moments = [time.perf_counter()]
        for number in (10, count):
            peer.fill(sql, number)
            moments.append(time.perf_counter())
        started, few, many = moments
        return {"in batches of 1,000 a second": count / ((many - few) - (few - started))}
