"""Job types and a notifier that write down what they do into a file, which no fault of a database can touch."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import trio

import owlrunner

VARIABLE = "OWLRUNNER_LAB_DIARY"
"""Names the file."""


def _write(**entry: object) -> None:
    """Append a line; lines of several processes do not mix."""
    line = json.dumps({"pid": os.getpid(), "at": time.monotonic(), **entry}) + "\n"
    with Path(os.environ[VARIABLE]).open("ab", buffering=0) as file:
        file.write(line.encode())


@contextlib.contextmanager
def _in_diary(ctx: owlrunner.JobContext) -> Iterator[None]:
    """Write down when an execution begins, and when and how it ends."""
    about = {"run": str(ctx.run_id), "attempt": ctx.attempt}
    _write(event="start", **about)
    how = "returned"
    try:
        yield
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        _write(event="end", how=how, **about)


@attrs.frozen
class Work:
    """How long to work, and in how many steps."""

    seconds: float = 0.05
    steps: int = 1


async def work(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work as the params say, and have it in the diary."""
    with _in_diary(ctx):
        for step in range(1, params.steps + 1):
            await trio.sleep(params.seconds / params.steps)
            if params.steps > 1:
                ctx.log.info("line %d", step)
                ctx.progress(step, params.steps, f"step {step}")
    return {"done": params.steps}


@owlrunner.job_type(scope="project", cancel_grace=0.0)
async def lab_project(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work for a project; never look at cancel requests."""
    return await work(ctx, params)


@owlrunner.job_type(scope="system", cancel_grace=0.0)
async def lab_system(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work for the operator; never look at cancel requests."""
    return await work(ctx, params)


@owlrunner.job_type(scope="system", cancel_grace=0.0, on_restart="requeue")
async def lab_requeued(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work, and start over where a server leaves it."""
    return await work(ctx, params)


@owlrunner.job_type(scope="system", cancel_grace=0.0)
async def lab_probed(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work when a case is over."""
    return await work(ctx, params)


@owlrunner.job_type(scope="system")
async def lab_left(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Be what a dead server has left."""
    return await work(ctx, params)


@owlrunner.job_type(scope="system", retry=owlrunner.Retry(max_attempts=3, first_delay=0.1, jitter=0.0))
async def lab_retried(ctx: owlrunner.JobContext) -> dict[str, int]:
    """Fail twice."""
    with _in_diary(ctx):
        if ctx.attempt < 3:
            raise ValueError(f"not on attempt {ctx.attempt}")
        return {"done": ctx.attempt}


@owlrunner.job_type(scope="system", timeout=0.5)
async def lab_timed(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work for half a second at most."""
    return await work(ctx, params)


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [value for value in globals().values() if isinstance(value, owlrunner.JobType)]


class Diarist:
    """A notifier that writes down what it is to send."""

    async def send(self, notification: owlrunner.Notification) -> None:
        """Write it down."""
        await trio.lowlevel.checkpoint()
        _write(event="notified", notification=str(notification.id))


@owlrunner.hookimpl
def owlrunner_notifiers() -> dict[str, owlrunner.Notifier]:
    """The one."""
    return {"diary": Diarist()}
