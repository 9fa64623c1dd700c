"""Connections of handlers: a bound on the runs that have some, and nobody who waits for ever."""

from uuid import uuid4

import pytest
import trio
import trio.testing

from owlrunner.context import JobContext
from owlrunner.errors import DatabaseUnavailable
from owlrunner.runtime.handler_connections import HandlerConnections
from owlrunner.storage.postgres import Database


def context(connections: HandlerConnections) -> JobContext:
    """A run that connects."""
    return JobContext(
        run_id=uuid4(),
        job_type="x",
        project_id=None,
        team_id=None,
        attempt=1,
        connect=connections.open,
        on_news=lambda _: None,
    )


async def test_only_so_many_runs_have_connections(db: Database, nursery: trio.Nursery) -> None:
    """A run that comes when all places are taken gets its connection when another run has closed its last one."""
    connections = HandlerConnections(db, 1)
    first, second = context(connections), context(connections)
    connected = trio.Event()

    async def connect_second() -> None:
        async with second.connect() as connection:
            await connection.execute("select 1")
            connected.set()

    async with first.connect():
        nursery.start_soon(connect_second)
        await trio.testing.wait_all_tasks_blocked()
        assert not connected.is_set()
    with trio.fail_after(10):
        await connected.wait()


async def test_a_run_that_has_one_opens_more_without_waiting(db: Database) -> None:
    """Runs that hold all places open a second connection each, instead of waiting for each other for ever."""
    connections = HandlerConnections(db, 2)
    both = trio.testing.Sequencer()

    async def open_two(ctx: JobContext, number: int) -> None:
        async with ctx.connect():
            async with both(number):
                pass
            async with ctx.connect() as connection:
                await connection.execute("select 1")

    with trio.fail_after(10):
        async with trio.open_nursery() as runs:
            runs.start_soon(open_two, context(connections), 0)
            runs.start_soon(open_two, context(connections), 1)


async def test_two_tasks_of_one_run_take_one_place(db: Database) -> None:
    """When two tasks of a run wait for its first connection, both get one, and the run takes one place."""
    connections = HandlerConnections(db, 2)
    ctx, other, third = (context(connections) for _ in range(3))
    opened = trio.Event()
    close = trio.Event()
    count = 0

    async def hold() -> None:
        nonlocal count
        async with ctx.connect():
            count += 1
            if count == 2:
                opened.set()
            await close.wait()

    with trio.fail_after(10):
        async with trio.open_nursery() as tasks:
            async with other.connect(), third.connect():
                for _ in range(2):
                    tasks.start_soon(hold)
                await trio.testing.wait_all_tasks_blocked()
            await opened.wait()
            async with other.connect() as connection:
                await connection.execute("select 1")
            close.set()
        # And gives it back once.
        async with other.connect(), third.connect():
            assert "0 places left" in repr(connections)


async def test_a_run_keeps_its_place_for_as_long_as_it_has_a_connection(db: Database) -> None:
    """When one of two is closed no other run gets the place, and when both are the run is forgotten."""
    connections = HandlerConnections(db, 1)
    ctx = context(connections)
    async with ctx.connect():
        async with ctx.connect():
            pass
        assert "1 runs, 0 places left" in repr(connections)
    assert "0 runs, 1 places left" in repr(connections)


async def test_who_is_cancelled_while_waiting_takes_no_place(db: Database) -> None:
    """A run that is cancelled before its turn leaves the place to the next."""
    connections = HandlerConnections(db, 1)
    with trio.CancelScope() as waiting:
        async with context(connections).connect():
            waiting.cancel()
            async with context(connections).connect():
                pytest.fail("there was no place")
    assert waiting.cancelled_caught
    assert "0 runs, 1 places left" in repr(connections)


async def test_who_finds_no_postgresql_takes_no_place() -> None:
    """A run that cannot connect leaves its place to the next."""
    async with Database("host=127.0.0.1 port=1") as nobody:
        connections = HandlerConnections(nobody, 1)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                async with context(connections).connect():
                    pass
        assert "0 runs, 1 places left" in repr(connections)
