"""Name what blocks the event loop, and for how long."""

import logging
import time
from types import FrameType

from owlrunner.runtime import execution
from owlrunner.runtime.execution import Attempt

STALL_WORTH_TELLING = 2.0
"""Seconds without a sign of life after which a blocked loop is told in the log."""

logger = logging.getLogger(__name__)


class Stall:
    """One time during which the loop showed no life."""

    def __init__(self, since: float) -> None:
        self._since = since
        self.tell_at = STALL_WORTH_TELLING
        self._who = "something"

    def tell(self, frame: FrameType | None) -> None:
        """Say who blocks the loop, where, and for how long by now."""
        duration = time.monotonic() - self._since
        self.tell_at = duration * 2
        attempt, place = _culprit(frame)
        self._who = (
            f"job type {attempt.job_type.name} (run {attempt.ctx.run_id})" if attempt is not None else "something"
        )
        advice = "use trio.to_thread.run_sync for blocking calls"
        message = f"{self._who} has been blocking the event loop for {duration:.1f} s at {place}; {advice}"
        logger.warning("%s", message)
        if attempt is not None:
            attempt.ctx.store_log_line("warning", __name__, message)

    def over(self) -> None:
        """Say that it has ended."""
        logger.warning("%s blocked the event loop for %.1f s", self._who, time.monotonic() - self._since)


def _culprit(frame: FrameType | None) -> tuple[Attempt | None, str]:
    """The attempt whose handler is on the loop's stack, and the innermost file and line of Python code."""
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown place"
    while frame is not None:
        if frame.f_code is execution.execute.__code__:
            return frame.f_locals.get("attempt"), place
        frame = frame.f_back
    return None, place
