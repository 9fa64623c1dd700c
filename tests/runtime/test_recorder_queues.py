"""What the recorder makes of what waits to be written: how much at once, and what becomes of what is refused."""

from uuid import UUID

import pytest
import trio
import trio.testing

from owlrunner.job_run import Outcome, RunStatus
from owlrunner.run_log import MAX_LOG_MESSAGE
from owlrunner.runtime.recorder import MAX_TRIES, PROGRESS_INTERVAL, RETRY_DELAYS
from owlrunner.runtime.write_queue import MAX_BATCH_BYTES
from owlrunner.storage import attempts
from tests.runtime.writing import COMPLETED, Written, recorder_on, running, watched, written

__all__ = ["written"]


async def test_long_lines_are_written_in_several_statements(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """None has more than a batch may have, where each character takes two bytes."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    for _ in range(400):
        attempt.ctx.log.info("%s", "ü" * MAX_LOG_MESSAGE)
    async with running(recorder):
        recorder.ended(attempt, COMPLETED)
        await recorder.drained()
    assert len(written.lines) == 400
    assert max(written.batches) <= MAX_BATCH_BYTES / (2 * MAX_LOG_MESSAGE) < 400


@pytest.mark.parametrize(("refused", "named"), [("progress", "the progress of"), ("lines", "line 1 of the log of")])
async def test_what_cannot_be_stored_is_dropped(
    written: Written,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    refused: str,
    named: str,
) -> None:
    """A line or a value of progress has so many tries at which something else was written; what comes later is written."""
    recorder = recorder_on(written)
    attempt = watched(recorder)

    def tell(what: str, number: int) -> None:
        if what == "progress":
            attempt.ctx.progress(number, 100)
        else:
            attempt.ctx.log.info("%d", number)

    written.refused = refused
    tell(refused, 1)
    async with running(recorder):
        for tries in range(MAX_TRIES):
            assert bool(recorder._progress or recorder._lines) is (tries > 0)
            tell("lines" if refused == "progress" else "progress", tries)
            await trio.sleep(10)
        refusals = written.refusals
        await trio.sleep(1000)
        assert written.refusals == refusals
        written.refused = ""
        tell(refused, 99)
        await trio.sleep(10)
    stored = [processed for _, processed, _ in written.progress] if refused == "progress" else written.lines
    assert [*map(str, stored)] == ["99"]
    assert f"{named} run {attempt.ctx.run_id} could not be stored, and is dropped" in caplog.messages


async def test_a_line_that_cannot_be_stored_is_told_of(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where its data is at fault a line that says so stands in its place, between those before and after it."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    written.refused, written.for_now, written.is_bad = "lines", False, lambda line: line == "bad"
    for line in ("first", "bad", "last"):
        attempt.ctx.log.info("%s", line)
    async with running(recorder):
        recorder.ended(attempt, COMPLETED)
        await recorder.drained()
    assert written.lines == ["first", "(a line that could not be stored: no)", "last"]


async def test_an_outcome_waits_for_the_lines_of_its_run(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Once it is written the run takes no lines any more; the outcomes of other runs do not wait."""
    recorder = recorder_on(written)
    waiting, other = watched(recorder), watched(recorder)
    waiting.ctx.log.info("late")
    written.refused = "lines"
    async with running(recorder):
        for attempt in (waiting, other):
            recorder.ended(attempt, COMPLETED)
        await trio.sleep(1)
        assert [run_id for run_id, _ in written.outcomes] == [other.ctx.run_id]
        written.refused = ""
        await recorder.drained()
    assert written.lines == ["late"]
    assert [run_id for run_id, _ in written.outcomes] == [other.ctx.run_id, waiting.ctx.run_id]


async def test_what_is_refused_again_and_again_is_waited_for(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where nothing else can be written either, the pauses are those of an outage."""
    recorder = recorder_on(written)
    written.refused = "outcomes"
    written.is_bad = lambda _: written.refusals < 100 and trio.current_time() < 10
    recorder.ended(watched(recorder), COMPLETED)
    async with running(recorder):
        await recorder.drained()
    assert trio.current_time() == pytest.approx(sum(RETRY_DELAYS) + 4 * RETRY_DELAYS[-1])
    assert written.refusals == len(RETRY_DELAYS) + 4


async def test_a_stream_of_outcomes_does_not_keep_the_loop_from_ending(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is always something to write, and a database that answers at once, it can be cancelled all the same."""
    recorder = recorder_on(written)
    scope = trio.CancelScope()

    async def finish(*_: object, **__: object) -> set[UUID]:
        written.outcomes.append((UUID(int=0), False))
        if len(written.outcomes) == 5:
            scope.cancel()
        if len(written.outcomes) < 100:
            recorder.ended(watched(recorder), COMPLETED)
        return set()

    monkeypatch.setattr(attempts, "finish", finish)
    recorder.ended(watched(recorder), COMPLETED)
    with scope:
        await recorder.run()
    assert len(written.outcomes) == 5


async def test_an_outcome_that_cannot_be_stored_becomes_a_failure(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where its data is at fault; the outcomes beside it are as they were."""
    recorder = recorder_on(written)
    bad, good = watched(recorder), watched(recorder)
    written.refused, written.for_now = "outcomes", False
    written.is_bad = lambda one: one.id == bad.ctx.run_id and one.outcome.status is RunStatus.COMPLETED
    async with running(recorder):
        for attempt in (bad, good):
            recorder.ended(attempt, Outcome(RunStatus.COMPLETED))
        await recorder.drained()
    statuses = {one.id: one.outcome.status for one in written.finished}
    assert statuses == {bad.ctx.run_id: RunStatus.FAILED, good.ctx.run_id: RunStatus.COMPLETED}


async def test_a_line_is_kept_as_long_as_nothing_can_be_written(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where nothing else was stored it may not be the line's fault: it is tried on, and stored when that is possible."""
    written.refused = "lines"
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        attempt.ctx.log.info("bad")
        await trio.sleep(60)
        assert written.refusals > MAX_TRIES
        written.refused = ""
        await trio.sleep(RETRY_DELAYS[-1] + PROGRESS_INTERVAL)
    assert written.lines == ["bad"]


async def test_a_result_that_is_refused_is_left_out(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """The run ends all the same, with a smaller outcome in the place of the one that PostgreSQL does not take."""
    written.refused, written.for_now = "outcomes", False
    written.is_bad = lambda one: one.result == '{"a":1}'
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        recorder.ended(attempt, Outcome(RunStatus.COMPLETED, result={"a": 1}))
        with trio.move_on_after(60):
            await recorder.drained()
    assert written.outcomes == [(attempt.ctx.run_id, False)]
