"""Make a schedule's fire time due whenever a case wants it to be."""

from typing import NamedTuple
from uuid import UUID

import trio

from tests.lab.arena import Arena

RELOAD = 2.0
"""Seconds after which an operator whose server does not react tells it again."""
_CRON = "select to_char((now() - interval '100 seconds') at time zone 'UTC', 'FMMI FMHH24 * * *')"
_MAKE_DUE = "update schedules set decided_until = now() - interval '1 hour' where name = %s"


async def add_schedule(arena: Arena, name: str, job_type: str, overlap: str) -> None:
    """Add a schedule to the server's file, before it starts. It will not fire by itself for a day."""
    # The minute that has begun 100 seconds ago or earlier: late by any measure, and therefore made up for, once.
    ((cron,),) = await arena.observer.rows(_CRON)
    with (arena.folder / "schedules.toml").open("a") as file:
        file.write(f'[schedules.{name}]\njob_type = "{job_type}"\ncron = "{cron}"\noverlap = "{overlap}"\n')


class Fire(NamedTuple):
    """What became of a fire time."""

    outcome: str
    run_id: UUID | None


async def make_due(arena: Arena, name: str) -> Fire:
    """Let the fire time be undecided, wake the server, wait until it has decided, and return how."""
    await arena.observer.rows(_MAKE_DUE, name)
    told_at = -RELOAD

    async def decided() -> bool:
        nonlocal told_at
        if trio.current_time() - told_at > RELOAD:
            arena.check_alive()
            arena.process.reload()
            told_at = trio.current_time()
        return await fire_of(arena, name) is not None

    await arena.until("the schedule fires", decided)
    fire = await fire_of(arena, name)
    assert fire is not None
    return fire


async def fire_of(arena: Arena, name: str) -> Fire | None:
    """What became of the schedule's fire time, once it has been decided."""
    rows = await arena.observer.rows("select outcome, run_id from schedule_fires where schedule = %s", name)
    if len(rows) > 1:
        arena.breaks(f"one fire time is on record {len(rows)} times")
    return Fire._make(rows[0]) if rows else None
