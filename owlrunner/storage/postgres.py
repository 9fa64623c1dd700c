"""This is the room for the pool of connections and the named queries, and for telling an outage from a mistake."""

from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
import trio

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.storage.connection import TrioConnection, has_hung_up, is_clean

Params = Mapping[str, Any]

_STATEMENT_ONLY = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
"""OperationalErrors that are about one statement: the connection is well."""


@contextmanager
def mapped_errors() -> Generator[None, None, None]:
    """Turn what psycopg raises into DatabaseUnavailable (the server or the connection is the trouble) or StatementFailed."""
    try:
        yield
    except psycopg.Error as error:
        lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
            error, _STATEMENT_ONLY
        )
        if lost:
            raise DatabaseUnavailable(f"PostgreSQL cannot be reached: {str(error).strip()}") from error
        transient = isinstance(error, _STATEMENT_ONLY)
        raise StatementFailed(f"PostgreSQL refused a statement: {str(error).strip()}", transient=transient) from error


@cache
def query(name: str) -> bytes:
    """The text of ``sql/<name>.sql``."""
    return files("owlrunner.storage").joinpath("sql", *f"{name}.sql".split("/")).read_bytes()


async def _set_up(connection: TrioConnection, statement: bytes) -> None:
    """Run the first statement of a connection that nobody owns yet, or close it."""
    with ExitStack() as undo, mapped_errors():
        undo.callback(connection.hang_up)
        await connection.execute(statement)
        undo.pop_all()


class Session:
    """One connection, held by one task, that speaks named queries."""

    def __init__(self, connection: TrioConnection) -> None:
        self.connection = connection

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """Run the query ``sql/<name>.sql`` and return its rows.

        ``plan_anew`` is for a query whose best way depends on what it is asked for: its plan knows the parameters.

        Raises DatabaseUnavailable and StatementFailed.
        """
        with mapped_errors():
            cursor = await self.connection.execute(query(name), params, prepare=False if plan_anew else None)
            # Not ``description``: to make it takes longer than to read a short answer.
            answer = cursor.pgresult
            return await cursor.fetchall() if answer is not None and answer.nfields else []

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """The first row, or None."""
        rows = await self.rows(name, params)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What happens inside is committed together, or not at all."""
        with mapped_errors():
            async with self.connection.transaction():
                yield


class Database:
    """A pool of connections to one PostgreSQL.

    ``plan_once`` is for statements of which each has just one way, whatever its parameters: planning a claim takes as long as
    the claim.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        size: int = 10,
        connect_timeout: float = 10.0,
        prepare: bool = True,
        plan_once: bool = False,
    ) -> None:
        self.conninfo = conninfo
        self._plan_once = plan_once
        self._connect_timeout = connect_timeout
        # None switches prepared statements off, which poolers in transaction mode need.
        self._prepare_threshold: Literal[2] | None = 2 if prepare else None
        self._room = trio.Semaphore(size)
        self._idle: list[TrioConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().hang_up()

    async def connect(self) -> TrioConnection:
        """Open one more connection, outside of the pool. Raises DatabaseUnavailable."""
        with mapped_errors():
            connection = await TrioConnection.connect(
                self.conninfo,
                autocommit=True,
                prepare_threshold=self._prepare_threshold,
                connect_timeout=str(self._connect_timeout),
                application_name="owlrunner",
            )
        # Times come back in the session's zone, and Python's calendar ends earlier than PostgreSQL's: a time that was
        # stored from one zone could be unreadable from another.
        if connection.pgconn.parameter_status(b"TimeZone") not in (b"UTC", b"Etc/UTC"):
            await _set_up(connection, b"set timezone = 'UTC'")
        return connection

    async def _connect_for_pool(self) -> TrioConnection:
        """Open a connection for our own queries."""
        connection = await self.connect()
        if self._prepare_threshold is not None:
            # A prepared plan lives as long as its connection. One that was made while a table was small reads all of it, also when
            # there are a million rows, until somebody analyzes it. Each of our queries finds its rows one by one, by an index.
            # Before version 18 a plan without a choice counts as dear enough to be compiled, hence the last.
            await _set_up(
                connection,
                b"set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off"
                + (b"; set plan_cache_mode = force_generic_plan" if self._plan_once else b""),
            )
        return connection

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[TrioConnection]:
        """A connection of the caller's own, closed at the end: for a loop, or for a handler."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            connection.hang_up()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Borrow a connection from the pool. A broken one is replaced here, a dirty one is not given back."""
        try:
            # Where there is room nobody has to wait, not even for a turn of the event loop: the statement that follows will.
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        try:
            connection = self._take_idle() or await self._connect_for_pool()
            try:
                yield Session(connection)
            finally:
                if is_clean(connection):
                    self._idle.append(connection)
                else:
                    connection.hang_up()
        finally:
            self._room.release()

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """Run one query on a borrowed connection."""
        async with self.session() as session:
            return await session.rows(name, params, plan_anew=plan_anew)

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """Run one query on a borrowed connection and return its first row, or None."""
        async with self.session() as session:
            return await session.row(name, params)

    def _take_idle(self) -> TrioConnection | None:
        """The connection used last that is still alive, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not has_hung_up(connection):
                return connection
            connection.hang_up()
        return None
