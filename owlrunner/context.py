"""This is the room for what a handler may ask and tell about the run it carries out.

It knows no event loop and does no I/O: telling progress or writing a log line only leaves the value where the server
picks it up, which is what makes both free to call as often as a handler likes, from threads too.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from owlrunner.job_run import Progress
from owlrunner.run_log import CONTEXT, LogLine, RunLog, run_logger

if TYPE_CHECKING:
    from owlrunner.connection import Connection

MAX_COUNT = 2**53 - 1
"""The largest number that every reader of JSON gets right."""
MAX_PROGRESS_MESSAGE = 500
"""How many characters a progress message keeps."""

Connect: TypeAlias = Callable[["JobContext"], "AbstractAsyncContextManager[Connection]"]

current_context: ContextVar["JobContext | None"] = ContextVar("owlrunner_context", default=None)
"""The context of the run that this task, or a thread that Trio started for it, works for."""
_making_log = threading.Lock()
"""The first lines of a run may come from several threads at once."""


class JobContext:
    """What a handler gets as its first argument: who its run is, and the few things it may ask and tell."""

    __slots__ = (
        "_attempt", "_cancel_asked", "_cancel_noticed", "_connect", "_job_type", "_log", "_on_news", "_progress", "_project_id",
        "_run_id", "_run_log", "_stored_progress", "_team_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        run_id: UUID,
        job_type: str,
        project_id: UUID | None,
        team_id: UUID | None,
        attempt: int,
        connect: Connect,
        on_news: Callable[["JobContext"], None],
    ) -> None:
        self._run_id = run_id
        self._job_type = job_type
        self._project_id = project_id
        self._team_id = team_id
        self._attempt = attempt
        self._connect = connect
        self._on_news = on_news
        self._progress: Progress | None = None
        self._stored_progress: Progress | None = None
        self._cancel_asked = False
        self._cancel_noticed = False
        self._run_log: RunLog | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    # Properties, because the runtime goes by them: a handler that counted ``attempt`` up would not be found again.

    @property
    def run_id(self) -> UUID:
        """The run's id."""
        return self._run_id

    @property
    def job_type(self) -> str:
        """The name of its job type."""
        return self._job_type

    @property
    def project_id(self) -> UUID | None:
        """The project that the run works for; None for system job types."""
        return self._project_id

    @property
    def team_id(self) -> UUID | None:
        """The project's team; None for system job types."""
        return self._team_id

    @property
    def attempt(self) -> int:
        """1 for the first attempt; each retry or restart counts one up."""
        return self._attempt

    def progress(self, processed: int, total: int, message: str = "") -> None:
        """Tell how far the run has come: ``processed`` of ``total``, with a line for people.

        Costs no I/O; the latest value is stored a few times a second and always at the end. Numbers are brought into
        0 ≤ processed ≤ total; a total of 0 means that it is not known. Callable from threads.

        Raises TypeError for a message that is no text, and what ``int()`` raises for numbers that are none.
        """
        if not isinstance(message, str):
            raise TypeError(f"progress: message must be a str, got {type(message).__name__}")
        total = min(max(0, int(total)), MAX_COUNT)
        processed = min(max(0, int(processed)), MAX_COUNT)
        if total:
            processed = min(processed, total)
        self._progress = Progress(processed, total, str.__str__(message)[:MAX_PROGRESS_MESSAGE])
        self._on_news(self)

    def is_cancelled(self) -> bool:
        """Whether somebody asked for this run to be cancelled: leave soon, and return what you have.

        Once this has told True, a handler that returns ends its run as *cancelled* with the result it returned. Without
        a look at it, Trio's ``Cancelled`` ends the handler when the job type's ``cancel_grace`` is over. Callable from threads.
        """
        if self._cancel_asked:
            self._cancel_noticed = True
        return self._cancel_asked

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger whose lines are stored with the run. Records of any other logger made inside the handler are stored too."""
        if self._log is None:
            self._log = logging.LoggerAdapter(run_logger(self.job_type), {CONTEXT: self})
        return self._log

    def connect(self) -> "AbstractAsyncContextManager[Connection]":
        """Open a PostgreSQL connection of the handler's own: ``async with ctx.connect() as connection``.

        A psycopg ``AsyncConnection`` driven by Trio, in autocommit mode; use ``async with connection.transaction()`` where
        statements belong together. It is for one task at a time, and is closed at the end of the block. Cancelling the run
        cancels the statement in the server. Where many runs have connections already (``database.handler_connections``) the first
        one of a run waits for its turn; so close it while you wait for something else.
        """
        return self._connect(self)

    # What follows is the runtime's side; handlers have no use for it.

    def store_log_line(self, level: str, logger: str, message: str) -> None:
        """Append one line to the run's log (called by the logging handler)."""
        if self._run_log is None:
            with _making_log:
                if self._run_log is None:
                    self._run_log = RunLog(lambda: self._on_news(self))
        self._run_log.append(level, logger, message)

    def take_log_lines(self) -> list[LogLine]:
        """Return the lines that came since the last call."""
        return self._run_log.take() if self._run_log is not None else []

    def finish_log(self) -> list[LogLine]:
        """Return the lines that came since the last call, and those of the end that are kept when there were too many."""
        return self._run_log.finish() if self._run_log is not None else []

    def ask_cancel(self) -> None:
        """From now on ``is_cancelled()`` tells True."""
        self._cancel_asked = True

    @property
    def cancel_noticed(self) -> bool:
        """Whether the handler has been told that it is cancelled."""
        return self._cancel_noticed

    def take_new_progress(self) -> Progress | None:
        """The latest value that the handler told, unless it has been taken already."""
        latest = self._progress
        if latest is self._stored_progress:
            return None
        self._stored_progress = latest
        return latest

    @property
    def last_progress(self) -> Progress | None:
        """The latest value that the handler told, or None."""
        return self._progress
