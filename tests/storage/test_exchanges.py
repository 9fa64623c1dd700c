"""What a pool sends for one statement: how often, in what form, and with which way of reading JSON."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import trio
import trio.testing
from psycopg.types.json import Jsonb
from psycopg.waiting import Ready, Wait

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.job_run import Outcome, RunStatus
from owlrunner.storage import attempts, postgres, queries
from owlrunner.storage.attempts import FinishedAttempt, Offer
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.postgres import Database, Session
from tests.relay import relayed

QUERY = "migrations/exists"


async def prepared(session: Session) -> list[str]:
    """The statements that the server has prepared for this session."""
    cursor = await session.connection.execute("select statement from pg_prepared_statements", prepare=False)
    return [statement for (statement,) in await cursor.fetchall()]


@pytest.mark.parametrize(
    ("prepare", "plan_anew", "times", "is_prepared"),
    [
        ({}, {}, 1, False),
        ({}, {}, 4, True),
        ({}, {"plan_anew": True}, 4, False),
        ({}, {"plan_anew": False}, 4, True),
        ({"prepare": True}, {}, 4, True),
        ({"prepare": False}, {}, 7, False),
    ],
)
async def test_a_statement_that_comes_again_is_prepared(
    database_url: str, prepare: dict[str, Any], plan_anew: dict[str, Any], times: int, is_prepared: bool
) -> None:
    """It is, unless its plan depends on its parameters, or a pooler may lend another session next time."""
    async with Database(database_url, **prepare) as db, db.session() as session:
        for _ in range(times):
            await session.rows(QUERY, **plan_anew)
        assert any("owlrunner_migrations" in statement for statement in await prepared(session)) is is_prepared


@pytest.mark.parametrize(("prepare", "exchanges"), [(True, 1), (False, 4)])
async def test_a_statement_is_one_exchange(
    database_url: str, monkeypatch: pytest.MonkeyPatch, prepare: bool, exchanges: int
) -> None:
    """Only behind a pooler is it put into a transaction that begins with our settings."""
    waits = []

    class Counting(TrioConnection):
        async def wait(self, *arguments: Any, **options: Any) -> Any:
            waits.append(arguments)
            return await super().wait(*arguments, **options)

    monkeypatch.setattr(postgres, "TrioConnection", Counting)
    async with Database(database_url, prepare=prepare) as db:
        assert await db.rows(QUERY) == [(True,)]
        waits.clear()
        assert await db.rows(QUERY) == [(True,)]
    assert len(waits) == exchanges


async def test_json_is_read_and_written_by_msgspec_on_our_connections_alone(db: Database) -> None:
    """Values that only msgspec can encode are sent, and what psycopg does on other connections of the process stays as it is."""
    at = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)
    statement = "select %s::jsonb, '{\"a\": 1}'::jsonb"
    async with db.session() as session:
        cursor = await session.connection.execute(statement, [Jsonb({"at": at})])
        assert await cursor.fetchall() == [({"at": "2026-03-28T20:00:00Z"}, {"a": 1})]
    with psycopg.connect(db.conninfo) as connection, pytest.raises(TypeError, match="datetime"):
        connection.execute(statement, [Jsonb({"at": at})])


async def test_a_wait_tells_what_the_socket_is_ready_for(db: Database) -> None:
    """Who waits for either is told of what has come, and of nothing else."""

    def either() -> Any:
        return (yield Wait.RW)

    async with db.dedicated() as ear:
        await ear.execute("listen bell")
        with trio.fail_after(10):
            assert await ear.wait(either()) == Ready.W
            async with db.session() as session:
                await session.connection.execute("notify bell")
            await trio.lowlevel.wait_readable(ear.pgconn.socket)
            assert await ear.wait(either()) == Ready.RW


class Sessions(Database):
    """A pool that counts how often a session is borrowed."""

    borrowed = 0

    def session(self) -> Any:
        """Count one."""
        self.borrowed += 1
        return super().session()


@pytest.mark.parametrize(
    ("name", "params", "times"), [("job_runs/by_id", {"id": "no uuid"}, 1), ("migrations/lock", {}, 3)]
)
async def test_what_was_refused_for_its_data_is_not_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch, name: str, params: dict[str, str], times: int
) -> None:
    """A statement that somebody else was in the way of is tried twice more, one that PostgreSQL does not accept never."""
    monkeypatch.setattr(postgres, "RETRY_DELAYS", (0.0, 0.0))
    async with Sessions(database_url, lock_timeout=0.05) as db, db.dedicated() as other, other.transaction():
        await Session(other).rows("migrations/lock")
        with pytest.raises(StatementFailed):
            await db.rows(name, params)
    assert db.borrowed == times


@pytest.mark.parametrize(("name", "is_told"), [(QUERY, False), ("servers/forget_old", True)])
async def test_only_what_reads_is_repeated_when_its_answer_is_lost(database_url: str, name: str, is_told: bool) -> None:
    """A statement that writes may have taken effect, so its caller decides; one that only reads is asked again at once."""
    async with relayed(database_url) as relay, Sessions(relay.conninfo, answer_within=0.5) as db:
        relay.lose_answer_to(queries.query(name)[:40])
        if is_told:
            with pytest.raises(DatabaseUnavailable) as caught:
                await db.row(name)
            assert caught.value.unknown
        else:
            assert await db.row(name) == (True,)
        assert db.borrowed == (1 if is_told else 2)


async def test_a_statement_is_planned_anew_at_each_try(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Also at the last one, whose plan would otherwise be that of other parameters."""
    tries: list[bool] = []

    class Refusing(Database):
        """Refuses what it is asked for, for now."""

        @contextlib.asynccontextmanager
        async def session(self) -> AsyncIterator[Any]:
            """Lend one."""
            yield self

        async def rows(self, name: str, params: Any = None, *, plan_anew: bool = False) -> list[tuple[Any, ...]]:
            """Refuse."""
            tries.append(plan_anew)
            raise StatementFailed(f"{name} {params}", transient=True)

    with pytest.raises(StatementFailed):
        await Database.rows(Refusing(""), QUERY, plan_anew=True)
    assert tries == [True] * (1 + len(postgres.RETRY_DELAYS))


class Asked:
    """Stands for a session that answers nothing, and notes which queries it was asked."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def rows(self, name: str, _: Any = None) -> list[tuple[Any, ...]]:
        """Note one."""
        self.names.append(name)
        return []


async def test_a_claim_without_limits_is_one_statement() -> None:
    """Where no job type has a limit nothing is locked or counted, and where nothing is offered nothing is asked."""
    asked: Any = Asked()
    assert await attempts.claim_pending(asked, uuid4(), [Offer("a", "f")], 1) == []
    assert asked.names == ["job_runs/claim_pending"]
    assert await attempts.claim_pending(asked, uuid4(), [], 1) == []
    assert asked.names == ["job_runs/claim_pending"]


async def test_outcomes_that_are_all_written_are_one_statement() -> None:
    """Only what cannot be read is set aside, and only what was lost is looked up."""
    asked: Any = Asked()
    done = FinishedAttempt(uuid4(), 1, Outcome(RunStatus.COMPLETED), None, None)
    assert await attempts.finish(asked, uuid4(), [done]) == set()
    assert asked.names == ["job_runs/finish"]
    unread = FinishedAttempt(uuid4(), 1, Outcome(RunStatus.PENDING, error="x", unreadable_by="f"), None, None)
    assert await attempts.finish(asked, uuid4(), [unread]) == set()
    assert asked.names == ["job_runs/finish", "job_runs/set_aside"]
