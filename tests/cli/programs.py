"""What the command line's tests hold in their hands: real processes, and what they print."""

import contextlib
import json
import os
import pty
import queue
import select
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.forked_process import ForkedProcess

HERE = Path(__file__).parent
PATIENCE = 120.0
"""Seconds after which something that should have happened counts as not happening."""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would configure OwlRunner."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OWLRUNNER_", "DATABASE_URL", "PG"))}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default"} | variables


class Program:
    """``owlrunner`` as a process of its own, whose lines can be waited for."""

    def __init__(self, *arguments: object, env: Mapping[str, str] | None = None, cwd: Path = HERE) -> None:
        self._process = ForkedProcess([*map(str, arguments)], environment(**(env or {})), cwd)
        self._lines: queue.Queue[tuple[str, str | None]] = queue.Queue()
        self._seen: dict[str, list[str]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._read, args=("out", self._process.stdout)),
            threading.Thread(target=self._read, args=("err", self._process.stderr)),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def out(self) -> str:
        """What came on standard output so far, as far as it has been waited for."""
        return "".join(self._seen["out"])

    @property
    def err(self) -> str:
        """What came on standard error."""
        return "".join(self._seen["err"])

    def line(self, stream: str, wanted: Callable[[str], bool]) -> str:
        """Wait for a line that is as wanted; one that came already counts."""
        for seen in self._seen[stream]:
            if wanted(seen):
                return seen
        open_streams = 2
        while True:
            came_from, text = self._lines.get(timeout=PATIENCE)
            if text is None:
                open_streams -= 1
                assert open_streams, f"it ended without the line that was waited for:\n{self.out}\n{self.err}"
                continue
            self._seen[came_from].append(text)
            if came_from == stream and wanted(text):
                return text

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def end(self) -> int:
        """Wait until it has ended, and return its exit status."""
        status = self._process.wait(PATIENCE)
        self._close()
        while not self._lines.empty():
            came_from, text = self._lines.get()
            if text is not None:
                self._seen[came_from].append(text)
        return status

    def kill(self) -> None:
        """End it without a warning."""
        self._process.kill()
        self._process.wait(PATIENCE)
        self._close()

    def _close(self) -> None:
        for reader in self._readers:
            reader.join()
        self._process.close()

    def _read(self, name: str, stream: Any) -> None:
        for line in stream:
            self._lines.put((name, line))
        self._lines.put((name, None))


class Demo(Program):
    """``owlrunner demo``, ready."""

    def __init__(self, data_dir: Path, *arguments: object) -> None:
        super().__init__("demo", "--json", "--port", 0, "--data-dir", data_dir, "--plugin", "cli_jobs", *arguments)
        self.ready: dict[str, str] = json.loads(self.line("out", lambda _: True))

    @property
    def env(self) -> dict[str, str]:
        """What one exports to use it."""
        return {
            "OWLRUNNER_ENDPOINT": self.ready["url"],
            "OWLRUNNER_API_KEY": self.ready["api_key"],
            "OWLRUNNER_PROJECT_ID": self.ready["project_id"],
        }

    def program(self, *arguments: object, **env: str) -> Program:
        """Start another ``owlrunner`` that uses this demo."""
        return Program(*arguments, env=self.env | env)

    def run(self, *arguments: object, **env: str) -> tuple[int, str, str]:
        """Run another ``owlrunner`` to its end: exit status, standard output, standard error."""
        program = self.program(*arguments, **env)
        status = program.end()
        return status, program.out, program.err

    def json(self, *arguments: object, **env: str) -> Any:
        """Run another ``owlrunner`` that prints JSON, and succeeds."""
        status, out, err = self.run(*arguments, "--format", "json", **env)
        assert (status, err) == (0, "")
        return json.loads(out)


def sentence(text: str) -> str:
    """What an error is made of: one line, and no traceback."""
    assert text.startswith("Error: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text.removeprefix("Error: ").rstrip("\n")


class Screen:
    """A terminal with a program on it."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = ForkedProcess(
            arguments,
            environment(TERM="xterm", COLUMNS="250", LINES="40", PYTHONPATH=str(HERE.parents[1]), **env),
            HERE,
            out=os.ttyname(theirs),
        )
        os.close(theirs)
        self._seen = b""

    def shows(self, text: str) -> None:
        """Wait until it has shown a text."""
        while text.encode() not in self._seen:
            assert select.select([self._ours], [], [], PATIENCE)[0], self._seen
            self._seen += os.read(self._ours, 65_536)

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C, and return exit status and standard error."""
        self.process.send_signal(signal.SIGINT)
        # Who draws on a full terminal waits until somebody has read it, also for its own end.
        with contextlib.suppress(OSError):  # which is how this side of a terminal says that the other is closed
            while select.select([self._ours], [], [], PATIENCE)[0]:
                os.read(self._ours, 65_536)
        status, err = self.process.wait(PATIENCE), self.process.stderr.read()
        self.process.close()
        os.close(self._ours)
        return status, err
