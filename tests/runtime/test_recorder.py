"""The loop that writes outcomes, progress and logs, in virtual time; the database notes what it is sent, or is away."""

import contextlib
import itertools
import logging
import math
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import attrs
import pytest
import trio
import trio.testing

from owlrunner.errors import StatementFailed
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime import recorder as recorders
from owlrunner.runtime.execution import Attempt
from owlrunner.runtime.recorder import KEPT_IN_A_ROW, MAX_TRIES, PROGRESS_INTERVAL, RETRY_DELAYS, Recorder
from owlrunner.storage import attempts
from tests.runtime.stand_in import StandIn
from tests.test_execution import make_attempt

COMPLETED = Outcome(RunStatus.COMPLETED)


@attrs.define(eq=False)
class Written(StandIn):
    """Stands for a database, and notes what was written."""

    lost: set[UUID] = attrs.field(factory=set)
    outcomes: list[tuple[UUID, bool]] = attrs.field(factory=list)
    """Each outcome, and whether others were to be rung."""
    progress: list[tuple[float, int, bool]] = attrs.field(factory=list)
    """When it was written, how far, and whether it is kept."""
    lines: list[str] = attrs.field(factory=list)
    refused: dict[str, int] = attrs.field(factory=dict)
    """The log lines that are refused for now, and how often each was."""
    unstorable: bool = False
    """Whether it refuses results."""
    changed: trio.Event = attrs.field(factory=trio.Event)

    async def finish(self, _session: Any, _server: UUID, batch: list[Any], *, ring: bool = False) -> set[UUID]:
        """Note outcomes."""
        if self.unstorable and any(one.result is not None for one in batch):
            raise StatementFailed("no such text", transient=False)
        self.outcomes += [(one.id, ring) for one in batch]
        return self.lost

    async def save_progress(self, _session: Any, _server: UUID, batch: list[Any]) -> None:
        """Note progress."""
        self.progress += [(trio.current_time(), progress.processed, kept) for _, _, progress, kept in batch]

    async def append_logs(self, _session: Any, _server: UUID, lines: Any, _now: float) -> None:
        """Note log lines."""
        messages = [line.message for _, _, line in lines]
        refused = self.refused.keys() & messages
        for message in refused:
            self.refused[message] += 1
        if refused:
            raise StatementFailed("not now", transient=True)
        self.lines += messages


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """In the place of the database."""
    db = Written()
    db.answer_for(monkeypatch, attempts, "finish", "save_progress", "append_logs")
    return db


def recorder_on(
    db: Written, *, requeued: Callable[[], None] = lambda: None, ended: Callable[[], None] = lambda: None
) -> Recorder:
    """A recorder for it."""
    return Recorder(db, on_requeued=requeued, on_ended=ended)


def watched(recorder: Recorder, **options: Any) -> Attempt:
    """An attempt whose news the recorder takes."""

    async def nothing(ctx: object) -> None:
        """Do nothing."""

    attempt = make_attempt(nothing, **options)
    attempt.ctx._on_news = recorder.note
    recorder.watch(attempt)
    return attempt


@contextlib.asynccontextmanager
async def running(recorder: Recorder, rounds: list[float] | None = None) -> AsyncIterator[None]:
    """Let its loop run as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run, (rounds if rounds is not None else []).append)
        yield
        nursery.cancel_scope.cancel()


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


async def test_progress_is_looked_at_at_once_and_whenever_the_interval_is_over(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """The first value does not wait longer than the interval, and none of the intervals is left out."""
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        for processed in range(15):
            attempt.ctx.progress(processed, 100)
            await trio.sleep(PROGRESS_INTERVAL / 2)
    assert [at / PROGRESS_INTERVAL for at, _, _ in written.progress] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_line_that_is_refused_is_dropped_when_others_were_written_meanwhile(
    written: Written, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets its tries while progress is written beside it, and then it is given up, and the log says which one."""
    written.refused = {"bad": 0}
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        attempt.ctx.log.info("bad")
        for processed in range(200):
            attempt.ctx.progress(processed, 200)
            await trio.sleep(PROGRESS_INTERVAL / 2)
    assert written.refused == {"bad": MAX_TRIES}
    assert f"line 1 of the log of run {attempt.ctx.run_id} could not be stored, and is dropped" in caplog.messages


async def test_a_line_is_kept_as_long_as_nothing_can_be_written(
    written: Written, autojump_clock: trio.testing.MockClock
) -> None:
    """Where nothing else was stored it may not be the line's fault: it is tried on, and stored when that is possible."""
    written.refused = {"bad": 0}
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        attempt.ctx.log.info("bad")
        await trio.sleep(60)
        assert written.refused["bad"] > MAX_TRIES
        written.refused = {}
        await trio.sleep(RETRY_DELAYS[-1] + PROGRESS_INTERVAL)
    assert written.lines == ["bad"]


async def test_a_result_that_is_refused_is_left_out(written: Written, autojump_clock: trio.testing.MockClock) -> None:
    """The run ends all the same, with a smaller outcome in the place of the one that PostgreSQL does not take."""
    written.unstorable = True
    recorder = recorder_on(written)
    attempt = watched(recorder)
    async with running(recorder):
        recorder.ended(attempt, Outcome(RunStatus.COMPLETED, result={"a": 1}))
        with trio.move_on_after(60):
            await recorder.drained()
    assert written.outcomes == [(attempt.ctx.run_id, False)]
