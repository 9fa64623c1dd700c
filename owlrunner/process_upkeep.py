"""Put back what handlers change about the process and the server depends on.

A handler shares its process with the server. One that ignores SIGTERM would make the server deaf; one that sets ``PGSERVICE`` for a
program that it calls would keep the server from connecting again, or send it to another database: libpq reads its variables at
every connect. Nothing announces such a change, so somebody has to look.
"""

import logging
import os
import signal
import threading

import trio

from owlrunner.process_signals import STOPPING

INTERVAL = 0.5
"""Seconds between two looks."""
SIGNALS = (*STOPPING, signal.SIGHUP)

logger = logging.getLogger(__name__)


async def keep_process() -> None:
    """Keep for ever how signals are handled now, and the environment variables that libpq reads."""
    signals, variables = _Signals(), _Variables()
    while True:
        await trio.sleep(INTERVAL)
        if changed := signals.put_back():
            logger.error("a handler has changed how signals are handled; put back: %s", ", ".join(changed))
        if changed := variables.put_back():
            logger.error(
                "a handler has changed environment variables that decide how OwlRunner reaches PostgreSQL; put back: %s. "
                "Pass them to the program that needs them (the argument env of subprocess)",
                ", ".join(changed),
            )


class _Signals:
    """How the signals that stop or reload a server are handled."""

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def put_back(self) -> list[str]:
        """Handle signals as before, and return the names of those for which that was changed."""
        if threading.current_thread() is not threading.main_thread():
            return []  # Only the main thread can change it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) - self._blocked
        changed = []
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == handler and number not in blocked:
                continue
            changed.append(number.name)
            # None was set by C code, which alone can set it again.
            if handler is not None:
                signal.signal(number, handler)
            if number in blocked:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        return changed


class _Variables:
    """The environment variables that libpq reads."""

    def __init__(self) -> None:
        self._values = self._now()

    @staticmethod
    def _now() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("PG")}

    def put_back(self) -> list[str]:
        """Set the variables as before, and return the names of those that were changed."""
        now = self._now()
        if now == self._values:
            return []
        changed = sorted(name for name in now.keys() | self._values.keys() if now.get(name) != self._values.get(name))
        for name in changed:
            if name in self._values:
                os.environ[name] = self._values[name]
            else:
                del os.environ[name]
        return changed
