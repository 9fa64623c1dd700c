"""Write outcomes, progress and logs: batched by load, never by delay, and never lost to an outage.

How it works. Handlers and worker tasks leave things here without waiting. One loop takes whatever has gathered since
its last statement: first log lines and progress, which are refused once a run has ended, then outcomes. What has been
taken from a run waits in three queues until it is stored, so that an outage, a batch that fails or one bad item loses
nothing (see write_queue).

Whether a statement without an answer took effect is not asked: it is sent again, and what it had written is recognised
by server and attempt.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import trio

from owlrunner.context import JobContext
from owlrunner.errors import DatabaseTrouble, StatementFailed
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime.execution import Attempt, final_progress
from owlrunner.runtime.outgoing import (
    OutgoingLine,
    OutgoingOutcome,
    OutgoingProgress,
    readable_line,
    size_of_line,
    size_of_outcome,
    size_of_progress,
    smaller_outcome,
)
from owlrunner.runtime.results import result_json
from owlrunner.runtime.write_queue import WriteQueue
from owlrunner.storage import attempts
from owlrunner.storage.attempts import FinishedAttempt, progress_json
from owlrunner.storage.postgres import Database, Session

PROGRESS_INTERVAL = 0.25
"""Seconds between two writes of progress and logs of runs that go on."""
FIRST_KEPT, KEPT_IN_A_ROW = 1.0, 30
"""Seconds between two values of a run's progress that are kept for good, and after how many the interval is doubled."""
RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to reach a database that is away; the last is repeated."""
MAX_TRIES = 5
"""How often a log line or a progress that is refused alone is tried; the outcomes behind it are worth more."""

logger = logging.getLogger(__name__)


class _Keeping:
    """Which values of an attempt's progress are kept for good: ever fewer, the longer it takes."""

    def __init__(self) -> None:
        self._kept = 0
        self._next = -math.inf

    def keeps(self, now: float) -> bool:
        """Whether the value of now is one of them."""
        if now < self._next:
            return False
        self._next = now + FIRST_KEPT * 2.0 ** (self._kept // KEPT_IN_A_ROW)
        self._kept += 1
        return True


class Recorder:
    """What has to be written, and the loop that writes it."""

    def __init__(self, db: Database, *, on_requeued: Callable[[], None], on_ended: Callable[[], None]) -> None:
        self._db = db
        self._on_requeued = on_requeued
        self._on_ended = on_ended
        self._attempts: dict[JobContext, Attempt] = {}
        self._keeping: dict[JobContext, _Keeping] = {}
        # Marks left by contexts, from any thread; a dict because one assignment is atomic, and keeps the order.
        self._dirty: dict[JobContext, None] = {}
        self._next_progress = -math.inf
        # Taken from the runs, not yet stored.
        self._lines = WriteQueue[OutgoingLine](
            group_of=lambda one: one.server_id,
            size_of=size_of_line,
            name_of=lambda one: f"line {one.line.seq} of the log of run {one.run_id}",
            smaller=readable_line,
            max_tries=MAX_TRIES,
        )
        self._progress = WriteQueue[OutgoingProgress](
            group_of=lambda one: one.server_id,
            size_of=size_of_progress,
            name_of=lambda one: f"the progress of run {one.run_id}",
            max_tries=MAX_TRIES,
        )
        self._ended = WriteQueue[OutgoingOutcome](
            group_of=lambda one: one.server_id,
            size_of=size_of_outcome,
            name_of=lambda one: f"the outcome of run {one.finished.id} ({one.finished.outcome.status})",
            smaller=smaller_outcome,
        )
        self._work = trio.Event()
        self._flushed = trio.Event()

    def __repr__(self) -> str:
        return f"<Recorder {len(self._attempts)} watched, {len(self._ended)} outcomes waiting>"

    def watch(self, attempt: Attempt) -> None:
        """From now on, look after what this attempt has to tell."""
        self._attempts[attempt.ctx] = attempt
        self._work.set()

    def note(self, ctx: JobContext) -> None:
        """There is progress or a log line. Called by the context, from any thread, thousands of times a second: only a mark."""
        self._dirty[ctx] = None

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """The attempt has ended: its outcome is written as soon as the database takes it."""
        self._attempts.pop(attempt.ctx, None)
        self._keeping.pop(attempt.ctx, None)
        self._dirty.pop(attempt.ctx, None)
        run_id, number = attempt.ctx.run_id, attempt.ctx.attempt
        # Stored before the outcome: afterwards the run is not ours any more.
        for line in attempt.ctx.finish_log():
            self._lines.add(OutgoingLine(attempt.server_id, run_id, number, line))
        progress = final_progress(attempt, outcome)
        finished = FinishedAttempt(
            run_id, number, outcome, result_json(outcome.result), progress_json(progress) if progress else None
        )
        self._ended.add(OutgoingOutcome(attempt.server_id, finished, attempt.job_type.max_running is not None))
        self._work.set()

    @property
    def unwritten(self) -> list[tuple[UUID, int]]:
        """The (run, attempt)s whose outcome has not been stored yet."""
        return [(one.finished.id, one.finished.attempt) for one in self._ended]

    async def run(self, on_round: Callable[[float], None] = lambda _: None) -> None:
        """Write for ever."""
        failures = 0
        while True:
            if not self._ended and not self._attempts:
                on_round(math.inf)
            await self._wait_for_work()
            try:
                await self._flush()
            except DatabaseTrouble as error:
                if failures == 0:
                    logger.warning("outcomes and progress wait for the database: %s", error)
                await trio.sleep(RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])
                failures += 1
            else:
                if failures:
                    logger.info("the database is back; everything that waited has been written")
                failures = 0
                on_round(PROGRESS_INTERVAL)

    @property
    def backlog(self) -> int:
        """How many outcomes have not been stored yet."""
        return len(self._ended)

    async def next_flush(self) -> None:
        """Wait until something has been stored."""
        await self._flushed.wait()

    async def drained(self) -> None:
        """Wait until no outcome is left to be written."""
        while self._ended:
            await self.next_flush()

    async def _wait_for_work(self) -> None:
        """Until something ended, or, while runs are held, until it is time to look at their progress."""
        if self._ended:
            # A checkpoint all the same: a stream of outcomes must not starve the loop's cancellation.
            await trio.lowlevel.checkpoint()
            return
        self._work = trio.Event()
        with trio.move_on_after(PROGRESS_INTERVAL if self._attempts else math.inf):
            await self._work.wait()

    async def _flush(self) -> None:
        self._collect_news()
        # What ends from here on waits for the next time: its log lines must be stored first, while the run is still ours.
        ended = len(self._ended)
        if self._lines or self._progress or ended:
            await self._write(ended)
        self._flushed.set()
        self._flushed = trio.Event()

    async def _write(self, ended: int) -> None:
        """Write what waits in the three queues; one that is refused does not keep the others from being written."""
        written, refusals = 0, []
        for write in (self._write_lines, self._write_progress, partial(self._write_outcomes, ended)):
            try:
                written += await write()
            except StatementFailed as refusal:
                refusals.append(refusal)
        for queue in (self._lines, self._progress, self._ended):
            queue.judge(others_were_written=written > 0)
        if refusals:
            raise refusals[0]

    async def _write_lines(self) -> int:
        return await self._lines.write(self._store_lines)

    async def _write_progress(self) -> int:
        return await self._progress.write(self._store_progress)

    async def _write_outcomes(self, count: int) -> int:
        # Lines that are still there were refused, and must be stored first. What comes in meanwhile belongs to later outcomes.
        with_lines = {(one.run_id, one.attempt) for one in self._lines}

        def waits(one: OutgoingOutcome) -> bool:
            return (one.finished.id, one.finished.attempt) in with_lines

        return await self._ended.write(self._store_outcomes, count, waits if with_lines else None)

    def _collect_news(self) -> None:
        """Take what running handlers have told, at most once in PROGRESS_INTERVAL."""
        now = trio.current_time()
        if not self._dirty or now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_INTERVAL
        # The marks are taken before the values are read: what a handler tells meanwhile leaves a new mark.
        dirty, self._dirty = self._dirty, {}
        for ctx in dirty:
            attempt = self._attempts.get(ctx)
            if attempt is None:
                continue
            for line in ctx.take_log_lines():
                self._lines.add(OutgoingLine(attempt.server_id, ctx.run_id, ctx.attempt, line))
            progress = ctx.take_new_progress()
            if progress is not None:
                keeps = self._keeping.setdefault(ctx, _Keeping()).keeps(now)
                self._progress.add(OutgoingProgress(attempt.server_id, ctx.run_id, ctx.attempt, progress, keeps))

    async def _store_lines(self, batch: Sequence[OutgoingLine]) -> None:
        async with self._db.session() as session:
            lines = ((one.run_id, one.attempt, one.line) for one in batch)
            await attempts.append_logs(session, batch[0].server_id, lines, time.monotonic())

    async def _store_progress(self, batch: Sequence[OutgoingProgress]) -> None:
        # After an outage several values of one attempt may wait; one statement cannot write a row twice, and only the
        # last one counts.
        latest = {(one.run_id, one.attempt): one for one in batch}
        async with self._db.session() as session:
            await attempts.save_progress(session, batch[0].server_id, [one[1:] for one in latest.values()])

    async def _store_outcomes(self, batch: Sequence[OutgoingOutcome]) -> None:
        async with self._db.session() as session:
            await self._finish(session, batch)

    async def _finish(self, session: Session, batch: Sequence[OutgoingOutcome]) -> None:
        # Whoever has room may go on with a run that goes back, or with the next one of a job type with a limit.
        ring = any(one.finished.outcome.status is RunStatus.PENDING or one.is_limited for one in batch)
        lost = await attempts.finish(session, batch[0].server_id, [one.finished for one in batch], ring=ring)
        if ring:
            self._on_requeued()
        self._on_ended()
        for one in batch:
            if one.finished.id in lost:
                logger.warning(
                    "the outcome of run %s (%s) was not written: the run is not ours any more",
                    one.finished.id,
                    one.finished.outcome.status,
                )
