"""The loop that writes outcomes, progress and logs, in virtual time; the database notes what it is sent, or is away."""

import itertools
import logging
import math
from typing import Any

import pytest
import trio
import trio.testing

from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime import recorder as recorders
from owlrunner.runtime.recorder import KEPT_IN_A_ROW, PROGRESS_INTERVAL, RETRY_DELAYS
from tests.runtime.writing import COMPLETED, Written, recorder_on, running, watched, written

__all__ = ["written"]


async def test_an_outage_is_waited_for(
    written: Written, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ever longer, up to the longest pause; it is told once when it begins and once when it is over, and nothing is lost."""
    written.away = len(RETRY_DELAYS) + 2
    recorder = recorder_on(written)
    attempt = watched(recorder)
    recorder.ended(attempt, COMPLETED)
    rounds: list[float] = []
    with caplog.at_level(logging.INFO):
        async with running(recorder, rounds):
            await recorder.drained()
    pauses = [later - earlier for earlier, later in itertools.pairwise(written.sessions)]
    assert pauses == pytest.approx([*RETRY_DELAYS, RETRY_DELAYS[-1], RETRY_DELAYS[-1]])
    assert written.outcomes == [(attempt.ctx.run_id, False)]
    assert [record.getMessage() for record in caplog.records] == [
        "outcomes and progress wait for the database: away",
        "the database is back; everything that waited has been written",
    ]
    # A round is one that came to its end.
    assert [one for one in rounds if one != math.inf] == [PROGRESS_INTERVAL]


async def test_each_outage_is_one_of_its_own(
    written: Written, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A later one is told like the first, and begins with the shortest pause; in between nothing is told."""
    recorder = recorder_on(written)
    with caplog.at_level(logging.INFO):
        async with running(recorder):
            for away in (2, 0, 1):
                written.away = away
                written.sessions.clear()
                recorder.ended(watched(recorder), COMPLETED)
                await recorder.drained()
                pauses = [later - earlier for earlier, later in itertools.pairwise(written.sessions)]
                assert pauses == pytest.approx(RETRY_DELAYS[:away])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2


@pytest.mark.parametrize(
    ("outcome", "options", "rings"),
    [
        (COMPLETED, {}, False),
        (COMPLETED, {"max_running": 2}, True),
        (Outcome(RunStatus.FAILED), {}, False),
        (Outcome(RunStatus.PENDING), {}, True),
    ],
)
async def test_who_may_go_on_is_rung(
    written: Written, autojump_clock: trio.testing.MockClock, outcome: Outcome, options: dict[str, Any], rings: bool
) -> None:
    """Other servers and this one, when a run goes back or a job type with a limit has room; the scheduler at each end."""
    told: list[str] = []
    recorder = recorder_on(written, requeued=lambda: told.append("requeued"), ended=lambda: told.append("ended"))
    attempt = watched(recorder, **options)
    async with running(recorder):
        recorder.ended(attempt, outcome)
        await recorder.drained()
    assert written.outcomes == [(attempt.ctx.run_id, rings)]
    assert told == (["requeued", "ended"] if rings else ["ended"])


async def test_an_outcome_that_came_too_late_is_named(
    written: Written, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says whose outcome was not written, and nothing about the others."""
    recorder = recorder_on(written)
    first, second = watched(recorder), watched(recorder)
    written.lost = {second.ctx.run_id}
    for attempt in (first, second):
        recorder.ended(attempt, COMPLETED)
    async with running(recorder):
        await recorder.drained()
    assert [record.getMessage() for record in caplog.records] == [
        f"the outcome of run {second.ctx.run_id} (completed) was not written: the run is not ours any more"
    ]


async def test_progress_is_written_four_times_a_second(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Of many values the latest; without news nothing is asked of the database; after the end nobody looks any more."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        for processed in range(100):
            attempt.ctx.progress(processed, 100)
            attempt.ctx.log.info("line %d", processed)
            await trio.sleep(0.01)
        await trio.sleep(10)
        assert len(written.sessions) <= 2 * (1 / PROGRESS_INTERVAL + 2)
        assert written.progress[-1][1] == 99
        assert written.lines == [f"line {number}" for number in range(100)]
        times = [at for at, _, _ in written.progress]
        assert all(later - earlier >= PROGRESS_INTERVAL for earlier, later in itertools.pairwise(times))
        recorder.ended(attempt, COMPLETED)
        await recorder.drained()
        assert repr(recorder) == "<Recorder 0 watched, 0 outcomes waiting>"
        asked = len(written.sessions)
        attempt.ctx.progress(1, 1)
        await trio.sleep(1000)
        assert len(written.sessions) == asked


def test_ever_fewer_values_are_kept() -> None:
    """One in a second for half a minute, then one in two seconds, and so on: a day of progress is some hundred rows."""
    keeping = recorders._Keeping()
    kept = [half / 2 for half in range(800) if keeping.keeps(half / 2)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(kept)]
    assert gaps[:91] == [1.0] * KEPT_IN_A_ROW + [2.0] * KEPT_IN_A_ROW + [4.0] * KEPT_IN_A_ROW + [8.0]


async def test_a_value_that_is_kept_is_marked(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """The first one is, and the next one a second later; those in between are only the latest."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        for tenth in range(40):
            attempt.ctx.progress(tenth, 100)
            await trio.sleep(0.1)
    assert written.progress[0][2]
    kept = [at for at, _, kept in written.progress if kept]
    assert len(kept) == 4
    assert all(1.0 <= later - earlier < 1.0 + 2 * PROGRESS_INTERVAL for earlier, later in itertools.pairwise(kept))


async def test_who_has_nothing_to_do_is_woken(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """By a run that is to be looked after, whose news come soon, and by an end, which is written at once."""
    recorder = recorder_on(written)
    async with running(recorder):
        await trio.sleep(1000)
        attempt = watched(recorder)
        attempt.ctx.progress(1, 2)
        await trio.sleep(PROGRESS_INTERVAL)
        assert [processed for _, processed, _ in written.progress] == [1]
        await trio.sleep(PROGRESS_INTERVAL / 2)
        recorder.ended(attempt, COMPLETED)
        ended = trio.current_time()
        await recorder.drained()
    assert written.sessions[-1] == ended


async def test_news_are_taken_as_often_as_can_be(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """In each interval once, where there are always some."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        for number in range(33):
            attempt.ctx.progress(number, 100)
            await trio.sleep(PROGRESS_INTERVAL / 4)
    assert [at for at, _, _ in written.progress] == [number * PROGRESS_INTERVAL for number in range(1, 9)]


async def test_news_are_taken_no_more_often_where_others_end(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Outcomes are written at once, and bring no progress of other runs with them."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        for number in range(100):
            attempt.ctx.progress(number, 100)
            recorder.ended(watched(recorder), COMPLETED)
            await trio.sleep(PROGRESS_INTERVAL / 25)
    times = [at for at, _, _ in written.progress]
    assert len(times) >= 4
    assert all(later - earlier >= PROGRESS_INTERVAL for earlier, later in itertools.pairwise(times))


async def test_news_of_a_run_that_has_ended_keep_no_others_back(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """A thread that a handler has left behind may go on telling, and nobody listens."""
    recorder = recorder_on(written)
    ended, attempt = watched(recorder), watched(recorder)
    async with running(recorder):
        recorder.ended(ended, COMPLETED)
        await recorder.drained()
        ended.ctx.progress(1, 9)
        attempt.ctx.progress(2, 9)
        await trio.sleep(2 * PROGRESS_INTERVAL)
    assert [processed for _, processed, _ in written.progress] == [2]


async def test_it_says_how_long_a_round_may_take(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """As long as it likes where there is nothing to look after, else until the next look at progress."""
    recorder = recorder_on(written)
    rounds: list[float] = []
    async with running(recorder, rounds):
        await trio.sleep(1000)
        assert rounds == [math.inf]
        attempt = watched(recorder)
        await trio.sleep(2.5 * PROGRESS_INTERVAL)
        assert rounds[1:] == [PROGRESS_INTERVAL] * 3
        recorder.ended(attempt, COMPLETED)
        await trio.sleep(1000)
        assert rounds[4:] == [PROGRESS_INTERVAL, math.inf]


async def test_the_first_news_are_written_at_once(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """However early in the life of the process they come."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    attempt.ctx.progress(1, 2)
    async with running(recorder):
        await trio.sleep(PROGRESS_INTERVAL * 1.5)
    assert [at for at, _, _ in written.progress] == [PROGRESS_INTERVAL]


async def test_the_last_progress_is_written_with_the_outcome(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where the run has told any; and a run that has ended is forgotten."""
    recorder = recorder_on(written)
    told, silent = watched(recorder), watched(recorder)
    async with running(recorder):
        told.ctx.progress(1, 3)
        await trio.sleep(1.2 * PROGRESS_INTERVAL)
        told.ctx.progress(2, 3)
        for attempt in (told, silent):
            recorder.ended(attempt, Outcome(RunStatus.FAILED))
        await recorder.drained()
    assert [one.progress for one in written.finished] == ['{"processed":2,"total":3}', None]
    assert (recorder._attempts, recorder._keeping, recorder._dirty) == ({}, {}, {})
