"""Catch what other loggers than ``ctx.log`` say inside handlers, so that it is stored with their runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from owlrunner.context import current_context
from owlrunner.run_log import CONTEXT, keep_record


class RunLogHandler(logging.Handler):
    """On the root logger: a record made in a job's task, or in a thread that Trio started for it, goes to its run's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, unless ``ctx.log`` has done so."""
        if not hasattr(record, CONTEXT):
            keep_record(self, record, current_context.get())


class CaughtRunLogs:
    """The handler in its place, and what to do when somebody has removed it."""

    def __init__(self) -> None:
        self._handler = RunLogHandler()
        self._root = logging.getLogger()
        self._disabled = self._root.manager.disable

    def put_back(self) -> bool:
        """Put the handler back and undo ``logging.disable``; return whether that was needed."""
        if self._handler in self._root.handlers and self._root.manager.disable == self._disabled:
            return False
        if self._handler not in self._root.handlers:
            self._root.addHandler(self._handler)
        logging.disable(self._disabled)
        return True

    def remove(self) -> None:
        """Take the handler away."""
        self._root.removeHandler(self._handler)


@contextmanager
def caught_run_logs() -> Iterator[CaughtRunLogs]:
    """Catch as long as the block lasts."""
    caught = CaughtRunLogs()
    caught.put_back()
    try:
        yield caught
    finally:
        caught.remove()
