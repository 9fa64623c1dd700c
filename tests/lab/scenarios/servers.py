"""Scenarios about servers that come and go: recovery, a rival, shutdown, migration."""

from collections.abc import Sequence
from uuid import UUID

import trio

from owlrunner.job_run import RunStatus
from owlrunner.storage.migration_files import wanted_migrations
from tests.lab.arena import PATIENCE, START_PATIENCE, Arena
from tests.lab.broken import Broken
from tests.lab.dead_server import leave_behind
from tests.lab.scenarios.registry import scenario
from tests.lab.scenarios.runs import LONG

LEFT = ("lab_system", "lab_requeued")


async def _are_recovered(arena: Arena, left: Sequence[UUID]) -> None:
    failing, starting_over = left
    await arena.expect(failing, RunStatus.FAILED, nominal=arena.setting.lease)
    await arena.expect(starting_over, RunStatus.COMPLETED, nominal=arena.setting.lease)


@scenario("start", "lab_system", "lab_requeued")
async def start(arena: Arena) -> None:
    """A server that starts recovers what a dead one has left, and takes up its work."""
    left = await leave_behind(arena, LEFT)
    arena.proxy.arm(arena.fault)
    await arena.start_server()
    await _are_recovered(arena, left)


@scenario("takeover", "lab_system", "lab_requeued")
async def takeover(arena: Arena) -> None:
    """A server at work recovers what another one leaves that dies."""
    await arena.begin()
    await _are_recovered(arena, await leave_behind(arena, LEFT))


@scenario("rival", "lab_requeued")
async def rival(arena: Arena) -> None:
    """Beside another server a run that may be started again is never executed by both, and is brought to its end."""
    await arena.start_server()
    seconds = 2 * arena.setting.lease
    run_id = await arena.trigger("lab_requeued", params={"seconds": seconds, "steps": 4})
    await arena.until_executed(run_id)
    other = await arena.spawn("serve", "rival", arena.database_url)
    with trio.move_on_after(START_PATIENCE):
        await other.ready()
    arena.proxy.arm(arena.fault)
    # Where the server loses its lease, the other one begins anew.
    await arena.expect(run_id, RunStatus.COMPLETED, nominal=2 * seconds)
    # From here on there is nobody who would do the server's work.
    await other.kill()


@scenario("shutdown")
async def shutdown(arena: Arena) -> None:
    """A server that is told to stop ends in time; its runs are failed or handed on, by itself or by the next server."""
    await arena.start_server()
    failing = await arena.trigger("lab_system", params={"seconds": LONG})
    handed_on = await arena.trigger("lab_requeued", params={"seconds": 2.0})
    for run_id in (failing, handed_on):
        await arena.until_executed(run_id)
    arena.proxy.arm(arena.fault)
    await arena.stop_server()
    arena.proxy.disarm()
    second = await arena.spawn("serve", "second", arena.database_url)
    with trio.move_on_after(START_PATIENCE):
        await second.ready()
    run = await arena.expect(failing, RunStatus.FAILED, nominal=arena.setting.lease, alive=False)
    if run.status is RunStatus.COMPLETED:
        arena.breaks("a run that never ends is completed")
    await arena.expect(handed_on, RunStatus.COMPLETED, nominal=arena.setting.lease + 2.0, alive=False)


@scenario("migrate", empty=True)
async def migrate(arena: Arena) -> None:
    """``owlrunner migrate`` into an empty database ends, well or with a word; a second one finds or makes everything."""
    arena.proxy.arm(arena.fault)
    first = await arena.spawn("migrate", "migrate", arena.proxied_url)
    patience = START_PATIENCE + arena.bound
    with trio.move_on_after(patience):
        await first.wait()
    if first.exit_code is None:
        arena.breaks(f"migrate had not ended after {patience:g} s")
        await first.kill()
    elif first.exit_code != 0 and any(line.startswith("Traceback") for line in first.lines):
        arena.breaks("migrate ended with a traceback")
    arena.proxy.disarm()
    if arena.fault is None and first.exit_code != 0:
        raise Broken("migrate failed")
    second = await arena.spawn("migrate", "again", arena.database_url)
    with trio.move_on_after(patience + PATIENCE):
        await second.wait()
    if second.exit_code != 0:
        raise Broken(f"a second migrate ended with {second.exit_code}")
    rows = await arena.observer.rows("select owner, number from owlrunner_migrations")
    if set(rows) != {(one.owner, one.number) for one in wanted_migrations(arena.jobs.catalog)}:
        arena.breaks("migrations are missing")
