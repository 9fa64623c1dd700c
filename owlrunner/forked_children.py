"""Keep a process that was forked from a server from acting as that server.

A handler may fork: multiprocessing does so by default on Linux before Python 3.14, and libraries use it unasked. The child
inherits the port, which no other server can open as long as it lives, locks on files, and the server's signal handlers, which
note a signal for an event loop that the child does not run: ``Process.terminate()`` does nothing.

Where a handler forks by itself, the child must not come back to the event loop: it would go on as a second server, on the same
connections. It does come back when ``os.execvp`` fails, or when it returns, raises or awaits anything. It is ended at that moment.

Python runs what is registered here in each forked child. It cannot be unregistered, so it is registered once, and looks at what
is held at that moment. A child that executes another program loses all of this anyway, unless a descriptor is inheritable.
"""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import trio

STRAYED = os.EX_SOFTWARE
"""The exit status of a child that came back to the event loop."""
_SENTENCE = (
    b"a child that a handler forked has come back to the server's event loop, and is ended: "
    b"end a child with os._exit() before it returns, raises or awaits\n"
)
_HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
}
"""How a new process handles the signals that stop or reload a server."""
_descriptors: dict[int, int] = {}
"""Descriptor → inode of what it stands for: somebody else may have closed it, and its number may be another file's by now."""
_serving: list[None] = []
"""One entry for each server that runs in this process."""
_forking = threading.local()
"""The signals that were blocked in this thread before it forked."""


@contextlib.contextmanager
def closed_in_children(descriptor: int) -> Iterator[None]:
    """Close this descriptor in every child that is forked, or executed, as long as the block lasts."""
    _register()
    os.set_inheritable(descriptor, False)
    _descriptors[descriptor] = os.fstat(descriptor).st_ino
    try:
        yield
    finally:
        del _descriptors[descriptor]


@contextlib.contextmanager
def default_signals_in_children() -> Iterator[None]:
    """Let every child that is forked as long as the block lasts handle signals as a new process does."""
    _register()
    _serving.append(None)
    try:
        yield
    finally:
        _serving.pop()


class _EndOfAStray(trio.abc.Instrument):
    """In a child: ends it when the task that forked it gives way to others."""

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        os.write(2, _SENTENCE)
        # Not by an exception, which would unwind the server; and what is buffered is the parent's.
        os._exit(STRAYED)


@functools.cache
def _register() -> None:
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_let_go)


def _hold_signals() -> None:
    """Hold signals back until the child can handle them: one that comes earlier would be lost in the server's handlers."""
    if _serving:
        _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLERS)


def _release_signals() -> None:
    blocked = _forking.__dict__.pop("blocked", None)
    if blocked is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _let_go() -> None:
    """Give up what belongs to the server. Runs in the child, before anything else does."""
    for descriptor, inode in _descriptors.items():
        with contextlib.suppress(OSError):
            if os.fstat(descriptor).st_ino == inode:
                os.close(descriptor)
    _descriptors.clear()
    if _serving:
        _serving.clear()
        # Trio's: a signal of the child's would wake the server's event loop.
        signal.set_wakeup_fd(-1)
        # Forked in another thread than the event loop's, the child has no event loop to come back to.
        with contextlib.suppress(RuntimeError):
            trio.lowlevel.add_instrument(_EndOfAStray())
        for number, handler in _HANDLERS.items():
            if signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL):
                signal.signal(number, handler)
    _release_signals()
