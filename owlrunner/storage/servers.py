"""This is the room for the table ``servers``: who is alive, by leases on the database's clock."""

from uuid import UUID

import attrs

from owlrunner.storage.postgres import Session


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
