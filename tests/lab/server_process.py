"""Real processes of the command under test, whose log goes to a file."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import attrs
import trio

from tests.lab.lab_jobs import VARIABLE

LOOK = 0.05
ROOT = Path(__file__).parents[2]
_READY = "is ready at "


@attrs.define(eq=False)
class OwlRunner:
    """One process, such as ``owlrunner serve``."""

    pid: int
    log: Path
    exit_code: int | None = None
    """None while it lives."""
    _ended: trio.Event = attrs.field(factory=trio.Event)

    def has_ended(self, exit_code: int) -> None:
        """It is gone."""
        self.exit_code = exit_code
        self._ended.set()

    async def wait(self) -> None:
        """Wait until it is gone."""
        await self._ended.wait()

    @property
    def lines(self) -> list[str]:
        """What it has logged."""
        return self.log.read_text("utf-8", errors="replace").splitlines() if self.log.exists() else []

    async def ready(self) -> str | None:
        """Wait until it serves, and return its URL; None where it ended before."""
        while True:
            told = next((line for line in reversed(self.lines) if _READY in line), None)
            if told is not None:
                return told.split(_READY)[1].strip()
            if self.exit_code is not None:
                return None
            await trio.sleep(LOOK)

    def terminate(self) -> None:
        """Tell it to stop."""
        self._signal(signal.SIGTERM)

    def reload(self) -> None:
        """Tell it to read its schedules again."""
        self._signal(signal.SIGHUP)

    async def kill(self) -> None:
        """As the kernel would that has no memory left; safe to call twice."""
        self._signal(signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            os.kill(self.pid, number)


@attrs.define(eq=False)
class Forge:
    """Starts processes; tests/forge.py is its other end."""

    _process: trio.Process
    _turn: trio.Lock = attrs.field(factory=trio.Lock)
    _born: trio.MemorySendChannel[int] | None = None
    _pids: trio.MemoryReceiveChannel[int] | None = None
    _alive: dict[int, OwlRunner] = attrs.field(factory=dict)

    async def start(self, command: str, folder: Path, name: str, url: str, environ: Mapping[str, str]) -> OwlRunner:
        """Start a command, with what the environment says besides."""
        log = folder / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OWLRUNNER_")}
        environment = {
            **inherited,
            "DATABASE_URL": url,
            VARIABLE: str(folder / "diary.jsonl"),
            "OWLRUNNER_SERVER__NAME": name,
            "OWLRUNNER_SERVER__PLUGINS": '["tests.lab.lab_jobs"]',
            "OWLRUNNER_WEB__PORT": "0",
            **environ,
        }
        request = {
            "arguments": [command],
            "folder": str(folder),
            "out": str(log),
            "err": str(log),
            "environ": environment,
        }
        assert self._process.stdin is not None
        assert self._pids is not None
        # Shielded: whoever is born must be known, or nobody would kill it.
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._process.stdin.send_all(json.dumps(request).encode() + b"\n")
                pid = await self._pids.receive()
                process = self._alive[pid]
                process.log = log
        return process

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hear who was born and who has ended. Ready once it can fork."""
        assert self._process.stdout is not None
        self._born, self._pids = trio.open_memory_channel[int](1)
        buffer = b""
        async for data in self._process.stdout:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if "ready" in told:
                    task_status.started()
                elif "opened" in told:
                    continue
                elif "code" in told:
                    self._alive.pop(told["pid"]).has_ended(told["code"])
                else:
                    self._alive[told["pid"]] = OwlRunner(told["pid"], Path(os.devnull))
                    await self._born.send(told["pid"])


@contextlib.asynccontextmanager
async def open_forge() -> AsyncIterator[Forge]:
    """A forge; what it has started is killed at the end of the block."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.forge", "tests.lab.lab_jobs", "tests.lab.limited_jobs"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    forge = Forge(process)
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(forge.listen)
            yield forge
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()
