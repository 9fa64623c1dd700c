"""Turn signals into events: SIGTERM and SIGINT stop, the second one ends the process, SIGHUP reloads."""

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


class Hangups:
    """SIGHUPs that have arrived; several that nobody has waited for yet are one."""

    def __init__(self) -> None:
        self._arrived = trio.Event()

    async def next(self) -> None:
        """Wait for one."""
        await self._arrived.wait()
        self._arrived = trio.Event()

    def note(self) -> None:
        """Note that one has arrived."""
        self._arrived.set()


@contextmanager
def noted_hangups() -> Iterator[Hangups]:
    """Note each SIGHUP as long as the block lasts, whether or not anybody waits for it.

    Trio's own receiver hands what was not read to the handler before, which ends the process: the last reload would kill a server
    that stops.
    """
    token = trio.lowlevel.current_trio_token()
    hangups = Hangups()
    before = signal.signal(signal.SIGHUP, lambda *_: token.run_sync_soon(hangups.note, idempotent=True))
    try:
        yield hangups
    finally:
        signal.signal(signal.SIGHUP, before)
