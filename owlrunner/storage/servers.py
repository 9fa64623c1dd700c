"""This is the room for the table ``servers``: who is alive, by leases on the database's clock."""

from collections.abc import Generator
from typing import Any, TypeVar
from uuid import UUID

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.errors import DatabaseTrouble
from owlrunner.storage.addresses import attempts_for_blocking
from owlrunner.storage.connection import VANISHED_PEER
from owlrunner.storage.postgres import SERVER_SHARE, Session, mapped_errors
from owlrunner.storage.queries import query
from owlrunner.storage.session_settings import SessionSettings

RV = TypeVar("RV")


@attrs.frozen
class Registration:
    """What a server tells the others about itself. ``lease`` is in seconds."""

    id: UUID
    name: str
    version: str
    job_types: list[str]
    capacity: int
    lease: float
    fingerprints: list[str] = attrs.Factory(list)
    """What it can read of the params of each of its job types, in their order."""


async def register(session: Session, server: Registration) -> None:
    """Enter the server among the living, in the place of any former one of its name."""
    async with session.transaction():
        await session.rows("servers/supersede", {"name": server.name})
        await session.rows("servers/register", attrs.asdict(server))


async def is_superseded(session: Session, server: Registration) -> bool:
    """Return whether another living server has this one's name."""
    return await session.row("servers/successor", {"id": server.id, "name": server.name}) is not None


async def bury_expired(session: Session) -> list[str]:
    """Bury the servers whose lease has run out, and return their names."""
    return [name for _, name in await session.rows("servers/bury_expired")]


async def leave(session: Session, server_id: UUID) -> None:
    """The server has ended its work."""
    await session.rows("servers/leave", {"id": server_id})


async def forget_old(session: Session) -> None:
    """Drop what was buried long ago."""
    await session.rows("servers/forget_old")


async def anything_stale(session: Session) -> bool:
    """Whether a lease has run out, or a running run has no living server."""
    row = await session.row("servers/anything_stale")
    return bool(row and row[0])


class _BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A blocking connection each of whose exchanges with the server has a limit, also where the peer is silent but not gone."""

    answer_within = 10.0

    def wait(self, gen: Generator[Any, Any, RV], interval: float = 0.1, timeout: float | None = None) -> RV:  # noqa: ARG002
        """Drive one of psycopg's protocol generators, as its own ``wait`` does, for ``answer_within`` seconds at most.

        ``timeout`` is for notifications, which nobody waits for here.
        """
        try:
            return super().wait(gen, interval, self.answer_within)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - psycopg's own signal
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.answer_within:g} seconds") from None


class BlockingHeartbeat:
    """The heartbeat's own connection, for use from a thread: it must go on when the event loop does not."""

    def __init__(self, conninfo: str, server_id: UUID, lease: float, *, pooled: bool) -> None:
        limit = lease / 3
        self._pooled = pooled
        # libpq takes whole seconds, two at least; the limit on answers is what bounds a beat.
        self._conninfo = make_conninfo(
            "",
            **VANISHED_PEER
            | conninfo_to_dict(conninfo)
            | {
                "application_name": "owlrunner heartbeat",
                "client_encoding": "UTF8",
                "connect_timeout": max(2, int(limit)),
                "tcp_user_timeout": int(limit * 1000),
            },
        )
        self._limit = limit
        self._settings = SessionSettings(statement_timeout=limit * SERVER_SHARE).statement(for_transaction=pooled)
        self._params = {"id": server_id, "lease": lease}
        self._connection: _BoundedConnection | None = None

    def beat(self) -> bool:
        """Renew the lease. False: the server has been marked dead. Raises DatabaseUnavailable and StatementFailed. Blocks."""
        try:
            with mapped_errors():
                if self._connection is None:
                    self._connection = self._connect()
                if not self._pooled:
                    return self._renew(self._connection)
                # Behind a pooler each transaction may be in another session, with settings of others.
                with self._connection.transaction():
                    self._connection.execute(self._settings)
                    return self._renew(self._connection)
        except DatabaseTrouble:
            self.close()
            raise

    def _connect(self) -> "_BoundedConnection":
        connection = self._reached()
        connection.answer_within = self._limit
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.read_only = False
        if not self._pooled:
            connection.execute(self._settings)
        return connection

    def _reached(self) -> "_BoundedConnection":
        """Connect to the first address that answers."""
        failures = []
        for attempt in attempts_for_blocking(conninfo_to_dict(self._conninfo), self._limit):
            try:
                return _BoundedConnection.connect(make_conninfo("", **attempt), autocommit=True, prepare_threshold=None)
            except psycopg.OperationalError as error:
                failures.append(str(error))
        raise psycopg.OperationalError("; ".join(failures))

    def _renew(self, connection: "_BoundedConnection") -> bool:
        return connection.execute(query("servers/heartbeat"), self._params).fetchone() is not None

    def close(self) -> None:
        """Close the connection; the next beat opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
