"""The doorbell: a ring wakes whoever listens, from another process too, and is not needed for anything but speed."""

from functools import partial

import psycopg
import pytest
import trio

from owlrunner.actor import OperatorActor
from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage import new_runs
from owlrunner.storage import wakeups as wakeups_module
from owlrunner.storage.new_runs import NewRun
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell, Wakeups


async def test_no_ring_falls_between_looking_and_waiting() -> None:
    """Who listens before looking hears a ring that comes while it looks."""
    bell = Bell()
    rung = bell.listen()
    bell.ring()
    with trio.fail_after(1):
        await rung.wait()
    assert not bell.listen().is_set()


async def test_notify_rings_the_right_bell(db: Database, nursery: trio.Nursery) -> None:
    """A NOTIFY on a channel of ours, from another connection, rings the bell of that channel alone."""
    wakeups = Wakeups()
    await nursery.start(wakeups.run, db)
    pending, held = wakeups.pending.listen(), wakeups.held.listen()
    async with db.session() as session:
        await session.connection.execute("notify owlrunner_held")
    with trio.fail_after(5):
        await held.wait()
    assert not pending.is_set()


async def test_after_a_lost_connection_everybody_looks(db: Database, nursery: trio.Nursery) -> None:
    """Nobody knows what was missed while the ear was deaf, so all bells ring when it hears again, and it does hear."""
    wakeups = Wakeups()
    await nursery.start(wakeups.run, db)
    rung = wakeups.pending.listen()
    with psycopg.connect(db.conninfo, autocommit=True) as other:
        # Of this database alone: other workers' tests listen in theirs.
        other.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where query like 'listen %' and datname = current_database()"
        )
    with trio.fail_after(10):
        await rung.wait()
    again = wakeups.pending.listen()
    async with db.session() as session:
        await session.connection.execute("notify owlrunner_pending")
    with trio.fail_after(5):
        await again.wait()


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_trigger_rings_for_the_workers(db: Database, nursery: trio.Nursery, at_once: bool) -> None:
    """A run that is created, alone or with others, rings the bell for pending runs, and one that was there already does not."""
    wakeups = Wakeups()
    await nursery.start(wakeups.run, db)
    new = NewRun("x", None, None, "operator", None, False, 0, True, False, 1)

    async def trigger() -> None:
        if at_once:
            await new_runs.insert_many(db, None, [new], OperatorActor())
        else:
            await new_runs.insert_pending(db, new, OperatorActor())

    rung = wakeups.pending.listen()
    await trigger()
    with trio.fail_after(5):
        await rung.wait()
    quiet, held = wakeups.pending.listen(), wakeups.held.listen()
    await trigger()
    # Rings come in the order in which they were sent.
    async with db.session() as session:
        await session.connection.execute("notify owlrunner_held")
    with trio.fail_after(5):
        await held.wait()
    assert not quiet.is_set()


async def test_an_ear_that_hears_no_heartbeat_is_replaced(
    db: Database, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a time without any ring everybody looks, another connection listens, and the log says why."""
    monkeypatch.setattr(wakeups_module, "RECONNECT_DELAY", 0.01)
    wakeups = Wakeups()
    alive: list[float] = []
    await nursery.start(partial(wakeups.run, db, silence=0.3, on_alive=alive.append))
    assert alive == [0.3]
    rung = [bell.listen() for bell in (wakeups.pending, wakeups.held, wakeups.notifications, wakeups.accounts)]
    with trio.fail_after(20):
        for one in rung:
            await one.wait()
    assert "no heartbeat was heard for 0.3 s" in caplog.text


async def test_each_ring_is_a_sign_of_life(db: Database, nursery: trio.Nursery) -> None:
    """It is told by what time the next one is expected, and rings nobody's bell."""
    wakeups = Wakeups()
    alive: list[float] = []
    heard = trio.Event()

    def on_alive(silence: float) -> None:
        alive.append(silence)
        if len(alive) > 1:
            heard.set()

    await nursery.start(partial(wakeups.run, db, silence=60.0, on_alive=on_alive))
    rung = [bell.listen() for bell in (wakeups.pending, wakeups.held, wakeups.notifications, wakeups.accounts)]
    async with db.session() as session:
        await session.connection.execute("notify owlrunner_alive")
    with trio.fail_after(20):
        await heard.wait()
    assert alive == [60.0, 60.0]
    assert not any(one.is_set() for one in rung)


async def test_who_cannot_listen_at_the_start_says_so(database_url: str) -> None:
    """A server that never heard anything does not begin as if it could."""
    async with Database("host=/nobody/here dbname=x") as nowhere:
        with pytest.raises(DatabaseUnavailable):
            await Wakeups().run(nowhere)
