"""This is the room for draining: so many jobs wait, workers are started, and the time is taken until nothing is left."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import attrs
import psutil

from tests.benchmarks import tally
from tests.benchmarks.contestants import ROOT, Contestant
from tests.benchmarks.house import House, Sql
from tests.benchmarks.waiting import PATIENCE

_INTERVAL = 0.005


@attrs.frozen
class Drained:
    """What a drain took."""

    jobs: int
    seconds: float
    """From the first handler's start until the database has no unfinished job."""
    wal_bytes: int
    rss: int
    """The most memory that a worker had, in bytes."""
    worker_cpu: float
    """Seconds of CPU of the workers, start included."""
    polls: int
    """How many statements the driver itself has sent meanwhile."""

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


Beside: TypeAlias = Callable[[Sql], AbstractContextManager[None]]


def drain(
    house: House,
    contestant: Contestant,
    jobs: int,
    *,
    workers: int = 1,
    cut_after: float = PATIENCE,
    template: str = "",
    beside: Beside | None = None,
) -> Drained:
    """Drain once, in a fresh database, while ``beside`` goes on there.

    A slow one is stopped after ``cut_after`` seconds and judged by what it has done.
    """
    with house.database(template or contestant.template) as sql, tempfile.TemporaryDirectory() as folder:
        contestant.fill(sql, jobs)
        sql.settle()
        shared = Path(folder) / "tally"
        with beside(sql) if beside is not None else contextlib.nullcontext():
            wal = sql.wal_bytes()
            with working(contestant, sql, workers, shared) as processes:
                return _watch(sql, contestant, jobs, shared, processes, wal, cut_after)


@contextlib.contextmanager
def working(
    contestant: Contestant, sql: Sql, workers: int, shared: Path, more: dict[str, str] | None = None
) -> Iterator[list[psutil.Popen]]:
    """Workers of a contestant, killed at the end: nothing of their shutdown is measured."""
    command, environment = contestant.command(sql)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), tally.VARIABLE: str(shared)} | environment | (more or {})
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        processes = []
        for _ in range(workers):
            process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log)
            stack.callback(_end, process)
            processes.append(process)
        try:
            yield processes
        except Exception as error:
            log.seek(0)
            error.add_note(f"what {contestant.name} logged: {log.read()[-2000:]}")
            raise


def _end(process: psutil.Popen) -> None:
    # One that was told to stop may be gone, and waited for.
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    process.wait()


def _watch(
    sql: Sql,
    contestant: Contestant,
    jobs: int,
    shared: Path,
    processes: list[psutil.Popen],
    wal: int,
    cut_after: float,
) -> Drained:
    rss, polls, begun = 0, 1, time.monotonic()
    end = begun
    # Or the driver would read a million ended runs to find that nothing is left.
    sql.run("set enable_seqscan = off")
    while True:
        now = time.monotonic()
        count, first = tally.read(shared)
        if count >= jobs:
            polls += 1
            if not sql.one(contestant.unfinished):
                end = time.monotonic()
                break
        if first and now - first > cut_after:
            jobs, end = count, now
            break
        if not first and now - begun > PATIENCE:
            raise RuntimeError(f"{contestant.name} did not begin within {PATIENCE:g} seconds")
        rss = max(rss, *(process.memory_info().rss for process in processes))
        time.sleep(_INTERVAL)
    cpu = sum(sum(process.cpu_times()[:2]) for process in processes)
    return Drained(jobs, end - first, sql.wal_bytes() - wal, rss, cpu, polls)
