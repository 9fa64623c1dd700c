"""Turn SIGTERM and SIGINT into an orderly stop, and the second one into the end of the process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import trio

STOPPING = (signal.SIGTERM, signal.SIGINT)
SECOND = b"told twice to stop: ending without waiting for runs; the next server recovers them\n"


@contextmanager
def stopped_by_signals(stop: trio.Event) -> Iterator[None]:
    """Set ``stop`` at the first SIGTERM or SIGINT as long as the block lasts; a second one ends the process at once, as kill would.

    The handler itself ends it, not a task: a job that blocks the event loop would keep every task from running, and
    whoever asks twice wants it now. Code that blocks inside C without letting Python run its handlers can only be killed.
    """
    token = trio.lowlevel.current_trio_token()
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal asked
        if asked:
            # Not by logging: this code may have interrupted it.
            os.write(2, SECOND)
            os._exit(128 + number)
        asked = True
        token.run_sync_soon(stop.set, idempotent=True)

    before = {number: signal.signal(number, on_signal) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
