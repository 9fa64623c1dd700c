"""This is the room for catching what is logged inside handlers, so that it is stored with their runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from owlrunner.context import JobContext, current_context
from owlrunner.decoding import storable_text


class RunLogHandler(logging.Handler):
    """A handler on the root logger: records made for a run go to its log; it does no I/O and is safe in any thread."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record when it was made through ``ctx.log``, or inside a handler's task or a thread that Trio started for it."""
        context: JobContext | None = getattr(record, "owlrunner_context", None) or current_context.get()
        if context is None:
            return
        try:
            message = storable_text(self.format(record))
        except Exception:  # noqa: BLE001 - a bad format string is the plugin's; logging's own way is to report and go on
            self.handleError(record)
            return
        context.store_log_line(record.levelname.lower()[:10], storable_text(record.name[:200]), message)


@contextmanager
def caught_run_logs() -> Iterator[None]:
    """Catch as long as the block lasts."""
    handler = RunLogHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    # Lines of ctx.log from INFO on are stored with the run, however quiet the console is.
    logging.getLogger("owlrunner.run").setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
