"""The probe at the end of a case: everything that a server does is asked of it once more, and each thing must work."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from owlrunner.errors import DatabaseTrouble
from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena
from tests.lab.broken import Broken
from tests.lab.dead_server import leave_behind
from tests.lab.firing import make_due
from tests.lab.http_client import cancel_over_http, trigger_over_http

SCHEDULE = "probe"
JOB_TYPE = "lab_probed"
LONG = 3600.0


async def probe(arena: Arena, slots: tuple[str, ...]) -> None:
    """Do all of it at once, and put on record what does not work."""
    probes: list[tuple[str, Callable[[Arena], Awaitable[None]]]] = [
        ("schedules", _fires),
        ("recovery", _recovers),
        ("API and cancel", _cancels),
        *((f"slot of {job_type}", partial(_executes, job_type)) for job_type in slots),
    ]

    async def one(name: str, work: Callable[[Arena], Awaitable[None]]) -> None:
        try:
            await work(arena)
        except (Broken, DatabaseTrouble) as broken:
            arena.breaks(f"afterwards, {name}: {broken}")

    async with trio.open_nursery() as nursery:
        for name, work in probes:
            nursery.start_soon(one, name, work)


async def _executes(job_type: str, arena: Arena) -> None:
    await arena.expect(await arena.trigger(job_type), RunStatus.COMPLETED, nominal=1.0)


async def _fires(arena: Arena) -> None:
    fire = await make_due(arena, SCHEDULE)
    if fire.run_id is None:
        raise Broken(f"it is {fire.outcome}")
    await arena.expect(fire.run_id, RunStatus.COMPLETED, nominal=1.0)


async def _recovers(arena: Arena) -> None:
    (run_id,) = await leave_behind(arena, ["lab_left"])
    await arena.expect(run_id, RunStatus.FAILED, nominal=arena.setting.lease)


async def _cancels(arena: Arena) -> None:
    run_id = await trigger_over_http(arena, params={"seconds": LONG})
    await arena.until_executed(run_id)
    await cancel_over_http(arena, run_id)
    await arena.expect(run_id, RunStatus.CANCELLED, nominal=1.0)
