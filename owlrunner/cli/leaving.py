"""End the process of a server that has stopped, whatever handlers have left behind in it.

Python waits at its end for every thread that is no daemon, and for every function that is registered with ``atexit``, without
limit. One that a handler left would keep the process: its supervisor would kill it in the end, and nobody would know why.
"""

import os
import sys
import threading
import time

PATIENCE = 2.0
"""Seconds that what is left may take. Runs have had their time, ``server.shutdown_grace``."""


def end_within(seconds: float, status: int) -> None:
    """End the process with this status when it has not ended by itself after so many seconds, and say what kept it."""
    threading.Thread(target=_end, args=(seconds, status), name="owlrunner end", daemon=True).start()


def _end(seconds: float, status: int) -> None:
    time.sleep(seconds)
    # Not by logging, which may be what hangs, or closed by now.
    os.write(2, f"the process ends although {_what_is_left()}\n".encode("utf-8", "backslashreplace"))
    os._exit(status)


def _what_is_left() -> str:
    """Name the threads that Python waits for."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to see another thread's stack
    threads = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if not thread.daemon and thread is not threading.main_thread() and frame is not None:
            threads.append(f"thread {thread.name} ({frame.f_code.co_qualname}) is still at work")
    return "; ".join(threads) or "a function registered with atexit has not returned"
