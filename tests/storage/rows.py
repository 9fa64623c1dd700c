"""Rows that tests of single statements put in, and look at afterwards."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import trio
from psycopg import sql
from psycopg.rows import dict_row

from owlrunner.storage.postgres import Database, Session

PATIENCE = 30.0
_HELD = {"status": "running", "attempt": 1}


def now(seconds: float = 0.0) -> sql.Composed:
    """So many seconds from now; all of a transaction has the same now."""
    return sql.SQL("owl_now() + {} * interval '1 second'").format(seconds)


async def put(session: Session, table: str, **values: Any) -> dict[str, Any]:
    """Insert a row; a value may be an expression of SQL."""
    statement = sql.SQL("insert into {} ({}) values ({}) returning *").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(
            value if isinstance(value, sql.Composable) else sql.Literal(value) for value in values.values()
        ),
    )
    async with session.connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement)
        row = await cursor.fetchone()
    assert row is not None
    return row


async def put_run(session: Session, **values: Any) -> UUID:
    """Insert a run and return its id: a pending one, unless told otherwise."""
    return UUID(
        str(
            (
                await put(
                    session, "job_runs", **{"job_type": "a", "triggered_by": "operator", "exclusive": False} | values
                )
            )["id"]
        )
    )


async def put_held(session: Session, server_id: UUID, **values: Any) -> UUID:
    """Insert a run that a server holds, and return its id."""
    return await put_run(session, **_HELD | {"server_id": server_id, "started_at": now(-60)} | values)


async def put_server(session: Session, **values: Any) -> UUID:
    """Insert a living server that offers the job type ``a``, and return its id."""
    server_id: UUID = values.pop("id", None) or uuid4()
    about = {
        "id": server_id,
        "name": str(server_id),
        "version": "1",
        "job_types": ["a"],
        "fingerprints": ["f"],
        "capacity": 9,
    }
    await put(session, "servers", **about | {"started_at": now(-600), "lease_expires_at": now(30)} | values)
    return server_id


async def runs(session: Session) -> dict[UUID, dict[str, Any]]:
    """Every run, by its id."""
    return {row["id"]: row for row in await look(session, "select * from job_runs")}


async def look(session: Session, statement: str, *params: object) -> list[dict[str, Any]]:
    """Rows by the names of their columns."""
    async with session.connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.encode(), params)
        return await cursor.fetchall()


async def value(session: Session, expression: sql.Composable) -> Any:
    """What an expression is worth."""
    cursor = await session.connection.execute(sql.SQL("select {}").format(expression))
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def until_blocked(db: Database, number: int = 1) -> None:
    """Return as soon as so many wait for a lock that somebody else holds."""
    waiting = b"select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with db.dedicated() as watch:
        with trio.fail_after(PATIENCE):
            while (await watch.execute(waiting)).rowcount < number:
                await trio.sleep(0.01)


@asynccontextmanager
async def rings(db: Database, channel: str) -> AsyncIterator[list[str]]:
    """Collect what is announced meanwhile; it is complete when the block has ended."""
    heard: list[str] = []
    async with db.dedicated() as ear:
        await ear.execute(f"listen {channel}".encode())
        await ear.execute(b"listen that_was_all")
        yield heard
        async with db.session() as session:
            await session.connection.execute(b"notify that_was_all")
        with trio.fail_after(PATIENCE):
            async with aclosing(ear.notifies()) as notices:
                async for notice in notices:
                    if notice.channel == "that_was_all":
                        break
                    heard.append(notice.channel)
