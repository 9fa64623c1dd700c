"""Sessions are ours: what a role, a database or the environment says about them does not change what statements mean."""

from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from owlrunner.errors import StatementFailed
from owlrunner.storage.postgres import Database
from owlrunner.storage.session_settings import OF_HANDLERS
from tests.hostile import make_hostile


@pytest.fixture
async def hostile_url(database_url: str) -> str:
    """A database on which every setting is hostile."""
    make_hostile(database_url)
    return database_url


@pytest.mark.parametrize("prepare", [True, False])
async def test_values_keep_their_meaning(hostile_url: str, prepare: bool) -> None:
    """Times, floats, bytes, nulls and emoji come back as sent, with settings of the session or of each transaction."""
    async with Database(hostile_url, prepare=prepare) as db, db.session() as session, session.transaction():
        cursor = await session.connection.execute(
            "select '9999-12-31 23:59:59+00'::timestamptz, '2024-03-04'::date, interval '1 day 2 hours', 0.1::float8 + 0.2,"
            " '\\x00ff'::bytea, array[null]::text[], '🦉'::text, 'a\\b'::text"
        )
        [row] = await cursor.fetchall()
        assert str(row[0]) == "9999-12-31 23:59:59+00:00"
        assert [*map(str, row[1:3])] == ["2024-03-04", "1 day, 2:00:00"]
        assert row[3:] == (0.1 + 0.2, b"\x00\xff", [None], "🦉", "a\\b")


@pytest.mark.parametrize("prepare", [True, False])
async def test_transactions_are_read_committed_and_write(hostile_url: str, prepare: bool) -> None:
    """Our transactions are read committed and may write; no timeout is the role's."""
    async with Database(hostile_url, prepare=prepare, answer_within=10) as db:
        assert await db.rows("servers/forget_old") == []
        async with db.session() as session, session.transaction():
            cursor = await session.connection.execute(
                "select current_setting('transaction_isolation'), current_setting('transaction_read_only'),"
                " current_setting('statement_timeout'), current_setting('lock_timeout'),"
                " current_setting('idle_in_transaction_session_timeout'), current_setting('idle_session_timeout')"
            )
            assert await cursor.fetchall() == [("read committed", "off", "8s", "4s", "8s", "0")]


async def test_policies_do_not_hide_runs(db: Database, database_url: str) -> None:
    """Where a policy would hide rows from OwlRunner's role a statement fails; handlers see what the policy lets them see."""
    async with db.session() as session:
        await session.connection.execute(
            "alter table job_runs enable row level security; grant select on job_runs to pg_monitor"
        )
    url = make_conninfo(database_url, options="-c role=pg_monitor")
    async with Database(url) as as_role:
        with pytest.raises(StatementFailed, match="row-level security"):
            await as_role.rows("job_runs/next_due", {"job_types": ["a"]})
        async with as_role.dedicated(settings=OF_HANDLERS) as connection:
            cursor = await connection.execute("select count(*) from job_runs")
            assert await cursor.fetchall() == [(0,)]


async def test_handlers_keep_their_own_timeouts(hostile_url: str) -> None:
    """A handler's connection gets the same meaning of values, and keeps what the owner allows its statements."""
    with psycopg.connect(
        hostile_url, autocommit=True, options="-c statement_timeout=0 -c default_transaction_read_only=off"
    ) as connection:
        connection.execute(
            sql.SQL("alter database {} set statement_timeout = '5min'").format(sql.Identifier(connection.info.dbname))
        )
    async with Database(hostile_url) as db, db.dedicated(settings=OF_HANDLERS) as connection:
        cursor = await connection.execute(
            "select current_setting('datestyle'), current_setting('transaction_isolation'), current_setting('statement_timeout')"
        )
        assert await cursor.fetchall() == [("ISO, YMD", "read committed", "5min")]


async def test_nothing_stays_behind_in_a_pooler(hostile_url: str) -> None:
    """Behind a pooler in transaction mode our limits and modes hold for our transactions, not for whoever gets the session next."""
    async with Database(hostile_url, prepare=False, answer_within=10) as db, db.session() as session:
        assert await session.rows("servers/forget_old") == []
        cursor = await session.connection.execute(
            "select current_setting('statement_timeout'), current_setting('lock_timeout'),"
            " current_setting('default_transaction_isolation'), current_setting('enable_seqscan')"
        )
        assert await cursor.fetchall() == [("777ms", "777ms", "serializable", "on")]


async def test_handlers_transactions_behind_a_pooler(hostile_url: str) -> None:
    """Behind a pooler a handler's transaction is read committed and may write, whatever the role's defaults are."""
    async with (
        Database(hostile_url, prepare=False) as db,
        db.dedicated(settings=OF_HANDLERS) as connection,
        connection.transaction(),
    ):
        cursor = await connection.execute(
            "select current_setting('transaction_isolation'), current_setting('transaction_read_only'),"
            " current_setting('transaction_deferrable'), current_setting('datestyle')"
        )
        assert await cursor.fetchall() == [("read committed", "off", "off", "ISO, YMD")]


async def test_a_connection_of_our_own_outlives_silence(hostile_url: str) -> None:
    """One that only listens is not ended by the role's limit on idle sessions."""
    async with Database(hostile_url) as db, db.dedicated("listen") as connection:
        cursor = await connection.execute("select current_setting('idle_session_timeout')")
        assert await cursor.fetchall() == [("0",)]


async def test_the_environment_does_not_decide(hostile_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that libpq reads (PGCLIENTENCODING, PGDATESTYLE, PGTZ, PGOPTIONS) do not change our sessions."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_isolation=serializable")
    async with Database(hostile_url) as db, db.session() as session:
        cursor = await session.connection.execute(
            "select current_setting('client_encoding'), current_setting('datestyle'), current_setting('timezone'),"
            " current_setting('transaction_isolation')"
        )
        assert await cursor.fetchall() == [("UTF8", "ISO, YMD", "UTC", "read committed")]


async def test_an_unknown_encoding_in_the_environment_keeps_nobody_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PGCLIENTENCODING says is not asked for when logging in either, where PostgreSQL would refuse it."""
    monkeypatch.setenv("PGCLIENTENCODING", "nonsense")
    async with Database(database_url) as db:
        assert await db.rows("migrations/exists") == [(True,)]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "auto"),
        ({"plan_once": False}, "auto"),
        ({"plan_once": True}, "force_generic_plan"),
        ({"plan_once": True, "prepare": False}, "auto"),
    ],
)
async def test_a_pool_plans_once_where_it_is_told_to(database_url: str, options: dict[str, Any], shown: str) -> None:
    """Its plans know the parameters unless it is for queries that have just one way, and has sessions of its own."""
    async with Database(database_url, **options) as db, db.session() as session:
        cursor = await session.connection.execute("select current_setting('plan_cache_mode')")
        assert await cursor.fetchall() == [(shown,)]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ("8s", "4s")),
        ({"answer_within": 20.0}, ("16s", "8s")),
        ({"answer_within": 20.0, "lock_timeout": 0.1}, ("16s", "100ms")),
        ({"answer_within": None}, ("0", "0")),
    ],
)
async def test_a_pools_limits_are_the_servers(
    database_url: str, options: dict[str, Any], shown: tuple[str, str]
) -> None:
    """A statement has a little less than an answer may take, and a lock half of that, unless told otherwise."""
    async with Database(database_url, **options) as db, db.session() as session:
        cursor = await session.connection.execute(
            "select current_setting('statement_timeout'), current_setting('lock_timeout')"
        )
        assert await cursor.fetchall() == [shown]


async def test_sessions_say_what_they_are_for(database_url: str) -> None:
    """A pool's sessions have the pool's name in pg_stat_activity, and one outside of it has its own, where it is given one."""
    async with (
        Database(database_url, name="api") as db,
        db.session() as session,
        db.dedicated("listen") as named,
        db.dedicated() as unnamed,
    ):
        for connection, shown in (
            (session.connection, "owlrunner api"),
            (named, "owlrunner listen"),
            (unnamed, "owlrunner api"),
        ):
            cursor = await connection.execute("select current_setting('application_name')")
            assert await cursor.fetchall() == [(shown,)]


async def test_only_our_own_queries_go_by_indexes_alone(db: Database) -> None:
    """Where a connection outside of the pool asks for nothing else, PostgreSQL's planner does as it likes there."""
    async with db.session() as session, db.dedicated() as dedicated:
        for connection, shown in ((session.connection, "off"), (dedicated, "on")):
            cursor = await connection.execute("select current_setting('enable_seqscan')")
            assert await cursor.fetchall() == [(shown,)]


async def test_a_pool_without_a_limit_has_none_in_the_server_either(database_url: str) -> None:
    """Where an answer may take any time, neither a statement nor waiting for a lock is ended by PostgreSQL."""
    async with Database(database_url, answer_within=None) as db, db.session() as session:
        cursor = await session.connection.execute(
            "select current_setting('statement_timeout'), current_setting('lock_timeout')"
        )
        assert await cursor.fetchall() == [("0", "0")]
