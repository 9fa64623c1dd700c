"""OwlRunner's job types for the benchmarks; a plugin like any other, loaded by its module name.

They requeue, because runs that wait before the only server has started would otherwise be failed by its recovery.
"""

import os
import time
from typing import Any

import attrs
import trio

import owlrunner
from tests.benchmarks import tally
from tests.benchmarks.workers import drip

if tally.VARIABLE in os.environ:
    tally.TALLY.share()


@attrs.frozen
class Number:
    """What a run is given."""

    n: int


@owlrunner.job_type(scope="system", overlap="allow", on_restart="requeue")
async def noop(ctx: owlrunner.JobContext, params: Number) -> dict[str, int]:
    """Do nothing, and say which nothing."""
    tally.TALLY.hit()
    return {"n": params.n}


@owlrunner.job_type(scope="project", on_restart="requeue")
async def guarded_noop(ctx: owlrunner.JobContext, params: Number) -> dict[str, int]:
    """Do nothing for a project, once at a time."""
    tally.TALLY.hit()
    return {"n": params.n}


@attrs.frozen
class Anything:
    """As much as it may be."""

    value: Any = None


@owlrunner.job_type(scope="project", overlap="allow", on_restart="requeue")
async def anything(ctx: owlrunner.JobContext, params: Anything) -> None:
    """Do nothing for a project."""


@attrs.frozen
class Sent:
    """When a run was triggered."""

    sent: float


@owlrunner.job_type(scope="system", overlap="allow", on_restart="requeue")
async def dripping(ctx: owlrunner.JobContext, params: Sent) -> None:
    """Tell how long it took to get here."""
    drip.arrived(params.sent)


@owlrunner.job_type(scope="system", overlap="allow", cancel_grace=0.0, on_restart="requeue")
async def sleeper(ctx: owlrunner.JobContext) -> None:
    """Sleep until somebody cancels, and tell how long that took to get here: what asked for it wrote the time into a file."""
    tally.TALLY.hit()
    try:
        await trio.sleep_forever()
    finally:
        if drip.VARIABLE in os.environ:
            drip.arrived(drip.asked_at())


@attrs.frozen
class Talk:
    """How much to tell."""

    calls: int
    pause: float = 0.0


@owlrunner.job_type(scope="system", overlap="allow", on_restart="requeue")
async def talker(ctx: owlrunner.JobContext, params: Talk) -> dict[str, float]:
    """Tell progress as fast as possible, or with pauses, and say what one call took."""
    spent = 0.0
    for number in range(0, params.calls, 100):
        before = time.perf_counter()
        for step in range(number, number + 100):
            ctx.progress(step, params.calls, "talking")
        spent += time.perf_counter() - before
        await trio.sleep(params.pause)
    return {"seconds_per_call": spent / params.calls}


@owlrunner.job_type(scope="system", overlap="allow")
async def punctual(ctx: owlrunner.JobContext) -> None:
    """Be scheduled."""


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [noop, guarded_noop, anything, dripping, sleeper, talker, punctual]
