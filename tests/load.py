"""The load of the benchmarks beside the tests: a server that drains for all it is worth, in a database of its own."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.benchmarks.contestants import OwlRunner
from tests.benchmarks.house import Sql

LOADED = bool(os.environ.get("OWLRUNNER_TEST_LOAD"))
"""Whether the promises are to be kept beside it."""
_BATCH = 5_000
_NAP = 0.1


@contextlib.contextmanager
def loaded(url: str) -> Iterator[None]:
    """Keep a server busy on the database of this connection string, which has the schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        sql = Sql(url, connection)
        command, environment = OwlRunner("load").command(sql)
        server = subprocess.Popen(command, cwd=Path(__file__).parents[1], env={**os.environ, **environment})
        done, stop = [0], threading.Event()
        feeder = threading.Thread(target=_feed, args=(sql, done, stop))
        feeder.start()
        try:
            yield
        finally:
            stop.set()
            feeder.join()
            server.terminate()
            assert server.wait(30) == 0
        assert done[0] > 10 * _BATCH, f"that was no load: {done[0]} runs"


def _feed(sql: Sql, done: list[int], stop: threading.Event) -> None:
    """There is always something to do, and what is done goes, or a long session would fill the disk."""
    contestant = OwlRunner("load")
    while not stop.wait(_NAP):
        if sql.one("select count(*) from job_runs where status = 'pending'") < _BATCH:
            contestant.fill(sql, _BATCH)
            done[0] += sql.connection.execute("delete from job_runs where completed_at is not null").rowcount
