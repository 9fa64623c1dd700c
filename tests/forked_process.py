"""Processes of OwlRunner that are there at once: forked from one that has the imports behind it, one for each test process.

They are used as those of ``subprocess``. The other end is tests/forge.py.
"""

import atexit
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import attrs

ROOT = Path(__file__).parents[1]
_PATIENCE = 60.0


@attrs.define(eq=False)
class _Fate:
    """Becomes known once."""

    ended: threading.Event = attrs.field(factory=threading.Event)
    code: int = 0


class _Forge:
    """The process that forks, and what it tells."""

    def __init__(self) -> None:
        # Resources that nobody closes are told of, and what is written is to be read at once.
        environment = os.environ | {"PYTHONWARNINGS": "default", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forge"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._turn = threading.Lock()
        self._opened: queue.Queue[int] = queue.Queue()
        self._fates: dict[int, _Fate] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, request: dict[str, Any]) -> tuple[int, _Fate]:
        """Fork; returns when its streams are open."""
        assert self._process.stdin is not None
        with self._turn:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            pid = self._opened.get(timeout=_PATIENCE)
            return pid, self._fates[pid]

    def close(self) -> None:
        """End it, and with it all that it has started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "ready" in told:
                continue
            pid = told["pid"]
            fate = self._fates.setdefault(pid, _Fate())
            if "opened" in told:
                self._opened.put(pid)
            elif "code" in told:
                del self._fates[pid]
                fate.code = told["code"]
                fate.ended.set()


@functools.cache
def _forge() -> _Forge:
    forge = _Forge()
    atexit.register(forge.close)
    return forge


class ForkedProcess:
    """One process of ``owlrunner``. ``out`` is where its standard output goes; without, it is read from ``stdout``."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, out: str | None = None
    ) -> None:
        pipes = {"err": os.pipe()} if out is not None else {"out": os.pipe(), "err": os.pipe()}
        # Opened by its path, the end for writing is the same pipe's.
        paths = {name: f"/proc/{os.getpid()}/fd/{writing}" for name, (_, writing) in pipes.items()}
        request = {"arguments": list(arguments), "environ": dict(environ), "folder": str(folder), "out": out, **paths}
        try:
            self.pid, self._fate = _forge().start(request)
        finally:
            for _, writing in pipes.values():
                os.close(writing)
        self.stderr: IO[str] = os.fdopen(pipes["err"][0], encoding="utf-8", errors="replace")
        self.stdout: IO[str] | None = os.fdopen(pipes["out"][0], encoding="utf-8") if out is None else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        if not self._fate.ended.is_set():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a warning."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit status; that of a signal is negative."""
        if not self._fate.ended.wait(timeout):
            raise TimeoutError(f"process {self.pid} has not ended within {timeout:g} seconds")
        return self._fate.code

    def close(self) -> None:
        """Close our ends of its streams."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
