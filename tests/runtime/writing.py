"""A recorder in virtual time, and what stands for the database that it writes to."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import attrs
import pytest
import trio

from owlrunner.errors import StatementFailed
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.runtime.execution import Attempt
from owlrunner.runtime.recorder import Recorder
from owlrunner.storage import attempts
from owlrunner.storage.attempts import FinishedAttempt
from tests.runtime.stand_in import StandIn
from tests.test_execution import make_attempt

COMPLETED = Outcome(RunStatus.COMPLETED)


@attrs.define(eq=False)
class Written(StandIn):
    """Stands for a database, and notes what was written."""

    lost: set[UUID] = attrs.field(factory=set)
    outcomes: list[tuple[UUID, bool]] = attrs.field(factory=list)
    """Each outcome, and whether others were to be rung."""
    finished: list[FinishedAttempt] = attrs.field(factory=list)
    """The same, as they were written."""
    progress: list[tuple[float, int, bool]] = attrs.field(factory=list)
    """When it was written, how far, and whether it is kept."""
    lines: list[str] = attrs.field(factory=list)
    batches: list[int] = attrs.field(factory=list)
    """How many lines were written at once."""
    refused: str = ""
    """What is refused: outcomes, progress or lines."""
    is_bad: Callable[[Any], bool] = lambda _: True
    """Which of it."""
    for_now: bool = True
    """Whether that may be over soon; else it is the data's fault."""
    refusals: int = 0

    async def finish(self, _session: Any, _server: UUID, batch: list[Any], *, ring: bool = False) -> set[UUID]:
        """Note outcomes."""
        self._refuse("outcomes", batch)
        self.outcomes += [(one.id, ring) for one in batch]
        self.finished += batch
        return self.lost

    async def save_progress(self, _session: Any, _server: UUID, batch: list[Any]) -> None:
        """Note progress."""
        self._refuse("progress", batch)
        self.progress += [(trio.current_time(), progress.processed, kept) for _, _, progress, kept in batch]

    async def append_logs(self, _session: Any, _server: UUID, lines: Any, _now: float) -> None:
        """Note log lines."""
        batch = [line.message for _, _, line in lines]
        self._refuse("lines", batch)
        self.lines += batch
        self.batches.append(len(batch))

    def _refuse(self, what: str, of: list[Any]) -> None:
        if self.refused == what and any(map(self.is_bad, of)):
            self.refusals += 1
            raise StatementFailed("no", transient=self.for_now)


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
