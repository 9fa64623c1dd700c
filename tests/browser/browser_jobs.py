"""Job types to look at; a plugin like any other, loaded by its module name."""

import os
from pathlib import Path
from typing import Annotated, Literal

import attrs
import trio
from msgspec import Meta

import owlrunner

FOLDER = "OWL_BROWSER_FOLDER"
"""Where tests leave files for handlers."""


@attrs.frozen
class Painting:
    """What is to be painted, and how."""

    walls: Annotated[int, Meta(ge=1, le=100, description="How many walls there are")]
    colour: Literal["red", "white"] = "white"
    rooms: list[str] = attrs.field(factory=lambda: ["kitchen"])
    note: str | None = None
    primer: bool = True


@owlrunner.job_type(scope="project", label="Paint")
async def paint(ctx: owlrunner.JobContext, params: Painting) -> Painting:
    """Paint some rooms. Needs as long as it takes."""
    ctx.log.info("mixing %s", params.colour)
    if params.walls == 13:
        ctx.log.error("no wall wants to be the thirteenth")
        raise ValueError("thirteen walls")
    return params


@owlrunner.job_type(scope="project", label="Watch paint dry", cancel_grace=60.0)
async def dry(ctx: owlrunner.JobContext) -> None:
    """Go on until somebody cancels, and then until the file ``release`` is there."""
    released = Path(os.environ[FOLDER]) / "release"
    for step in range(1_000_000):
        ctx.progress(step % 1000, 1000, f"step {step}")
        if step % 10 == 0:
            ctx.log.info("still wet after %d", step)
        if ctx.is_cancelled() and released.exists():
            return
        await trio.sleep(0.05)


@owlrunner.job_type(scope="project", label="Hold")
async def hold(ctx: owlrunner.JobContext) -> None:
    """Go on until the file ``release`` is there."""
    released = Path(os.environ[FOLDER]) / "release"
    while not released.exists():
        await trio.sleep(0.05)


@owlrunner.job_type(scope="project", overlap="allow")
async def crowd(ctx: owlrunner.JobContext) -> None:
    """Be one of many."""


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [paint, dry, hold, crowd]
