"""Starts processes of the command under test quickly: a process that has imported everything already forks for each of them.

What comes of it is what ``python -m owlrunner`` is from its first line on: its own process, environment, folder and log. The
second that the imports take would be most of what a short process costs. Run as a module this is that process; it reads requests
and writes what became of them, one JSON object on each line.
"""

import gc
import importlib
import io
import json
import os
import random
import selectors
import signal
import sys
from typing import Any

IMPORTED = (
    "owlrunner.server",
    "owlrunner.cli.serve",
    "owlrunner.cli.migrate",
    "owlrunner_email",
    "owlrunner_maintenance",
    "owlrunner_revenuecat",
    "owlrunner_webhook",
)
"""Besides the modules that the command line names."""
CHUNK = 65536


def _tell(**about: Any) -> None:
    os.write(1, json.dumps(about).encode() + b"\n")


def _reap(children: set[int]) -> None:
    """Tell of the processes that have ended."""
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def serve() -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the forked process, and None here when there will be no more."""
    children: set[int] = set()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = os.read(int(key.fd), CHUNK)
                if key.fd == reading:
                    _reap(children)
                    continue
                if not data:
                    for pid in children:
                        os.kill(pid, signal.SIGKILL)
                    return None
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    pid = os.fork()
                    if pid == 0:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        os.close(reading)
                        os.close(writing)
                        return json.loads(line)  # type: ignore[no-any-return]
                    children.add(pid)
                    _tell(pid=pid)


def become(request: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    out, err = (os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for name in ("out", "err"))
    # Whoever asked may close their own end of a pipe now.
    _tell(pid=os.getpid(), opened=True)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    # Those that are there believe that they can seek, or cannot, as their first target could.
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), errors="backslashreplace", write_through=True)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv = ["owlrunner", *request["arguments"]]
    # As ``python -m`` would have it. What was forked must not have the same luck as its siblings.
    sys.path[0:1] = [request["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    random.seed()
    importlib.import_module("owlrunner.cli").main()


def main() -> None:
    """Import, then serve; a forked process goes on from here."""
    for name in (*IMPORTED, *sys.argv[1:]):
        importlib.import_module(name)
    # Looking for cycles among what was imported would make each forked process copy all of it.
    gc.collect()
    gc.freeze()
    _tell(ready=True)
    request = serve()
    if request is not None:
        become(request)


if __name__ == "__main__":
    main()
