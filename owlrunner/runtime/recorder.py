"""This is the room for writing outcomes, progress and logs: batched by load, never by delay, and never lost to an outage.

Handlers and worker tasks leave things here without waiting. One loop takes whatever has gathered since its last statement.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import trio

from owlrunner.context import JobContext, LogLine
from owlrunner.decoding import storable_json
from owlrunner.errors import DatabaseTrouble, StatementFailed
from owlrunner.job_run import Outcome, Progress, RunStatus
from owlrunner.runtime.execution import Attempt, final_progress
from owlrunner.storage import attempts
from owlrunner.storage.attempts import FinishedAttempt, progress_json
from owlrunner.storage.postgres import Database, Session

PROGRESS_INTERVAL = 0.25
"""Seconds between two writes of progress and logs of runs that go on."""
FIRST_KEPT, KEPT_IN_A_ROW = 1.0, 30
"""Seconds between two values of a run's progress that are kept for good, and after how many the interval is doubled."""
RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to reach a database that is away; the last is repeated."""
MAX_RESULT_BYTES = 1024 * 1024
MAX_BATCH = 1000

logger = logging.getLogger(__name__)


class _Line(NamedTuple):
    server_id: UUID
    run_id: UUID
    attempt: int
    line: LogLine


class _Ended(NamedTuple):
    server_id: UUID
    finished: FinishedAttempt


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
        self._next_progress = 0.0
        # Taken from the runs, not yet stored. Only what has been stored is taken out again.
        self._lines: list[_Line] = []
        self._progress: dict[tuple[UUID, UUID, int], tuple[Progress, bool]] = {}
        self._ended: list[_Ended] = []
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
        self.forget(attempt)
        run_id, number = attempt.ctx.run_id, attempt.ctx.attempt
        # Stored before the outcome: afterwards the run is not ours any more.
        self._lines += (_Line(attempt.server_id, run_id, number, line) for line in attempt.ctx.take_log_lines())
        progress = final_progress(attempt, outcome)
        finished = FinishedAttempt(
            run_id, number, outcome, _result_json(outcome.result), progress_json(progress) if progress else None
        )
        self._ended.append(_Ended(attempt.server_id, finished))
        self._work.set()

    def forget(self, attempt: Attempt) -> None:
        """The attempt was taken from us: nothing of it is to be written."""
        self._attempts.pop(attempt.ctx, None)
        self._keeping.pop(attempt.ctx, None)
        self._dirty.pop(attempt.ctx, None)

    @property
    def unwritten(self) -> list[tuple[UUID, int]]:
        """The (run, attempt)s whose outcome has not been stored yet."""
        return [(one.finished.id, one.finished.attempt) for one in self._ended]

    async def run(self) -> None:
        """Write for ever."""
        failures = 0
        while True:
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
            async with self._db.session() as session:
                await self._store_lines(session)
                await self._store_progress(session)
                await self._store_outcomes(session, ended)
        self._flushed.set()
        self._flushed = trio.Event()

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
            self._lines += (_Line(attempt.server_id, ctx.run_id, ctx.attempt, line) for line in ctx.take_log_lines())
            progress = ctx.take_new_progress()
            if progress is not None:
                keeps = self._keeping.setdefault(ctx, _Keeping()).keeps(now)
                self._progress[attempt.server_id, ctx.run_id, ctx.attempt] = (progress, keeps)

    async def _store_lines(self, session: Session) -> None:
        while self._lines:
            server_id = self._lines[0].server_id
            batch = [line for line in self._lines[:MAX_BATCH] if line.server_id == server_id]
            try:
                await attempts.append_logs(
                    session, server_id, ((one.run_id, one.attempt, one.line) for one in batch), time.monotonic()
                )
            except StatementFailed as error:
                if error.transient:
                    raise
                # A log is worth less than the outcomes that wait behind it.
                logger.exception("%d log lines could not be stored and are dropped", len(batch))
            stored = set(batch)
            self._lines = [line for line in self._lines if line not in stored]

    async def _store_progress(self, session: Session) -> None:
        while self._progress:
            server_id = next(iter(self._progress))[0]
            batch = [(key, value) for key, value in list(self._progress.items())[:MAX_BATCH] if key[0] == server_id]
            await attempts.save_progress(
                session, server_id, [(run_id, number, *value) for (_, run_id, number), value in batch]
            )
            for key, _ in batch:
                del self._progress[key]

    async def _store_outcomes(self, session: Session, count: int) -> None:
        while count > 0:
            server_id = self._ended[0].server_id
            batch = [one for one in self._ended[: min(count, MAX_BATCH)] if one.server_id == server_id]
            try:
                await self._finish(session, server_id, [one.finished for one in batch])
            except StatementFailed as error:
                if error.transient:
                    raise
                # One of them cannot be stored: find it by writing each alone, so that the others lose nothing.
                for one in batch:
                    await self._finish_alone(session, server_id, one.finished)
            stored = {id(one) for one in batch}
            self._ended = [one for one in self._ended if id(one) not in stored]
            count -= len(batch)

    async def _finish(self, session: Session, server_id: UUID, batch: list[FinishedAttempt]) -> None:
        lost = await attempts.finish(session, server_id, batch)
        if any(one.outcome.status is RunStatus.PENDING for one in batch):
            self._on_requeued()
        self._on_ended()
        for one in batch if lost else ():
            if one.id in lost:
                logger.warning(
                    "the outcome of run %s (%s) was not written: the run is not ours any more",
                    one.id,
                    one.outcome.status,
                )

    async def _finish_alone(self, session: Session, server_id: UUID, one: FinishedAttempt) -> None:
        try:
            await self._finish(session, server_id, [one])
        except StatementFailed as error:
            if error.transient:
                raise
            logger.exception("the outcome of run %s could not be stored", one.id)
            failed = Outcome(
                RunStatus.FAILED,
                error=f"The run ended as {one.outcome.status}, but its outcome could not be stored: {error}",
            )
            await self._finish(session, server_id, [FinishedAttempt(one.id, one.attempt, failed, None, None)])


def _result_json(result: Any) -> str | None:
    """What the handler returned as JSON text for the column ``result``: an object, or None.

    A handler that returns has done its work, so a result that cannot be kept does not make its run a failure: what is
    stored then says why, under the key ``unstorable``.
    """
    if result is None:
        return None
    try:
        encoded = _encoded(result)
    except Exception as problem:  # noqa: BLE001 - reading the result runs the plugin's code: properties, iterators
        encoded = msgspec.json.encode({"unstorable": f"{type(problem).__name__}: {problem}"})
    if len(encoded) > MAX_RESULT_BYTES:
        encoded = msgspec.json.encode(
            {"unstorable": f"{len(encoded):,} bytes as JSON, and at most {MAX_RESULT_BYTES:,} are kept"}
        )
    return encoded.decode()


def _encoded(result: Any) -> bytes:
    """As a JSON object, without anything that PostgreSQL refuses."""
    try:
        encoded = msgspec.json.encode(result)
    except UnicodeEncodeError:  # half a surrogate pair
        encoded = b"\\u0000"
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode(storable_json(msgspec.to_builtins(result, str_keys=True)))
    return encoded if encoded.startswith(b"{") else b'{"value":' + encoded + b"}"
