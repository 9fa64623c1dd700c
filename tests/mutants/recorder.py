"""What a process writes down while the map is recorded: which lines and which queries each test uses.

It is copied into the environment of a copy of the tree, where every Python process imports it at its start (see tree_copy.py);
in pytest it is a plugin, too. So it imports nothing that the process might not want. Each line is written at once: servers under
test are killed, and coverage.py would lose what it has not saved.

PYTEST_DONT_REWRITE: it is there before pytest is.
"""

import os
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

FOLDER = "OWLRUNNER_MUTANTS_RECORD"
ROOT = "OWLRUNNER_MUTANTS_ROOT"
CURRENT = "PYTEST_CURRENT_TEST"
_DONE: set[int] = set()
_QUERY_FUNCTIONS = {"owlrunner/storage/postgres.py", "plugins/owlrunner_maintenance/queries.py"}
"""Where a function ``query(name)`` gives the text of a query."""


class Recorder:
    """Writes what one process does into a file of its own."""

    def __init__(self, folder: str, root: str) -> None:
        self._folder = folder
        self._root = root.rstrip("/") + "/"
        self._left: dict[CodeType, set[int]] = {}
        self._queries: dict[CodeType, set[str]] = {}
        self._test = ""
        self._is_told = False
        """Whether pytest runs here and says which test begins; other processes have it from whoever started them."""
        self._reopen()
        os.register_at_fork(after_in_child=self._reopen)

    def start(self) -> None:
        """Watch this process from now on, in all its threads."""
        threading.settrace(self._called)
        sys.settrace(self._called)

    def begin(self, test: str) -> None:
        """From now on everything counts for this test."""
        self._test, self._is_told = test, True
        self._left.clear()
        self._queries.clear()
        self._write("test", test)
        # Hypothesis takes the place of whoever traces, and leaves it empty.
        self.start()

    def write(self, *words: str) -> None:
        """Add one line."""
        if not self._is_told:
            # It may be forked before it is told for which test.
            test = os.environ.get(CURRENT, "").rpartition(" ")[0]
            if test != self._test:
                self._test = test
                self._write("test", test)
        self._write(*words)

    def _write(self, *words: str) -> None:
        os.write(self._file, ("\t".join(words) + "\n").encode(errors="replace"))

    def _reopen(self) -> None:
        name = Path(self._folder) / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # What was noted before was noted for another test.
        self._left.clear()
        self._queries.clear()
        if self._test:
            self._write("test", self._test)

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        left = self._left.get(code)
        if left is None:
            left = self._left[code] = self._lines_of(code)
        if code in self._queries:
            self._note_query(code, str(frame.f_locals.get("name")))
        return self._line if left else None

    def _lines_of(self, code: CodeType) -> set[int]:
        path = self._path(code)
        if not path:
            return _DONE
        if code.co_name == "query" and path in _QUERY_FUNCTIONS:
            self._queries[code] = set()
        return {line for _, _, line in code.co_lines() if line is not None}

    def _path(self, code: CodeType) -> str:
        path = code.co_filename
        if not path.startswith(self._root):
            return ""
        path = path[len(self._root) :]
        return path if path.startswith(("owlrunner/", "plugins/")) else ""

    def _note_query(self, code: CodeType, name: str) -> None:
        if name not in self._queries[code]:
            self._queries[code].add(name)
            self.write("query", self._path(code), name)

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:
        left = self._left.get(frame.f_code)
        if event == "line" and left and frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.write("line", self._path(frame.f_code), str(frame.f_lineno))
        return self._line


_recorder: Recorder | None = None

if os.environ.get(FOLDER):
    _recorder = Recorder(os.environ[FOLDER], os.environ[ROOT])
    _recorder.start()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """A hook of pytest: tell what xdist adds to a test's name where it keeps tests together. Without xdist nobody knows it."""
    marks = [item.get_closest_marker("xdist_group") for item in items]
    for name in {mark.args[0] for mark in marks if mark is not None}:
        if _recorder is not None:
            _recorder.write("group", f"@{name}")


def pytest_runtest_logstart(nodeid: str) -> None:
    """A hook of pytest: a test begins."""
    if _recorder is not None:
        _recorder.begin(nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    """A hook of pytest: one of a test's three phases has ended."""
    if _recorder is not None:
        _recorder.write("report", report.nodeid, report.when, report.outcome, f"{report.duration:.3f}")
