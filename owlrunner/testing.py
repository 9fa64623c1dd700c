"""This is the room for running one job type in a test, with the real semantics and without a server or a database.

report = await owlrunner.testing.run(acme_sync, {"since_days": 3})
assert report.status == "completed"
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import attrs
import msgspec
import trio

from owlrunner.connection import Connection
from owlrunner.context import JobContext
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.job_type import AnyJobType
from owlrunner.runtime.execution import Attempt, Cut, execute, final_progress
from owlrunner.runtime.run_logs import caught_run_logs
from owlrunner.storage.connection import TrioConnection

When: TypeAlias = Callable[[Progress], bool]


@attrs.frozen
class Report:
    """How a run ended, and what it told on the way."""

    status: RunStatus
    """``pending`` means that a server would try again, or hand the run to the next one."""
    result: Any
    error: str | None
    progress: tuple[Progress, ...]
    """Every value that the handler told, in order; the last one is what would be stored."""
    logs: tuple[str, ...]
    """The messages that would be stored with the run."""


async def run(
    job_type: AnyJobType,
    params: object = None,
    *,
    project_id: UUID | None = None,
    team_id: UUID | None = None,
    attempt: int = 1,
    database_url: str | None = None,
    cancel_when: When | None = None,
    shut_down_when: When | None = None,
) -> Report:
    """Run the job type once, as a server would, and report.

    ``params`` are given as JSON has them, and checked as the API checks them. ``cancel_when`` and ``shut_down_when`` are
    asked at each progress; the first True is a user's cancel request, or the end of a stopping server's patience.
    ``database_url`` is where ``ctx.connect()`` goes.

    Raises InvalidParams when the params do not fit.
    """
    stored = job_type.encode_params(params)
    params = None if stored is None else msgspec.json.decode(stored)
    told: list[Progress] = []
    token = trio.lowlevel.current_trio_token()

    def on_the_loop(action: Callable[[], None]) -> None:
        # Progress may come from a thread of the handler's, and cancel scopes are for Trio's own.
        if trio.lowlevel.in_trio_run():
            action()
        else:
            trio.from_thread.run_sync(action, trio_token=token)

    def on_news(ctx: JobContext) -> None:
        progress = ctx.take_new_progress()
        if progress is None:
            return
        told.append(progress)
        if cancel_when is not None and cancel_when(progress):
            on_the_loop(subject.request_cancel)
        if shut_down_when is not None and shut_down_when(progress):
            on_the_loop(lambda: subject.cut_off(Cut.SHUTDOWN))

    ctx = JobContext(
        run_id=uuid4(),
        job_type=job_type.name,
        project_id=project_id,
        team_id=team_id,
        attempt=attempt,
        connect=lambda _: _connect(database_url),
        on_news=on_news,
    )
    subject = Attempt(job_type, ctx, uuid4(), max_attempts=job_type.retry.max_attempts)
    with caught_run_logs():
        outcome = await _execute_in_a_task(subject, params)
    last = final_progress(subject, outcome)
    if last is not None and told and last != told[-1]:
        told.append(last)
    messages = tuple(line.message for line in ctx.take_log_lines())
    return Report(outcome.status, outcome.result, outcome.error, tuple(told), messages)


async def _execute_in_a_task(subject: Attempt, params: object) -> Outcome:
    """As on a server: a run has a task of its own, so that what it sets for its task ends with it."""
    outcomes: list[Outcome] = []

    async def carry() -> None:
        outcomes.append(await execute(subject, params))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry)
    return outcomes[0]


@contextlib.asynccontextmanager
async def _connect(database_url: str | None) -> AsyncIterator[Connection]:
    if database_url is None:
        raise RuntimeError("the handler asked for a database connection: pass database_url to owlrunner.testing.run")
    connection = await TrioConnection.connect(database_url, autocommit=True)
    try:
        yield connection
    finally:
        connection.hang_up()
