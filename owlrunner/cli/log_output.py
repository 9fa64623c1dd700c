"""This is the room for a server's log on standard error: one line per record, with the run that it is about."""

import logging
import sys
from datetime import UTC, datetime

from owlrunner.cli.printing import clean
from owlrunner.context import JobContext, current_context

CHATTERBOXES = ("httpx", "httpcore", "hypercorn", "owlrunner.web.hypercorn", "quart")
"""Libraries that tell every request at INFO: their lines would fill the logs of runs, too."""


LONGEST = 20_000
"""Characters of a message or a traceback."""


class OneLine(logging.Formatter):
    """``2026-03-28T20:00:00.123Z INFO    owlrunner.server: message``; a traceback follows on indented lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text. What a handler logs must not look like a line of somebody else."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        context: JobContext | None = getattr(record, "owlrunner_context", None) or current_context.get()
        run = f" [run {context.run_id}]" if context is not None else ""
        message = _cleaned(record.getMessage()).replace("\n", "\\n")
        lines = [f"{time}Z {record.levelname:<7} {record.name}:{run} {message}"]
        if record.exc_info:
            lines += _cleaned(self.formatException(record.exc_info)).splitlines()
        if record.stack_info:
            lines += _cleaned(record.stack_info).splitlines()
        return "\n    ".join(lines)


def _cleaned(text: str) -> str:
    """Safe for a terminal, and not longer than anybody reads: to clean a million characters takes the event loop a second."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {len(text) - LONGEST:,} characters left out … {text[-LONGEST // 2 :]}"
    return clean(text)


def is_logging() -> bool:
    """Whether ``set_up_logging`` was called."""
    return any(isinstance(handler.formatter, OneLine) for handler in logging.getLogger().handlers)


def set_up_logging(level: str) -> None:
    """Send records of ``level`` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    # The handler has the level, and the root logger lets INFO pass: runs keep what their handlers log, however quiet
    # the console is.
    wanted = logging.getLevelNamesMapping()[level.upper()]
    handler.setLevel(wanted)
    root = logging.getLogger()
    root.setLevel(min(wanted, logging.INFO))
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    if wanted > logging.DEBUG:
        for name in CHATTERBOXES:
            logging.getLogger(name).setLevel(logging.WARNING)
