"""This is the room for the table ``servers``: who is alive, by leases on the database's clock."""

from uuid import UUID

import attrs
import psycopg
from psycopg.conninfo import make_conninfo

from owlrunner.errors import DatabaseTrouble
from owlrunner.storage.postgres import Session, mapped_errors, query


@attrs.frozen
class Registration:
    """What a server tells the others about itself. ``lease`` is in seconds."""

    id: UUID
    name: str
    version: str
    job_types: list[str]
    capacity: int
    lease: float


async def register(session: Session, server: Registration) -> None:
    """Enter the server among the living, in the place of any former one of its name."""
    async with session.transaction():
        await session.rows("servers/supersede", {"name": server.name})
        await session.rows("servers/register", attrs.asdict(server))


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


class BlockingHeartbeat:
    """The heartbeat's own connection, for use from a thread: it must go on when the event loop does not."""

    def __init__(self, conninfo: str, server_id: UUID, lease: float) -> None:
        # libpq's limits for a peer that has vanished: whole seconds to connect, milliseconds for unacknowledged data.
        self._conninfo = make_conninfo(
            conninfo,
            application_name="owlrunner heartbeat",
            connect_timeout=max(2, int(lease / 3)),
            tcp_user_timeout=int(lease / 3 * 1000),
        )
        self._params = {"id": server_id, "lease": lease}
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def beat(self) -> bool:
        """Renew the lease. False: the server has been buried. Raises DatabaseUnavailable. Blocks."""
        try:
            with mapped_errors():
                if self._connection is None:
                    self._connection = psycopg.connect(self._conninfo, autocommit=True)
                cursor = self._connection.execute(query("servers/heartbeat"), self._params, prepare=False)
                return cursor.fetchone() is not None
        except DatabaseTrouble:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next beat opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
