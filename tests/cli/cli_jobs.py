"""A plugin for the command line's tests: job types that end in every way there is."""

from typing import NoReturn

import attrs
import trio

import owlrunner


@attrs.frozen
class Greeting:
    """Whom to greet."""

    name: str = "world"
    times: int = 1


@owlrunner.job_type(scope="project")
async def greet(ctx: owlrunner.JobContext, params: Greeting) -> dict[str, str]:
    """Greet somebody, and be done."""
    ctx.progress(0, 0, "looking for words")
    ctx.log.info("greeting %s", params.name)
    return {"greeting": " ".join(["hello"] * params.times + [params.name])}


@owlrunner.job_type(scope="project")
async def break_down(ctx: owlrunner.JobContext) -> NoReturn:
    """Fail."""
    ctx.log.error("about to break")
    raise owlrunner.OwlRunnerError("out of owls")


@owlrunner.job_type(scope="project", cancel_grace=0)
async def stay(ctx: owlrunner.JobContext) -> NoReturn:
    """Get so far, and stay there until cancelled."""
    ctx.progress(3, 10, "three of ten")
    await trio.sleep_forever()


@owlrunner.job_type(scope="system", default_schedule="30 2 29 2 *")
async def tidy(ctx: owlrunner.JobContext, params: Greeting) -> dict[str, int]:
    """Tidy up for the owner."""
    ctx.log.info("tidying for %s", params.name)
    return {"tidied": params.times}


@owlrunner.job_type(scope="system")
async def collapse(ctx: owlrunner.JobContext) -> NoReturn:
    """Fail, and try to fool a terminal with what is said."""
    raise owlrunner.OwlRunnerError("out of \x1b[2Jowls\nCompleted")


@owlrunner.job_type(scope="system", cancel_grace=0)
async def linger(ctx: owlrunner.JobContext) -> NoReturn:
    """Get so far, and stay there until cancelled."""
    ctx.progress(3, 10, "three of ten")
    await trio.sleep_forever()


@owlrunner.hookimpl
def owlrunner_job_types(settings: owlrunner.Settings) -> list[owlrunner.AnyJobType]:
    """Offer them all."""
    return [greet, break_down, stay, tidy, collapse, linger]
