"""Where mutants are played: copies of the tree, each with a PostgreSQL that goes on from one mutant to the next."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import uuid4

import attrs
import psutil
import psycopg
import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.tree_copy import HERE, TreeCopy, tree_copy
from tests.postgres import TEMPLATE, new_template, session_postgres

_MARK = "OWLRUNNER_MUTANTS_SLOT"
"""What every process of a slot has in its environment, whatever started it."""
_PARAMETER = re.compile(r"%\((\w+)\)s")
_GAP = re.compile(r"(?<!\{)\{\w+\}")
_FOLDER = re.compile(r"/\S*/owlrunner-test-[^/\s]+")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?|\S+)(?: - .*)?$", re.MULTILINE)
_NOT_FOUND = "ERROR: not found: "
_OPTIONS = ("-q", "-n", "0", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""That plugins were imported before pytest is on purpose."""


class Played(NamedTuple):
    """How tests ended."""

    holds: bool
    in_time: bool
    by: str
    """The first test that failed, or what pytest said last."""


@attrs.define
class Slot:
    """Room for one mutant at a time."""

    copy: TreeCopy
    database_url: str
    _scratch_url: str
    _warm: "subprocess.Popen[bytes]"
    _mark: str
    _number: int = 0

    def is_refused(self, mutant: Mutant) -> bool:
        """Whether PostgreSQL takes the statement as it is, but not this mutant. What has gaps it cannot be asked about."""
        return (
            mutant.file.endswith(".sql")
            and not self._takes(mutant.text)
            and self._takes((HERE / mutant.file).read_text("utf-8"))
        )

    def _takes(self, text: str) -> bool:
        if _GAP.search(text):
            return True
        names: dict[str, int] = {}
        numbered = _PARAMETER.sub(lambda match: f"${names.setdefault(match[1], len(names) + 1)}", text)
        with psycopg.connect(self._scratch_url) as connection:
            result = connection.pgconn.prepare(b"", numbered.replace("%%", "%").encode())
            return result.status == psycopg.pq.ExecStatus.COMMAND_OK

    def play(self, mutant: Mutant, tests: Sequence[str], limit: float) -> Played:
        """Run tests on a mutant until one fails."""
        self._number += 1
        with self.copy.with_text(mutant.file, mutant.text, self._number):
            return self.run(tests, limit, "-x")

    def run(self, tests: Sequence[str], limit: float, *options: str) -> Played:
        """Run tests on the copy as it is."""
        listed, output = self.copy.root.parent / "tests", self.copy.root.parent / "output"
        listed.write_text("\n".join(tests), "utf-8")
        arguments = [*_OPTIONS, *options, f"@{listed}"]
        request = {"arguments": arguments, "output": str(output), "database_url": self.database_url}
        code = self._answer(json.dumps(request), limit)
        self.end_what_is_left()
        if code is None:
            return Played(holds=False, in_time=False, by="")
        said = output.read_text("utf-8", errors="replace")
        if code == pytest.ExitCode.NO_TESTS_COLLECTED or _NOT_FOUND in said:
            # It would be taken for a failure.
            raise RuntimeError(f"the map names a test that is not there:\n{said}")
        failed = _FAILED.search(said)
        by = failed[1] if failed else (said.strip().splitlines() or [""])[-1]
        return Played(holds=code == 0, in_time=True, by="" if code == 0 else by)

    def _answer(self, request: str, limit: float) -> int | None:
        """Have pytest run; returns its exit code, or None if it takes longer than the limit and was killed."""
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(request.encode() + b"\n")
        pid = int(self._warm.stdout.readline())
        in_time, _, _ = select.select([self._warm.stdout], [], [], limit)
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        code = int(self._warm.stdout.readline())
        return code if in_time else None

    def end_what_is_left(self) -> None:
        """Kill every process of this slot, with the folders and databases that only they needed."""
        left = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != self._warm.pid and process.environ().get(_MARK) == self._mark:
                    left.append((process, _FOLDER.search(" ".join(process.cmdline()))))
        for process, _ in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs([process for process, _ in left], timeout=10)
        for folder in {found.group() for _, found in left if found}:
            shutil.rmtree(folder, ignore_errors=True)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            names = connection.execute("select datname from pg_database where datname like 'test\\_%'").fetchall()
            for (name,) in names:
                connection.execute(f'drop database if exists "{name}" with (force)')


@contextlib.contextmanager
def open_slot() -> Iterator[Slot]:
    """Make a copy and start its PostgreSQL."""
    with tree_copy() as copy, session_postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            # A recursion that a mutant makes endless must not fill the memory that the database is in.
            connection.execute("alter system set temp_file_limit = '512MB'")
            connection.execute("select pg_reload_conf()")
        scratch_url, mark = new_template(url, "owlrunner_mutants", TEMPLATE), uuid4().hex
        command = [str(copy.python), "-m", "tests.mutants.warm"]
        environ = {**os.environ, _MARK: mark}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=copy.root, env=environ, stdin=pipe, stdout=pipe, bufsize=0) as warm:
            try:
                yield Slot(copy, url, scratch_url, warm, mark)
            finally:
                warm.kill()
