"""Keep what an attempt logs until it is stored, and log for a run in a way that no global logging configuration can switch off."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from owlrunner.decoding import storable_text

MAX_LOG_LINES = 10_000
"""How many log lines one attempt keeps from its beginning; of what comes after, the last LAST_LOG_LINES are kept."""
LAST_LOG_LINES = 200
"""How many lines of its end an attempt keeps beyond that: they say why it failed."""
MAX_LOG_MESSAGE = 8_192
"""How many characters one log line keeps."""
CONTEXT = "owlrunner_context"
"""The attribute of a log record that says for which run it was made."""


class LogLine(NamedTuple):
    """One line of a run's log. ``seq`` counts from 1 in each attempt; ``monotonic`` is this process's ``time.monotonic()``."""

    seq: int
    monotonic: float
    level: str
    logger: str
    message: str


class RunLog:
    """The log lines of one attempt that have not been stored yet, capped, safe to append to from any thread."""

    def __init__(self, on_line: Callable[[], None]) -> None:
        self._on_line = on_line
        self._lock = threading.Lock()
        self._seq = 0
        self._waiting: list[LogLine] = []
        self._last: deque[LogLine] = deque(maxlen=LAST_LOG_LINES)

    def append(self, level: str, logger: str, message: str) -> None:
        """Keep one line; what comes after the cap only until the next ones push it out."""
        if len(message) > MAX_LOG_MESSAGE:
            message = f"{message[:MAX_LOG_MESSAGE]}… ({len(message) - MAX_LOG_MESSAGE:,} more characters)"
        with self._lock:
            self._seq += 1
            line = LogLine(
                self._seq,
                time.monotonic(),
                storable_text(level[:10]),
                storable_text(logger[:200]),
                storable_text(message),
            )
            if self._seq > MAX_LOG_LINES:
                self._last.append(line)
                return
            self._waiting.append(line)
        self._on_line()

    def take(self) -> list[LogLine]:
        """Return the lines that came since the last call."""
        with self._lock:
            lines, self._waiting = self._waiting, []
        return lines

    def finish(self) -> list[LogLine]:
        """Return the lines that came since ``take``, and the last ones of all, behind a line that counts what is left out."""
        with self._lock:
            lines, self._waiting = self._waiting, []
            left_out = self._seq - MAX_LOG_LINES - len(self._last)
            if left_out > 0:
                text = f"Log full: {left_out:,} lines are left out here."
                lines.append(LogLine(self._last[0].seq - 1, self._last[0].monotonic, "warning", "owlrunner", text))
            lines += self._last
            self._last.clear()
        return lines


class _StoreWithRun(logging.Handler):
    """Store a record with the run that it was made for."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        keep_record(self, record, getattr(record, CONTEXT, None))


def keep_record(handler: logging.Handler, record: logging.LogRecord, context: object) -> None:
    """Store a record in a context's log, if there is one; does no I/O and is safe in any thread."""
    store = getattr(context, "store_log_line", None)
    if store is None:
        return
    try:
        message = handler.format(record)
    except Exception:  # noqa: BLE001 - a bad format string is the plugin's; logging's own way is to report and go on
        handler.handleError(record)
        return
    store(record.levelname.lower(), record.name, message)


@cache
def run_logger(job_type: str) -> logging.Logger:
    """Return the logger behind ``ctx.log`` for one job type.

    It is no part of logging's tree, where ``dictConfig``, ``disable`` and ``basicConfig(force=True)`` of a handler
    could silence it for all later runs; but what is logged there goes on to the tree's handlers, and so to the console.
    """
    logger = logging.Logger(f"owlrunner.run.{job_type}", logging.INFO)  # noqa: LOG001 - see above
    logger.parent = logging.getLogger("owlrunner.run")
    logger.manager = logging.Manager(logging.RootLogger(logging.WARNING))
    store = _StoreWithRun()
    store.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(store)
    return logger
