"""How an attempt ends, in virtual time and without a database."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trio
import trio.testing

import owlrunner
from owlrunner.context import JobContext
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime.execution import (
    Attempt,
    Cut,
    execute,
    final_progress,
    holds_an_interrupt,
    is_from_the_outside,
    torn_down,
)
from tests.hostile_errors import HOSTILE

Handler = Callable[[JobContext], Awaitable[Any]]


def make_attempt(handler: Handler, *, max_attempts: int = 1, number: int = 1, **options: Any) -> Attempt:
    """An attempt at a job type made of the handler."""
    job_type = owlrunner.job_type(scope="system", name="work", **options)(handler)
    ctx = JobContext(
        run_id=uuid4(),
        job_type="work",
        project_id=None,
        team_id=None,
        attempt=number,
        connect=lambda _: pytest.fail("no database here"),
        on_news=lambda _: None,
    )
    return Attempt(job_type, ctx, uuid4(), max_attempts)


async def run_with(attempt: Attempt, *events: tuple[float, Callable[[], None]]) -> tuple[Outcome, float]:
    """Execute while things happen at the given seconds; returns the outcome and how long it took."""
    outcomes: list[Outcome] = []

    async def happen(after: float, event: Callable[[], None]) -> None:
        await trio.sleep(after)
        event()

    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for after, event in events:
            nursery.start_soon(happen, after, event)
        outcomes.append(await execute(attempt, None))
        nursery.cancel_scope.cancel()
    return outcomes[0], trio.current_time() - started


async def looks_each_second(ctx: JobContext) -> dict[str, int]:
    """A handler that leaves politely, within a minute."""
    for second in range(60):
        if ctx.is_cancelled():
            return {"seconds": second}
        await trio.sleep(1)
    return {"seconds": 60}


async def never_looks(ctx: JobContext) -> dict[str, int]:
    """A handler that works a minute without looking up."""
    await trio.sleep(60)
    return {"seconds": 60}


async def test_returning_completes(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that returns without having noticed a cancel completes with its result."""
    outcome, _ = await run_with(make_attempt(never_looks))
    assert outcome == Outcome(RunStatus.COMPLETED, result={"seconds": 60})


async def test_polite_cancel_keeps_the_partial_result(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that returns after is_cancelled() told it true ends cancelled, with what it returned."""
    attempt = make_attempt(looks_each_second)
    outcome, took = await run_with(attempt, (3.5, attempt.request_cancel))
    assert outcome == Outcome(RunStatus.CANCELLED, result={"seconds": 4})
    assert took == pytest.approx(4.0)


async def test_deaf_handler_is_cancelled_when_the_grace_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """Trio's Cancelled ends a handler that never looks exactly cancel_grace after the request."""
    attempt = make_attempt(never_looks, cancel_grace=5.0)
    outcome, took = await run_with(attempt, (1.0, attempt.request_cancel))
    assert outcome == Outcome(RunStatus.CANCELLED)
    assert took == pytest.approx(6.0)


async def test_no_grace_cancels_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """With cancel_grace 0 the request itself cancels the scope."""
    attempt = make_attempt(never_looks, cancel_grace=0.0)
    outcome, took = await run_with(attempt, (1.0, attempt.request_cancel))
    assert outcome.status is RunStatus.CANCELLED
    assert took == pytest.approx(1.0)


async def test_cancel_that_came_too_late_leaves_completed(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that finishes its work within the grace, never having looked, has completed."""
    attempt = make_attempt(never_looks, cancel_grace=5.0)
    outcome, _ = await run_with(attempt, (58.0, attempt.request_cancel))
    assert outcome == Outcome(RunStatus.COMPLETED, result={"seconds": 60})


async def test_second_cancel_does_not_prolong_the_grace(autojump_clock: trio.testing.MockClock) -> None:
    """The grace counts from the first request."""
    attempt = make_attempt(never_looks, cancel_grace=5.0)
    _, took = await run_with(attempt, (1.0, attempt.request_cancel), (4.0, attempt.request_cancel))
    assert took == pytest.approx(6.0)


async def test_raising_after_a_cancel_request_is_failed(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that raises has failed, whatever was asked of it before; and nobody wants another attempt."""

    async def raises_when_cancelled(ctx: JobContext) -> None:
        while not ctx.is_cancelled():
            await trio.sleep(1)
        raise ValueError("broken while leaving")

    attempt = make_attempt(raises_when_cancelled, max_attempts=5)
    outcome, _ = await run_with(attempt, (1.0, attempt.request_cancel))
    assert outcome == Outcome(RunStatus.FAILED, error="ValueError: broken while leaving")


async def test_timeout_is_failed(autojump_clock: trio.testing.MockClock) -> None:
    """An attempt that runs past its timeout fails and says after how long."""
    outcome, took = await run_with(make_attempt(never_looks, timeout=30.0))
    assert outcome == Outcome(RunStatus.FAILED, error="Timed out after 30 seconds")
    assert took == pytest.approx(30.0)


async def test_returning_after_the_timeout_is_failed_too(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that shields itself past its timeout and then returns has run past it all the same."""

    async def shielded(ctx: JobContext) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(40)

    outcome, _ = await run_with(make_attempt(shielded, timeout=30.0))
    assert outcome == Outcome(RunStatus.FAILED, error="Timed out after 30 seconds")


async def test_cancel_request_wins_over_a_timeout_in_its_grace(autojump_clock: trio.testing.MockClock) -> None:
    """Where the timeout falls into the grace, the run was cancelled: that is what somebody asked for."""
    attempt = make_attempt(never_looks, timeout=30.0, cancel_grace=10.0)
    outcome, took = await run_with(attempt, (29.0, attempt.request_cancel))
    assert outcome.status is RunStatus.CANCELLED
    assert took == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("cut", "options", "max_attempts", "expected"),
    [
        (Cut.SHUTDOWN, {}, 1, Outcome(RunStatus.FAILED, error="Server shut down during execution")),
        (
            Cut.SHUTDOWN,
            {"on_restart": "requeue"},
            1,
            Outcome(RunStatus.PENDING, error="Server shut down during execution", relinquished=True),
        ),
        (Cut.SHUTDOWN, {}, 2, Outcome(RunStatus.PENDING, error="Server shut down during execution")),
        (Cut.LEASE_LOST, {}, 1, Outcome(RunStatus.FAILED, error="Lease lost during execution")),
    ],
)
@pytest.mark.parametrize("handler", [never_looks, looks_each_second])
async def test_the_server_takes_the_attempt_away(
    autojump_clock: trio.testing.MockClock,
    handler: Handler,
    cut: Cut,
    options: dict[str, Any],
    max_attempts: int,
    expected: Outcome,
) -> None:
    """A deploy never looks like a user's cancel: cut runs fail with the reason, or go back where that is wanted."""
    attempt = make_attempt(handler, max_attempts=max_attempts, **options)
    outcome, took = await run_with(attempt, (2.5, lambda: attempt.cut_off(cut)))
    assert outcome == expected
    assert took == pytest.approx(2.5)


async def test_shutdown_during_a_users_grace_stays_the_users_cancel(autojump_clock: trio.testing.MockClock) -> None:
    """Who asked first is the reason."""
    attempt = make_attempt(never_looks, cancel_grace=50.0)
    outcome, _ = await run_with(attempt, (1.0, attempt.request_cancel), (2.0, lambda: attempt.cut_off(Cut.SHUTDOWN)))
    assert outcome.status is RunStatus.CANCELLED


async def test_an_exception_arrives_bare() -> None:
    """The error text is the handler's own exception, with its class."""

    async def raises(ctx: JobContext) -> None:
        raise KeyError("colour")

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.error == "KeyError: 'colour'"


async def test_a_group_of_one_is_unwrapped() -> None:
    """What a nursery inside the handler wraps is told as it was raised."""

    async def raises(ctx: JobContext) -> None:
        async def child() -> None:
            raise ValueError("from a child")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.error == "ValueError: from a child"


async def test_our_own_errors_are_told_as_sentences() -> None:
    """An OwlRunnerError's message is a sentence already: no class name before it."""

    class OutOfSeeds(owlrunner.OwlRunnerError):
        pass

    async def raises(ctx: JobContext) -> None:
        raise OutOfSeeds("There are no seeds left")

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.error == "There are no seeds left"


@pytest.mark.parametrize("error", [SystemExit(3), BaseExceptionGroup("both", [ValueError("a"), SystemExit(1)])])
async def test_leaving_the_process_fails_the_run_alone(error: BaseException) -> None:
    """sys.exit() in a handler, bare or in a group, ends that run and nothing else."""

    async def raises(ctx: JobContext) -> None:
        raise error

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert "SystemExit" in outcome.error


async def test_a_message_that_cannot_be_shown_still_fails_the_run() -> None:
    """An exception whose __str__ raises is told by its class."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def raises(ctx: JobContext) -> None:
        raise Broken

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert outcome.error.startswith("Broken:")


async def test_nul_characters_do_not_reach_the_database() -> None:
    """An error text is stored even where it has characters that PostgreSQL refuses."""

    async def raises(ctx: JobContext) -> None:
        raise ValueError("a\x00b\ud800c")

    outcome, _ = await run_with(make_attempt(raises))
    assert outcome.error == "ValueError: a\N{REPLACEMENT CHARACTER}b?c"


async def test_a_failed_attempt_is_followed_by_another() -> None:
    """While attempts are left the run goes back with a delay that grows; the last attempt's error is the run's."""

    async def raises(ctx: JobContext) -> None:
        raise ValueError("no")

    retry = owlrunner.Retry(max_attempts=3, first_delay=10.0, factor=3.0, jitter=0.0)
    outcomes = [
        (await run_with(make_attempt(raises, number=number, max_attempts=3, retry=retry)))[0] for number in (1, 2, 3)
    ]
    assert [(outcome.status, outcome.retry_in, outcome.error) for outcome in outcomes] == [
        (RunStatus.PENDING, 10.0, "ValueError: no"),
        (RunStatus.PENDING, 30.0, "ValueError: no"),
        (RunStatus.FAILED, 0.0, "ValueError: no"),
    ]


async def test_params_that_do_not_fit_any_more_fail_the_run() -> None:
    """A run that another version of the plugin accepted fails with the field's name, before the handler starts."""

    @attrs.frozen
    class Params:
        size: int

    async def handler(ctx: JobContext, params: Params) -> None:
        pytest.fail("must not start")

    attempt = make_attempt(never_looks)
    attempt.job_type = owlrunner.job_type(scope="system", name="work")(handler)
    outcome = await execute(attempt, {"size": "big"})
    assert outcome == Outcome(RunStatus.FAILED, error="params.size: expected int, got str")
    attempt.fingerprint = "f"
    assert await execute(attempt, {"size": "big"}) == Outcome(
        RunStatus.PENDING, error="params.size: expected int, got str", unreadable_by="f"
    )
    assert logged(attempt) == [
        "this server cannot read the params, and leaves the run to another: params.size: expected int, got str"
    ]


def logged(attempt: Attempt) -> list[str]:
    """The messages in the run's log."""
    return [line.message for line in attempt.ctx.take_log_lines()]


@pytest.mark.parametrize("in_a_group", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_interrupt_is_for_the_person_at_the_keyboard(in_a_group: bool, cancelled: bool) -> None:
    """KeyboardInterrupt goes through, alone and beside others, whatever else is going on."""

    async def raises(ctx: JobContext) -> None:
        if not in_a_group:
            raise KeyboardInterrupt
        raise BaseExceptionGroup("two", [ValueError("x"), BaseExceptionGroup("in it", [KeyboardInterrupt()])])

    with trio.CancelScope() as around:
        if cancelled:
            around.cancel()
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - which one is looked at
            await execute(make_attempt(raises), None)
        assert holds_an_interrupt(caught.value)


async def test_being_torn_down_is_no_outcome() -> None:
    """Where the server around the run is cancelled Cancelled goes through; what the handler makes of it is its outcome."""

    async def raises_instead(ctx: JobContext) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("both", [cancelled, ValueError("x")]) from None

    async def in_a_child(ctx: JobContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    with trio.CancelScope() as around:
        around.cancel()
        assert (await execute(make_attempt(raises_instead), None)).error == "ValueError: x"
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - which one is looked at
            await execute(make_attempt(in_a_child), None)
        assert is_from_the_outside(caught.value)
        assert not is_from_the_outside(ValueError("x"))
    assert not is_from_the_outside(caught.value)


async def test_what_became_of_an_attempt_is_in_its_log(autojump_clock: trio.testing.MockClock) -> None:
    """A timeout, a failure with its traceback, one whose traceback nobody may see, and an interruption by the server."""
    attempt = make_attempt(never_looks, timeout=2.5)
    await run_with(attempt)
    assert logged(attempt) == ["attempt 1 timed out after 2.5 seconds"]

    async def raises(ctx: JobContext) -> None:
        raise ValueError("x")

    attempt = make_attempt(raises, number=2, max_attempts=2)
    await run_with(attempt)
    (line,) = logged(attempt)
    assert line.startswith("attempt 2 failed\nTraceback")

    async def raises_hostile(ctx: JobContext) -> None:
        raise HOSTILE["notes"]()  # noqa: RSE102 - a function

    attempt = make_attempt(raises_hostile)
    await run_with(attempt)
    assert logged(attempt) == ["attempt 1 failed; its traceback cannot be shown: Hiding: hidden"]

    attempt = make_attempt(never_looks, number=3)
    torn_down(attempt)
    assert logged(attempt) == ["attempt 3 was interrupted: Server shut down during execution"]


@pytest.mark.parametrize("asked", [False, True])
async def test_a_run_that_is_torn_down(asked: bool) -> None:
    """It was interrupted by the server, unless somebody had asked for its cancel."""
    attempt = make_attempt(never_looks)
    if asked:
        attempt.request_cancel()
    outcome = torn_down(attempt)
    wanted = (RunStatus.CANCELLED, None) if asked else (RunStatus.FAILED, "Server shut down during execution")
    assert (outcome.status, outcome.error) == wanted


async def test_what_is_complete_is_shown_complete() -> None:
    """On completion processed is raised to total; otherwise progress stays where it was."""

    async def almost(ctx: JobContext) -> None:
        ctx.progress(7, 10, "almost")

    attempt = make_attempt(almost)
    outcome, _ = await run_with(attempt)
    assert final_progress(attempt, outcome) == owlrunner.Progress(10, 10, "almost")
    assert final_progress(attempt, Outcome(RunStatus.FAILED, error="x")) == owlrunner.Progress(7, 10, "almost")


@pytest.mark.parametrize(
    ("told", "kept"),
    [((5, 10), (5, 10)), ((15, 10), (10, 10)), ((-3, 10), (0, 10)), ((7, 0), (7, 0)), ((7, -1), (7, 0))],
)
async def test_progress_is_brought_into_bounds(told: tuple[int, int], kept: tuple[int, int]) -> None:
    """0 ≤ processed ≤ total holds whatever a handler tells; total 0 means that it is not known."""

    async def tells(ctx: JobContext) -> None:
        ctx.progress(*told)

    attempt = make_attempt(tells)
    await run_with(attempt)
    progress = attempt.ctx.last_progress
    assert progress is not None
    assert (progress.processed, progress.total) == kept
