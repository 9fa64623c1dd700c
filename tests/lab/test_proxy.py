"""The proxy does to a statement what the kind of a fault says, and to nothing else."""

import functools
from collections.abc import AsyncIterator
from typing import TypeAlias

import psycopg
import pytest
import trio
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.storage.queries import query
from tests.lab.faults import ANY, Case, Fault, Kind, Target
from tests.lab.proxy import Proxy, opener_of

HOLD = 0.3
PATIENCE = 1.0
"""Seconds that the client waits for an answer; longer than anything is held back."""
Client: TypeAlias = psycopg.Connection[tuple[object, ...]]
INSERT = "insert into struck values (1)"
NAME = "insert-into-struck-values-1"


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A proxy on a database with an empty table."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table struck (number integer)")
    proxy = Proxy(opener_of(database_url), HOLD)
    async with proxy.serving():
        yield proxy


async def connected(proxy: Proxy, database_url: str) -> Client:
    """A connection through the proxy."""
    url = make_conninfo("", **conninfo_to_dict(database_url) | {"host": "127.0.0.1", "port": proxy.port})
    connect = functools.partial(psycopg.connect, url, application_name="owlrunner api", autocommit=True)
    return await trio.to_thread.run_sync(connect)


async def ending(connection: Client, statement: str = INSERT) -> str:
    """How a statement ends for a client that does not wait for ever."""
    libpq = connection.pgconn
    libpq.send_query(statement.encode())
    with trio.move_on_after(PATIENCE):
        while libpq.is_busy():
            await trio.lowlevel.wait_readable(libpq.socket)
            try:
                libpq.consume_input()
            except psycopg.OperationalError:
                return "cut"
        statuses = [result.status for result in iter(libpq.get_result, None)]
        return "answer" if pq.ExecStatus.FATAL_ERROR not in statuses else "cut"
    return "no answer"


def rows(database_url: str) -> int:
    """How often the server has executed the statement."""
    with psycopg.connect(database_url) as connection:
        ((count,),) = connection.execute("select count(*) from struck").fetchall()
    return int(count)


@pytest.mark.parametrize(
    ("kind", "ends", "executed"),
    [
        (Kind.CUT_BEFORE, "cut", 0),
        (Kind.CUT_AFTER, "cut", 1),
        (Kind.DELAY, "answer", 1),
        (Kind.LATE, "answer", 1),
        (Kind.LATE_CUT, "cut", 1),
        (Kind.SWALLOW, "no answer", 1),
        (Kind.SILENCE, "no answer", 0),
        (Kind.HALF_OPEN, "no answer", 0),
    ],
)
async def test_each_kind_of_fault(proxy: Proxy, database_url: str, kind: Kind, ends: str, executed: int) -> None:
    """The client gets an answer, the end of its connection or nothing, and the server executes the statement or does not."""
    connection = await connected(proxy, database_url)
    assert await ending(connection) == "answer"
    proxy.arm(Fault(Target("api", NAME, 2), kind))
    assert await ending(connection) == "answer"
    assert await ending(connection) == ends
    assert rows(database_url) == 2 + executed
    other = await connected(proxy, database_url)
    assert await ending(other) == "answer", "new connections work"
    connection.close()
    other.close()


async def test_half_open_silences_whoever_is_there(proxy: Proxy, database_url: str) -> None:
    """Of two connections one is struck, and neither hears anything any more, nor does the server of their end."""
    struck, other = await connected(proxy, database_url), await connected(proxy, database_url)
    proxy.arm(Fault(Target(ANY, NAME, 1), Kind.HALF_OPEN))
    assert await ending(struck) == "no answer"
    assert await ending(other, "select 1") == "no answer"
    struck.close()
    other.close()
    await trio.testing.wait_all_tasks_blocked(0.05)
    with psycopg.connect(database_url) as connection:
        alive = connection.execute("select pid from pg_stat_activity where pid = any(%s)", [proxy.stranded]).fetchall()
    assert len(alive) == 2


async def test_statements_are_called_by_their_files(proxy: Proxy, database_url: str) -> None:
    """A query of ours is named after its file, the end of a transaction after what was done last in it."""
    connection = await connected(proxy, database_url)
    proxy.arm(None)
    for statement in ("begin", query("migrations/applied").decode(), "select 1", "commit"):
        assert await ending(connection, statement) == "answer"
    connection.close()
    assert [str(target) for target in proxy.seen] == [
        "api/begin:1",
        "api/migrations.applied:1",
        "api/select-1:1",
        "api/commit-after-select-1:1",
    ]


def test_a_case_is_read_as_it_is_written() -> None:
    """A name from a report leads back to its case."""
    case = Case("finish", Fault(Target("runtime", "job_runs.finish", 3), Kind.LATE_CUT))
    assert Case.parse(str(case)) == case
    with pytest.raises(ValueError, match="scenario/connection/statement:number/fault"):
        Case.parse("finish/runtime/7/swallow")
