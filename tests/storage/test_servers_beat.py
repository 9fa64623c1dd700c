"""The heartbeat's own connection: what its sessions are like, and what becomes of a beat that fails."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import BlockingHeartbeat
from tests.hostile import make_hostile
from tests.relay import relayed
from tests.storage.rows import now, put_server

LEASE = 30.0


@pytest.fixture
async def server_id(db: Database) -> UUID:
    """A server whose lease ends in a second."""
    async with db.session() as session:
        return await put_server(session, lease_expires_at=now(1))


@pytest.fixture(params=[False, True], ids=["direct", "pooled"])
def heartbeat(request: pytest.FixtureRequest, database_url: str, server_id: UUID) -> Iterator[BlockingHeartbeat]:
    """Its heartbeat, directly and as behind a pooler."""
    beating = BlockingHeartbeat(database_url, server_id, LEASE, pooled=request.param)
    yield beating
    beating.close()


async def settings_of(database: Database) -> list[tuple[str, str]]:
    """What the heartbeat's session is doing, and since when nothing."""
    async with database.session() as session:
        cursor = await session.connection.execute(
            "select application_name, state from pg_stat_activity"
            " where datname = current_database() and application_name like '%heartbeat%'"
        )
        return await cursor.fetchall()


async def left(db: Database) -> float:
    """How long the lease still is."""
    async with db.session() as session:
        cursor = await session.connection.execute(
            "select extract(epoch from lease_expires_at - owl_now())::float8 from servers"
        )
        ((seconds,),) = await cursor.fetchall()
    return float(seconds)


async def test_a_beat_renews_the_lease(db: Database, heartbeat: BlockingHeartbeat) -> None:
    """For as long as it is, again and again, on one connection that has no transaction open in between."""
    for _ in range(2):
        assert await trio.to_thread.run_sync(heartbeat.beat)
        assert LEASE - 5 < await left(db) <= LEASE
        assert await settings_of(db) == [("owlrunner heartbeat", "idle")]


async def test_the_roles_settings_stop_no_beat(database_url: str, db: Database, heartbeat: BlockingHeartbeat) -> None:
    """A role that is read-only, serializable and impatient by default beats like others."""
    make_hostile(database_url)
    for _ in range(3):
        assert await trio.to_thread.run_sync(heartbeat.beat)


async def test_the_server_ends_a_beat_first(db: Database, heartbeat: BlockingHeartbeat) -> None:
    """While a beat is written its limits hold, whether the session keeps them or each transaction is given them anew."""
    async with db.session() as session:
        await session.connection.execute(
            """
            create table noted as select '' as statement_timeout, '' as lock_timeout;
            create function note() returns trigger language plpgsql as $$ begin
                update noted set statement_timeout = current_setting('statement_timeout'),
                    lock_timeout = current_setting('lock_timeout');
                return new;
            end $$;
            create trigger note before update on servers for each row execute function note()
            """
        )
    assert await trio.to_thread.run_sync(heartbeat.beat)
    async with db.session() as session:
        cursor = await session.connection.execute("select * from noted")
        assert await cursor.fetchall() == [("8s", "4s")]


async def test_what_its_session_is_like(database_url: str, server_id: UUID) -> None:
    """A statement gets less than a third of the lease, in the server too; behind a pooler nothing stays set."""
    for pooled, wanted in ((False, ("8s", "4s", "ISO, YMD")), (True, ("0", "0", "ISO, MDY"))):
        beating = BlockingHeartbeat(database_url, server_id, LEASE, pooled=pooled)
        assert await trio.to_thread.run_sync(beating.beat)
        connection = beating._connection
        assert connection is not None
        row = connection.execute(
            "select current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('datestyle')"
        ).fetchone()
        assert row == wanted
        assert (connection.answer_within, connection.autocommit, connection.prepare_threshold) == (
            LEASE / 3,
            True,
            None,
        )
        beating.close()
    options = conninfo_to_dict(BlockingHeartbeat(database_url, server_id, LEASE, pooled=False)._conninfo)
    told = {
        name: options[name] for name in ("connect_timeout", "tcp_user_timeout", "keepalives_idle", "client_encoding")
    }
    assert told == {
        "connect_timeout": "10",
        "tcp_user_timeout": "10000",
        "keepalives_idle": "10",
        "client_encoding": "UTF8",
    }


async def test_who_was_marked_dead_is_told(db: Database, heartbeat: BlockingHeartbeat) -> None:
    """A beat for a server that others have buried renews nothing."""
    async with db.session() as session:
        await session.connection.execute("update servers set buried_at = owl_now()")
    assert not await trio.to_thread.run_sync(heartbeat.beat)
    assert await left(db) < 2


async def test_a_connection_that_is_lost_is_replaced(
    db: Database, database_url: str, heartbeat: BlockingHeartbeat
) -> None:
    """The beat on it fails, and the next one has another."""
    assert await trio.to_thread.run_sync(heartbeat.beat)
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'owlrunner heartbeat'"
        )
    with pytest.raises(DatabaseUnavailable):
        await trio.to_thread.run_sync(heartbeat.beat)
    assert heartbeat._connection is None
    assert await trio.to_thread.run_sync(heartbeat.beat)


async def test_a_silent_connection_is_given_up(database_url: str, server_id: UUID) -> None:
    """In a third of the lease, and the next beat has another connection."""
    async with relayed(database_url) as relay:
        beating = BlockingHeartbeat(relay.conninfo, server_id, 1.5, pooled=False)
        assert await trio.to_thread.run_sync(beating.beat)
        connection = beating._connection
        assert connection is not None
        relay.silence()
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.5 seconds"):
            await trio.to_thread.run_sync(beating._renew, connection)
        assert connection.closed, "or a transaction's end would be waited for likewise"
        with pytest.raises(DatabaseUnavailable):
            await trio.to_thread.run_sync(beating.beat)
        assert await trio.to_thread.run_sync(beating.beat)
        beating.close()


@pytest.mark.parametrize(("lease", "seconds"), [(3.0, "2"), (6.0, "2"), (9.0, "3")])
def test_libpq_gets_whole_seconds(lease: float, seconds: str) -> None:
    """A third of the lease to connect, and no less than the two that libpq makes of one."""
    assert conninfo_to_dict(BlockingHeartbeat("", uuid4(), lease, pooled=False)._conninfo)["connect_timeout"] == seconds


async def test_the_first_address_that_answers_counts(database_url: str, server_id: UUID) -> None:
    """Where nobody listens the next one is asked; where no one answers all are named."""
    places = conninfo_to_dict(database_url)
    host = places.pop("host")
    nobody = {**places, "host": f"/nobody/here,{host}"}
    beating = BlockingHeartbeat(psycopg.conninfo.make_conninfo("", **nobody), server_id, LEASE, pooled=False)
    assert await trio.to_thread.run_sync(beating.beat)
    beating.close()
    none = {**places, "host": "/nobody/here,/nor/there"}
    beating = BlockingHeartbeat(psycopg.conninfo.make_conninfo("", **none), uuid4(), LEASE, pooled=False)
    with pytest.raises(DatabaseUnavailable, match=r"(?s)/nobody/here.*; .*/nor/there"):
        await trio.to_thread.run_sync(beating.beat)
