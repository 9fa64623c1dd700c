"""Job types that behave in every way a handler may behave; a plugin like any other, loaded by its module name."""

import atexit
import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict

import attrs
import trio

import owlrunner


@attrs.frozen
class Steps:
    """How long to work."""

    steps: int = 3
    seconds: float = 0.01


async def _work(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    for step in range(params.steps):
        if ctx.is_cancelled():
            return {"done": step}
        ctx.progress(step, params.steps, f"step {step}")
        await trio.sleep(params.seconds)
    return {"done": params.steps}


@owlrunner.job_type(scope="project")
async def project_work(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work for a project and look at cancel requests."""
    return await _work(ctx, params)


@owlrunner.job_type(scope="system")
async def polite(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work and look at cancel requests."""
    return await _work(ctx, params)


@owlrunner.job_type(scope="system", on_restart="requeue")
async def requeued(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work, and start over when the server stops."""
    for _ in range(params.steps):
        await trio.sleep(params.seconds)
    return {"attempt": ctx.attempt}


@owlrunner.job_type(scope="system", overlap="allow")
async def parallel(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work beside others of its kind."""
    return await _work(ctx, params)


GATES: defaultdict[str, trio.Event] = defaultdict(trio.Event)
"""Where handlers in this process wait for their test, by a name that the test makes up."""


@attrs.frozen
class Gate:
    """Which gate to wait at."""

    gate: str


@owlrunner.job_type(scope="system", overlap="allow")
async def at_the_gate(ctx: owlrunner.JobContext, params: Gate) -> dict[str, str]:
    """End when the test opens the gate."""
    await GATES[params.gate].wait()
    return {"passed": params.gate}


@owlrunner.job_type(scope="system", overlap="allow", max_running=2)
async def at_most_two(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work, two at a time on all servers."""
    return await _work(ctx, params)


@owlrunner.job_type(scope="system", overlap="allow", on_restart="requeue")
async def requeued_beside_others(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work beside others of its kind, and start over when the server stops."""
    await trio.sleep(params.steps * params.seconds)
    return {"attempt": ctx.attempt}


@owlrunner.job_type(scope="system", on_restart="requeue")
async def second_start(ctx: owlrunner.JobContext) -> dict[str, int]:
    """Never end when started for the first time, and at once when started again."""
    if ctx.attempt == 1:
        await trio.sleep_forever()
    return {"attempt": ctx.attempt}


@owlrunner.job_type(scope="system", on_restart="requeue")
async def alone(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Work, and raise where another handler of this job type is at work anywhere."""
    async with ctx.connect() as connection, connection.transaction():
        cursor = await connection.execute("select pg_try_advisory_xact_lock(hashtext('alone'))")
        if await cursor.fetchone() != (True,):
            raise RuntimeError("there are two of us")
        return await _work(ctx, params)


@owlrunner.job_type(scope="system")
async def unseeing(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Finish the work within the grace, without looking at cancel requests."""
    await trio.sleep(params.seconds)
    return {"done": 1}


@owlrunner.job_type(scope="system", cancel_grace=0.0)
async def deaf(ctx: owlrunner.JobContext) -> None:
    """Never look at cancel requests."""
    ctx.progress(0, 1, "sleeping")
    await trio.sleep_forever()


@owlrunner.job_type(scope="system", cancel_grace=0.0)
async def slow_to_leave(ctx: owlrunner.JobContext) -> None:
    """Take a while to clean up after being cancelled."""
    try:
        ctx.progress(0, 1, "sleeping")
        await trio.sleep_forever()
    finally:
        ctx.progress(1, 2, "cleaning up")
        with trio.CancelScope(shield=True):
            await trio.sleep(1.0)


@owlrunner.job_type(scope="system", cancel_grace=0.0)
async def in_a_query(ctx: owlrunner.JobContext) -> None:
    """Wait for PostgreSQL."""
    async with ctx.connect() as connection:
        ctx.progress(0, 1, "asking")
        await connection.execute("select pg_sleep(600) /* in_a_query */")


@owlrunner.job_type(scope="system", retry=owlrunner.Retry(max_attempts=3, first_delay=0.05, jitter=0.0))
async def third_time_lucky(ctx: owlrunner.JobContext) -> dict[str, int]:
    """Fail twice."""
    if ctx.attempt < 3:
        raise ValueError(f"not on attempt {ctx.attempt}")
    return {"attempt": ctx.attempt}


@owlrunner.job_type(scope="system", retry=owlrunner.Retry(max_attempts=2, first_delay=600.0))
async def long_wait(ctx: owlrunner.JobContext) -> None:
    """Fail, and wait long for the next attempt."""
    raise ValueError("again much later")


@owlrunner.job_type(scope="system")
async def blocking(ctx: owlrunner.JobContext, params: Steps) -> None:
    """Block the event loop, as nobody should."""
    time.sleep(params.seconds)  # noqa: ASYNC251 - the very thing to be noticed


@owlrunner.job_type(scope="system")
async def spinning(ctx: owlrunner.JobContext) -> None:
    """Keep the interpreter busy for ever."""
    while True:
        pass


@owlrunner.job_type(scope="system")
async def chatty(ctx: owlrunner.JobContext, params: Steps) -> dict[str, int]:
    """Tell progress as fast as possible."""
    for step in range(params.steps):
        ctx.progress(step, params.steps, "talking")
        if step % 100 == 0:
            await trio.lowlevel.checkpoint()
    return {"told": params.steps}


@owlrunner.job_type(scope="system")
async def exits(ctx: owlrunner.JobContext) -> None:
    """Try to take the whole process along."""
    raise SystemExit(3)


@owlrunner.job_type(scope="system")
async def raises_group(ctx: owlrunner.JobContext) -> None:
    """Raise several exceptions at once."""
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


@owlrunner.job_type(scope="system")
async def logs_a_lot(ctx: owlrunner.JobContext, params: Steps) -> None:
    """Log in every way, and too much."""
    ctx.log.info("through ctx.log")
    logging.getLogger("somebody.elses.package").warning("through any %s", "logger")
    await trio.to_thread.run_sync(lambda: logging.getLogger("threads").warning("from a thread"))
    for _ in range(params.steps - 3):
        ctx.store_log_line("info", "bulk", "again")


@owlrunner.job_type(scope="system")
async def odd_progress(ctx: owlrunner.JobContext) -> None:
    """Tell what no database can keep."""
    ctx.progress(10**30, 10**40, "NUL \x00 and half a pair \ud800")
    logging.getLogger("odd\x00name").warning("odd \x00 line")
    await trio.sleep(0.5)


class Trap:
    """An object that fights back when it is looked at."""

    def __iter__(self) -> None:
        """Fight back."""
        raise RuntimeError("do not look")

    __len__ = __iter__


@owlrunner.job_type(scope="system")
async def trapped_result(ctx: owlrunner.JobContext) -> object:
    """Return what must not be looked at."""
    return {"thing": Trap()}


@owlrunner.job_type(scope="system")
async def odd_result(ctx: owlrunner.JobContext) -> object:
    """Return what no JSON can hold."""
    return {"thing": object()}


@attrs.frozen
class Child:
    """How a handler starts another process."""

    by: str
    """"fork", "fork in a thread", or "exec"."""
    signal: int = 0
    """What the handler sends it at once; 0 for nothing."""


def _start_child(by: str) -> int:
    """Start a process that would live for ten minutes, and return its id."""
    if by == "exec":
        return subprocess.Popen(["sleep", "600"], close_fds=False).pid
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    assert process.pid is not None
    return process.pid


async def _exit_code_of(pid: int) -> int:
    """Wait for the end of a child."""
    _, status = await trio.to_thread.run_sync(os.waitpid, pid, 0)
    return os.waitstatus_to_exitcode(status)


@owlrunner.job_type(scope="system", overlap="allow")
async def child_process(ctx: owlrunner.JobContext, params: Child) -> dict[str, int]:
    """Start another process and tell its id; then signal it and return how it ended, or never end."""
    in_thread = params.by == "fork in a thread"
    pid = await trio.to_thread.run_sync(_start_child, params.by) if in_thread else _start_child(params.by)
    if not params.signal:
        ctx.progress(0, 1, str(pid))
        await trio.sleep_forever()
    os.kill(pid, params.signal)
    return {"exit_code": await _exit_code_of(pid)}


@attrs.frozen
class Stray:
    """How a forked child goes where only the server should be."""

    way: str


@owlrunner.job_type(scope="system", overlap="allow")
async def stray_child(ctx: owlrunner.JobContext, params: Stray) -> dict[str, int]:
    """Fork a child that leaves the handler; return how it ended."""
    pid = os.fork()
    if pid == 0:
        match params.way:
            case "return":
                return {"exit_code": -1}
            case "raise":
                raise ValueError("in the child")
            case "exit":
                raise SystemExit(0)
            case "exec":
                os.execvp("/no/such/program", ["program"])  # noqa: S606 - what is tested
            case _:
                await trio.lowlevel.checkpoint()
                ctx.progress(1, 1, "the child goes on")
                await trio.sleep_forever()
    return {"exit_code": await _exit_code_of(pid)}


@attrs.frozen
class Meddling:
    """What to change about the process."""

    what: str


@owlrunner.job_type(scope="system", overlap="allow")
async def meddle(ctx: owlrunner.JobContext, params: Meddling) -> None:
    """Change what belongs to the server."""
    match params.what:
        case "thread":
            threading.Thread(target=threading.Event().wait, name="left behind").start()
        case "atexit":
            atexit.register(threading.Event().wait)
        case "ignored signals":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        case "default signals":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        case "blocked signals":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        case "environment":
            os.environ["PGSERVICE"] = "no-such-service"
            os.environ["PGTZ"] = "Mars/Olympus"
        case "folder":
            os.chdir("/")
        case "nursery":
            nursery = trio.lowlevel.current_task().parent_nursery
            assert nursery is not None
            nursery.cancel_scope.cancel()


@owlrunner.job_type(scope="system")
async def long_query(ctx: owlrunner.JobContext, params: Steps) -> None:
    """Wait for a query that takes a while."""
    async with ctx.connect() as connection:
        await connection.execute("select pg_sleep(%s)", (params.seconds,))


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [value for value in globals().values() if isinstance(value, owlrunner.JobType)]
