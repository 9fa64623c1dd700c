"""P13 for a whole deploy: servers are restarted one after the other under load, and nobody notices but the log."""

import functools
import signal
from collections.abc import AsyncIterator, Callable

import trio

from owlrunner.job_run import RunStatus
from tests.promises.serving import Door, Serve, ServerProcess, StartProcess

SERVERS = ("a", "b")
ROUNDS = 2
GRACE = 1.5
SHORT = {"steps": 3, "seconds": 0.1}
"""Ends within the grace."""
LONG = {"steps": 30, "seconds": 0.1}
"""Does not."""
WORK = (("parallel", 6, SHORT), ("requeued_beside_others", 6, LONG), ("alone", 1, SHORT))
"""What is to be active at any time: job type, how many runs, and their params."""
PATIENCE = 240.0


class Producer:
    """Somebody who triggers a run for each one that ends, so that so many of both kinds are always there."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.stopping = False

    async def _top_up(self) -> None:
        rows = await self._door.sql("select job_type, count(*) from job_runs where completed_at is null group by 1")
        active = dict(rows)
        for job_type, load, params in WORK:
            for _ in range(load - active.get(job_type, 0)):
                await self._door.trigger(job_type, params=params)

    async def run(self, changes: AsyncIterator[object]) -> None:
        """Trigger until told to stop, then wait until nothing is left."""
        await self._top_up()
        async for _ in changes:
            if not self.stopping:
                await self._top_up()
            elif await self._door.sql("select count(*) from job_runs where completed_at is null") == [(0,)]:
                return


async def has_just_begun(door: Door, name: str) -> None:
    """Wait until the server has claimed a run which cannot end within the grace from now on."""
    just_begun = (
        "select r.id from job_runs r join servers s on s.id = r.server_id where s.name = %s and r.status = 'running'"
        " and r.job_type = 'requeued_beside_others' and r.started_at > clock_timestamp() - interval '0.5 s'"
    )
    async with door.changes() as changes:
        while not await door.sql(just_begun, name):
            await anext(changes)


async def restart(server: ServerProcess, start: Callable[[str], ServerProcess], name: str) -> ServerProcess:
    """Stop a server as a supervisor does, and start it again."""
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    again = start(name)
    await again.ready()
    return again


async def test_a_rolling_restart_loses_nothing(door: Door, server_process: StartProcess) -> None:
    """Short runs complete at their first start, long ones that may be requeued in the end, none twice at once, and none is lost."""
    # Neither has room for all: each has something to lose.
    start = functools.partial(server_process, shutdown_grace=GRACE, capacity=8)
    servers = {name: start(name) for name in SERVERS}
    for server in servers.values():
        await server.ready()
    producer = Producer(door)
    with trio.fail_after(PATIENCE):
        async with door.changes() as changes, trio.open_nursery() as nursery:
            nursery.start_soon(producer.run, changes)
            for _ in range(ROUNDS):
                for name in SERVERS:
                    await has_just_begun(door, name)
                    servers[name] = await restart(servers[name], start, name)
            producer.stopping = True
    # The grace was enough: never started twice.
    assert await door.sql(
        "select job_type, status::text, min(attempt), max(attempt) from job_runs where job_type = 'parallel' group by 1, 2"
    ) == [("parallel", "completed", 1, 1)]
    rows = await door.sql(
        "select status::text, max(attempt), count(*) from job_runs where job_type = 'requeued_beside_others' group by 1"
    )
    ((status, attempts, count),) = rows
    assert status == "completed"
    assert count >= 6
    # Each restart costs a run one attempt at most; and it did cost those one that had just begun.
    assert 1 < attempts <= 1 + ROUNDS * len(SERVERS)
    # It raises where it meets another one at work.
    assert await door.sql("select distinct status::text from job_runs where job_type = 'alone'") == [("completed",)]


async def test_a_server_of_the_version_before_goes_on(door: Door, serve: Serve) -> None:
    """When the schema has been brought to the next version, a running older server works as before, and so does a restarted one."""
    older = await serve(name="a")
    await door.sql("alter table job_runs add column colour text not null default 'brown'")
    await door.sql("create index on job_runs (colour)")
    async with door.db.session() as session:
        record = {"owner": "owlrunner", "number": 9000, "name": "colours", "compatible": True, "checksum": None}
        await session.rows("migrations/record", record)
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
    await older.stop()
    await serve(name="a")
    await door.until(await door.trigger("polite"), RunStatus.COMPLETED)
