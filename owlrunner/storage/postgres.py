"""Pool connections, run named queries, and retry what is safe to retry.

A statement ends in one of three ways: it was answered; it was refused, and nothing took effect (StatementFailed); or nobody
knows (DatabaseUnavailable with ``unknown``). A pooled connection serves the next task only when the session is known to be well.
When one connection falls silent the idle ones are closed too: what swallowed its packets may swallow theirs.
"""

import math
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
import trio

from owlrunner.errors import DatabaseTrouble, DatabaseUnavailable, StatementFailed
from owlrunner.storage.connection import TrioConnection, has_hung_up, is_clean
from owlrunner.storage.queries import READ_ONLY, query
from owlrunner.storage.session_settings import SessionSettings, settle_behind_pooler
from owlrunner.storage.sqlstate import spoils, trouble_of

Params = Mapping[str, Any]

ANSWER_TIMEOUT = 10.0
"""Seconds for each exchange with PostgreSQL, unless a pool says otherwise."""
SERVER_SHARE = 0.8
"""Of that, how much the server takes before it ends a statement itself: an answer that says "undone" is better than none."""
ROWS_AT_ONCE = 50
"""Rows that are read without a turn for other tasks: two hundred runs take milliseconds."""
RETRY_DELAYS = (0.01, 0.1)
"""Seconds before a statement that was undone, or that only reads, is tried again."""
_UNSENDABLE = (UnicodeError, OverflowError, RecursionError, TypeError, ValueError)
"""What psycopg lets through when a parameter cannot be turned into what is sent."""


@contextmanager
def mapped_errors(connection: TrioConnection | None = None) -> Generator[None, None, None]:
    """Turn what goes wrong into DatabaseUnavailable or StatementFailed, and close a connection that it has spoilt.

    That includes a process that has no file descriptor or no memory left: its loops wait and try again.
    """
    try:
        yield
    except (psycopg.Error, OSError, MemoryError) as error:
        if connection is not None and spoils(error):
            connection.hang_up()
        raise trouble_of(error, sent=connection is not None) from error


async def _in_slices(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Read many rows with turns for other tasks in between. Whatever the statement has done is done: nothing is cancelled here."""
    rows: list[tuple[Any, ...]] = []
    while part := await cursor.fetchmany(ROWS_AT_ONCE):
        rows += part
        await trio.lowlevel.cancel_shielded_checkpoint()
    return rows


class Session:
    """One connection, held by one task, that runs named queries."""

    def __init__(self, connection: TrioConnection, in_transaction: bytes | None = None) -> None:
        self.connection = connection
        self._in_transaction = in_transaction

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """Run the query ``sql/<name>.sql`` and return its rows.

        ``plan_anew`` is for a query whose best plan depends on what it is asked for: its plan knows the parameters.

        Raises DatabaseUnavailable and StatementFailed.
        """
        if self._in_transaction is not None and self._is_idle:
            async with self.transaction():
                return await self._rows(name, params, plan_anew=plan_anew)
        return await self._rows(name, params, plan_anew=plan_anew)

    async def _rows(self, name: str, params: Params | None, *, plan_anew: bool) -> list[tuple[Any, ...]]:
        with mapped_errors(self.connection):
            try:
                cursor = await self.connection.execute(query(name), params, prepare=False if plan_anew else None)
                # Not ``description``: to make it takes longer than to read a short answer.
                answer = cursor.pgresult
                if answer is None or not answer.nfields:
                    return []
                if answer.ntuples <= ROWS_AT_ONCE:
                    return await cursor.fetchall()
                return await _in_slices(cursor)
            except _UNSENDABLE as error:
                raise StatementFailed(f"{name}: a value cannot be sent to PostgreSQL: {error}") from error

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        rows = await self.rows(name, params)
        return rows[0] if rows else None

    @property
    def _is_idle(self) -> bool:
        return self.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit what happens inside together, or not at all."""
        settings = self._in_transaction if self._is_idle else None
        with mapped_errors(self.connection):
            async with self.connection.transaction():
                if settings is not None:
                    await self.connection.execute(settings)
                yield
            if self.connection.closed:
                # psycopg leaves the block without a word when the connection was closed inside.
                raise DatabaseUnavailable("PostgreSQL cannot be reached: the transaction's connection was closed")


class Database:
    """A pool of connections to one PostgreSQL.

    ``name`` is what pg_stat_activity shows behind ``owlrunner``. ``answer_within`` is the limit in seconds for each
    exchange with the server and for waiting for a free connection; None for no limit. Without ``prepare`` it works
    behind a pooler in transaction mode: no prepared statements, and each transaction is given its settings anew.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        size: int = 10,
        name: str = "",
        connect_timeout: float = 10.0,
        answer_within: float | None = ANSWER_TIMEOUT,
        lock_timeout: float | None = None,
        prepare: bool = True,
        plan_once: bool = False,
    ) -> None:
        self.conninfo = conninfo
        self.answer_within = answer_within
        self._application = f"owlrunner {name}".strip()
        self._connect_timeout = connect_timeout
        self._pooled = not prepare
        # None switches prepared statements off, which poolers in transaction mode need.
        self._prepare_threshold: Literal[2] | None = 2 if prepare else None
        self._settings = SessionSettings(
            statement_timeout=(answer_within or 0.0) * SERVER_SHARE,
            lock_timeout=lock_timeout,
            plan_once=plan_once and prepare,
        )
        self._free = trio.Semaphore(size)
        self._idle: list[TrioConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_idle()

    async def connect(self, settings: SessionSettings | None = None, name: str | None = None) -> TrioConnection:
        """Open one more connection, outside of the pool; where nothing is said, a statement may take any time.

        Raises DatabaseUnavailable.
        """
        settings = settings or SessionSettings(by_index=False)
        with mapped_errors():
            connection = await TrioConnection.connect(
                self.conninfo,
                autocommit=True,
                prepare_threshold=self._prepare_threshold,
                connect_timeout=str(self._connect_timeout),
                application_name=f"owlrunner {name}" if name else self._application,
                # Over what the environment says (PGCLIENTENCODING), which would decide how the log-in is read.
                client_encoding="UTF8",
            )
        with ExitStack() as undo:
            # Nobody owns it yet.
            undo.callback(connection.hang_up)
            connection.answer_within = self._connect_timeout
            with mapped_errors():
                if self._pooled:
                    await settle_behind_pooler(connection)
                else:
                    await connection.execute(settings.statement())
            connection.answer_within = None
            undo.pop_all()
        return connection

    async def _connect_for_pool(self) -> TrioConnection:
        """Open a connection for our own queries."""
        connection = await self.connect(self._settings)
        connection.answer_within = self.answer_within
        return connection

    @asynccontextmanager
    async def dedicated(
        self, name: str | None = None, settings: SessionSettings | None = None
    ) -> AsyncIterator[TrioConnection]:
        """Open a connection of the caller's own, closed at the end: for a loop, or for a handler."""
        connection = await self.connect(settings, name)
        try:
            yield connection
        finally:
            connection.hang_up()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Borrow a connection from the pool. A broken one is replaced here, a dirty one is not given back."""
        await self._acquire()
        try:
            connection = self._take_idle() or await self._connect_for_pool()
            try:
                yield Session(connection, self._for_transaction)
            finally:
                if connection.gave_up_waiting:
                    self._close_idle()
                if is_clean(connection):
                    self._idle.append(connection)
                else:
                    connection.hang_up()
        finally:
            self._free.release()

    async def _acquire(self) -> None:
        """Wait until a connection is free, or for as long as a statement may take."""
        try:
            # Where one is free nobody has to wait, not even for a turn of the event loop: the statement that follows will.
            self._free.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_after(math.inf if self.answer_within is None else self.answer_within):
                await self._free.acquire()
                return
            raise DatabaseUnavailable(
                f"no connection to PostgreSQL was free within {self.answer_within:g} seconds"
            ) from None

    @property
    def _for_transaction(self) -> bytes | None:
        """What each transaction begins with; None where the session keeps its settings."""
        return self._settings.statement(for_transaction=True) if self._pooled else None

    async def rows(self, name: str, params: Params | None = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
        """Run one query on a borrowed connection, again where that is safe.

        A statement that was undone for no fault of its data is tried again. One whose effect is not known is tried
        again when it only reads.
        """
        for delay in RETRY_DELAYS:
            try:
                async with self.session() as session:
                    return await session.rows(name, params, plan_anew=plan_anew)
            except DatabaseTrouble as trouble:
                if not _may_be_repeated(trouble, only_reads=name in READ_ONLY):
                    raise
            await trio.sleep(delay)
        async with self.session() as session:
            return await session.rows(name, params, plan_anew=plan_anew)

    async def row(self, name: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """Run one query as ``rows`` does and return its first row, or None."""
        rows = await self.rows(name, params)
        return rows[0] if rows else None

    def _take_idle(self) -> TrioConnection | None:
        """Return the connection used last that is still alive, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not has_hung_up(connection):
                return connection
            connection.hang_up()
        return None

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().hang_up()


def _may_be_repeated(trouble: DatabaseTrouble, *, only_reads: bool) -> bool:
    """Return whether to try a statement again at once. An outage is waited for by the caller, not here."""
    if isinstance(trouble, DatabaseUnavailable):
        return trouble.unknown and only_reads
    return isinstance(trouble, StatementFailed) and trouble.transient
