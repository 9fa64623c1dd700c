"""Carry one attempt from its handler to its outcome.

It knows no database: ``owlrunner.testing`` runs handlers with these very semantics. There is no nursery around the handler,
so its exception arrives as it was raised.

A handler may raise anything and leave anything open; that ends its own run and nothing else. Two things pass through:
Trio's Cancelled when the server itself is being torn down, and KeyboardInterrupt, which in a test is a person at the keyboard.
"""

import contextlib
import enum
import math
from typing import Any
from uuid import UUID

import attrs
import trio

from owlrunner.context import JobContext, current_context
from owlrunner.errors import InvalidParams
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.job_type import AnyJobType
from owlrunner.raised_errors import can_be_shown, describe, is_a, parts_of, without
from owlrunner.runtime.trio_guard import close_abandoned_nurseries, open_nurseries


class Cut(enum.Enum):
    """Why an attempt is not left to end by itself."""

    CANCEL = "cancel requested"
    SHUTDOWN = "Server shut down during execution"
    LEASE_LOST = "Lease lost during execution"


@attrs.define(eq=False)
class Attempt:
    """A run that is being executed: its context, its cancel scope, and why it was cut, if it was."""

    job_type: AnyJobType
    ctx: JobContext
    server_id: UUID
    """Under which registration the run was claimed."""
    max_attempts: int = 1
    fingerprint: str | None = None
    """What this server can read of the params; a run that it cannot read goes to another. None: such a run fails."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    cut: Cut | None = None

    @property
    def timed_out(self) -> bool:
        """Whether it ran past its timeout before anybody wanted it to end."""
        return self.cut is None and self.scope.cancel_called

    def request_cancel(self) -> None:
        """Let the handler know that somebody wants the run to end, and cancel its scope when the grace is over."""
        if self.cut is None and not self.timed_out:
            self.cut = Cut.CANCEL
            self.ctx.ask_cancel()
            self.scope.deadline = min(self.scope.deadline, trio.current_time() + self.job_type.cancel_grace)

    def cut_off(self, cut: Cut) -> None:
        """End it now. The first reason remains, a cancel request or a timeout, except that a lost run is lost."""
        if cut is Cut.LEASE_LOST or (self.cut is not Cut.CANCEL and not self.timed_out):
            self.cut = cut
        self.ctx.ask_cancel()
        self.scope.cancel()


async def execute(attempt: Attempt, raw_params: Any) -> Outcome:
    """Run the handler to its end, whichever that is, and say how it ended.

    Raises nothing of the handler's but KeyboardInterrupt.
    """
    ctx, job_type = attempt.ctx, attempt.job_type
    # The task ends with the run, so nobody else inherits this.
    current_context.set(ctx)
    try:
        params = job_type.decode_params(raw_params)
    except InvalidParams as problem:
        return _unreadable(attempt, problem)
    if job_type.timeout is not None:
        attempt.scope.deadline = min(attempt.scope.deadline, trio.current_time() + job_type.timeout)
    nurseries = open_nurseries()
    try:
        with attempt.scope:
            result = await job_type.handler(ctx, *params)
            return _returned(attempt, result)
    except BaseException as error:
        if holds_an_interrupt(error) or is_from_the_outside(error):
            raise
        # Anything else, also a Cancelled that was kept from somewhere else.
        return raised(attempt, error)
    finally:
        close_abandoned_nurseries(nurseries)
    return _cancelled(attempt)


def holds_an_interrupt(error: BaseException) -> bool:
    """Whether KeyboardInterrupt is among what was raised."""
    return any(is_a(part, KeyboardInterrupt) for part in parts_of(error))


def is_from_the_outside(error: BaseException) -> bool:
    """Whether it is nothing but Trio's Cancelled, and what surrounds this task's own scopes is cancelled."""
    return trio.current_effective_deadline() == -math.inf and all(
        is_a(part, trio.Cancelled) for part in parts_of(error)
    )


def _unreadable(attempt: Attempt, problem: InvalidParams) -> Outcome:
    """The params were accepted by a server whose plugin is another version: let one that understands them have the run."""
    if attempt.fingerprint is None:
        return Outcome(RunStatus.FAILED, error=str(problem))
    attempt.ctx.log.warning("this server cannot read the params, and leaves the run to another: %s", problem)
    return Outcome(RunStatus.PENDING, error=str(problem), unreadable_by=attempt.fingerprint)


def _returned(attempt: Attempt, result: Any) -> Outcome:
    """The handler came back: cancelled if it had noticed a cancel request, else its work is done, unless that took too long."""
    if attempt.cut is not None and attempt.ctx.cancel_noticed:
        if attempt.cut is Cut.CANCEL:
            return Outcome(RunStatus.CANCELLED, result=result)
        return _interrupted(attempt, attempt.cut)
    if attempt.timed_out:
        # It shielded itself, swallowed Cancelled, or never came to a checkpoint.
        return _timed_out(attempt)
    return Outcome(RunStatus.COMPLETED, result=result)


def _cancelled(attempt: Attempt) -> Outcome:
    """Trio's Cancelled went through the handler: by a request, by the server, or by the timeout."""
    match attempt.cut:
        case Cut.CANCEL:
            return Outcome(RunStatus.CANCELLED)
        case None:
            return _timed_out(attempt)
        case cut:
            return _interrupted(attempt, cut)


def torn_down(attempt: Attempt) -> Outcome:
    """The server is going down around the attempt."""
    attempt.cut_off(Cut.SHUTDOWN)
    return _cancelled(attempt)


def _timed_out(attempt: Attempt) -> Outcome:
    """It ran past its timeout."""
    attempt.ctx.log.error("attempt %d timed out after %g seconds", attempt.ctx.attempt, attempt.job_type.timeout)
    return _failed(attempt, f"Timed out after {attempt.job_type.timeout:g} seconds")


def raised(attempt: Attempt, error: BaseException) -> Outcome:
    """The handler raised."""
    error = without(error, trio.Cancelled)
    _log_raised(attempt, error)
    if attempt.timed_out:
        # Whatever it raised while it was being ended, this is why it was.
        return _timed_out(attempt)
    if attempt.cut in (Cut.SHUTDOWN, Cut.LEASE_LOST):
        return _interrupted(attempt, attempt.cut)
    return _failed(attempt, describe(error))


def _log_raised(attempt: Attempt, error: BaseException) -> None:
    """Log the traceback; where the exception does not let anybody see it, what can be said of it."""
    log, number = attempt.ctx.log, attempt.ctx.attempt
    with contextlib.suppress(BaseException):
        if can_be_shown(error):
            log.error("attempt %d failed", number, exc_info=error)
            return
    log.error("attempt %d failed; its traceback cannot be shown: %s", number, describe(error))


def _failed(attempt: Attempt, message: str) -> Outcome:
    """Failed, or again later where attempts are left. Whoever asked for a cancel does not want another attempt."""
    if attempt.ctx.attempt < attempt.max_attempts and attempt.cut is not Cut.CANCEL:
        return Outcome(
            RunStatus.PENDING, error=message, retry_in=attempt.job_type.retry.delay_after(attempt.ctx.attempt)
        )
    return Outcome(RunStatus.FAILED, error=message)


def _interrupted(attempt: Attempt, cut: Cut) -> Outcome:
    """The server took the attempt away from its handler: back into the queue where that is wanted."""
    attempt.ctx.log.warning("attempt %d was interrupted: %s", attempt.ctx.attempt, cut.value)
    if attempt.job_type.requeue_on_restart:
        return Outcome(RunStatus.PENDING, error=cut.value, relinquished=True)
    if attempt.ctx.attempt < attempt.max_attempts:
        return Outcome(RunStatus.PENDING, error=cut.value)
    return Outcome(RunStatus.FAILED, error=cut.value)


def final_progress(attempt: Attempt, outcome: Outcome) -> Progress | None:
    """The progress to store with the outcome: what is complete is shown complete."""
    progress = attempt.ctx.last_progress
    if progress is not None and outcome.status is RunStatus.COMPLETED and progress.total > 0:
        return attrs.evolve(progress, processed=progress.total)
    return progress
