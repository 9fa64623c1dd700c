"""What promise tests hold in their hands: the owner's door with waiting, servers, and an ear on the log."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import attrs
import trio

from owlrunner.actor import OperatorActor
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.jobs import Jobs
from owlrunner.server import Started
from owlrunner.storage.postgres import Database
from owlrunner.trigger_request import TriggerRequest
from tests.forked_process import ForkedProcess

OPERATOR = OperatorActor()
PATIENCE = 60.0
"""Seconds after which something that should have happened counts as not happening, on however busy a machine."""


@attrs.frozen
class Door:
    """The owner's view of the runs, with waiting."""

    jobs: Jobs
    db: Database

    async def trigger(self, job_type: str, **fields: Any) -> UUID:
        """Trigger a system job and return its id."""
        return (await self.jobs.trigger(OPERATOR, None, TriggerRequest(job_type, **fields))).id

    async def cancel(self, run_id: UUID) -> RunStatus:
        """Ask for a cancel."""
        return await self.jobs.cancel(OPERATOR, run_id)

    async def view(self, run_id: UUID) -> JobRun:
        """The run as it is stored now."""
        return await self.jobs.view(OPERATOR, run_id)

    async def until(self, run_id: UUID, wanted: RunStatus | Callable[[JobRun], bool]) -> JobRun:
        """Wait, by the table's own announcements, until the run is as wanted."""
        fits = (lambda run: run.status is wanted) if isinstance(wanted, RunStatus) else wanted
        with trio.fail_after(PATIENCE):
            async with self.changes() as changes:
                while not fits(run := await self.view(run_id)):
                    assert run.completed_at is None, f"it ended otherwise: {run}"
                    await anext(changes)
        return run

    async def until_told(self, run_id: UUID, message: str) -> JobRun:
        """Wait until the run's stored progress has this message."""
        return await self.until(run_id, lambda run: run.progress is not None and run.progress.get("message") == message)

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[object]]:
        """One announcement for each transaction that changes runs or notifications."""
        async with self.db.dedicated() as ear:
            await ear.execute("listen changed")
            async with contextlib.aclosing(ear.notifies()) as changes:
                yield changes

    async def sql(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """Speak SQL, as only tests may."""
        async with self.db.session() as session:
            cursor = await session.connection.execute(statement.encode(), params)
            return await cursor.fetchall() if cursor.description else []


@attrs.define
class InProcess:
    """A server in this process; ``stop`` shuts it down in an orderly way and waits until it has."""

    started: Started
    _stop: trio.Event
    _stopped: trio.Event

    def request_stop(self) -> None:
        """As SIGTERM would."""
        self._stop.set()

    async def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stop.set()
        with trio.fail_after(PATIENCE):
            await self._stopped.wait()


Serve: TypeAlias = Callable[..., Awaitable[InProcess]]


class LogEar(logging.Handler):
    """Hears what this process logs; ``await ear.heard("text")`` waits for a line with that text."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._more = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def emit(self, record: logging.LogRecord) -> None:
        """Called in whichever thread logs."""
        self._lines.append(record.getMessage())
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ring)

    def _ring(self) -> None:
        self._more.set()
        self._more = trio.Event()

    def has_heard(self, text: str) -> bool:
        """Whether it has been logged."""
        return any(text in line for line in self._lines)

    async def heard(self, text: str) -> None:
        """Wait until it has been logged."""
        with trio.fail_after(PATIENCE):
            while not any(text in line for line in self._lines):
                await self._more.wait()


class ServerProcess:
    """A real server process. What it logs is read by a thread, line by line."""

    def __init__(
        self, database_url: str, name: str, environ: Mapping[str, str] | None = None, **server: object
    ) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OWLRUNNER_SERVER__NAME": name,
            "OWLRUNNER_SERVER__PLUGINS": '["tests.promises.promise_jobs"]',
            "OWLRUNNER_WEB__PORT": "0",
            **{f"OWLRUNNER_SERVER__{key.upper()}": str(value) for key, value in server.items()},
            **(environ or {}),
        }
        self._process = ForkedProcess(["serve"], environment)
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _read(self) -> None:
        for line in self._process.stderr:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.lines.append("(end of log)")
            self._more.notify_all()

    async def logged(self, text: str) -> str:
        """Wait until a line with this text has been logged, and return it."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        def wait() -> str:
            with self._more:
                self._more.wait_for(lambda: found() or self.lines[-1:] == ["(end of log)"], timeout=PATIENCE * 2)
            line = found()
            assert line is not None, f"never logged {text!r}:\n" + "\n".join(self.lines)
            return line

        return await trio.to_thread.run_sync(wait)

    async def ready(self) -> str:
        """Wait until it serves, and return its URL."""
        return (await self.logged("is ready at")).split("is ready at ")[1].strip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its exit code."""
        return await trio.to_thread.run_sync(lambda: self._process.wait(PATIENCE * 2))

    def kill(self) -> None:
        """As the out-of-memory killer would; safe to call twice."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.close()


StartProcess: TypeAlias = Callable[..., ServerProcess]
