"""What an error of PostgreSQL is about: every class of SQLSTATE, and what no server said."""

import psycopg
import pytest

from owlrunner.errors import DatabaseUnavailable, StatementFailed
from owlrunner.storage import connection as connections
from owlrunner.storage.postgres import Database
from owlrunner.storage.sqlstate import Fault, fault_of, spoils, trouble_of

CLASSES = {
    "02000": Fault.SESSION,
    "03000": Fault.SESSION,
    "08006": Fault.CONNECTION,
    "08P01": Fault.CONNECTION,
    "09000": Fault.SESSION,
    "0A000": Fault.SESSION,
    "0B000": Fault.SESSION,
    "0F000": Fault.SESSION,
    "0L000": Fault.SESSION,
    "0P000": Fault.SESSION,
    "0Z000": Fault.SESSION,
    "20000": Fault.SESSION,
    "21000": Fault.VALUE,
    "22003": Fault.VALUE,
    "22021": Fault.VALUE,
    "22P05": Fault.VALUE,
    "23502": Fault.VALUE,
    "23505": Fault.VALUE,
    "23514": Fault.VALUE,
    "24000": Fault.SESSION,
    "25006": Fault.SESSION,
    "25P02": Fault.SESSION,
    "25P03": Fault.CONNECTION,
    "25P04": Fault.CONNECTION,
    "26000": Fault.SESSION,
    "27000": Fault.VALUE,
    "28000": Fault.CONNECTION,
    "28P01": Fault.CONNECTION,
    "2B000": Fault.SESSION,
    "2D000": Fault.SESSION,
    "2F000": Fault.VALUE,
    "34000": Fault.SESSION,
    "38000": Fault.VALUE,
    "39000": Fault.VALUE,
    "3B000": Fault.SESSION,
    "3D000": Fault.CONNECTION,
    "3F000": Fault.SESSION,
    "40001": Fault.CONFLICT,
    "40003": Fault.CONNECTION,
    "40P01": Fault.CONFLICT,
    "42501": Fault.SESSION,
    "42703": Fault.SESSION,
    "42P01": Fault.SESSION,
    "42P05": Fault.SESSION,
    "44000": Fault.VALUE,
    "53100": Fault.SESSION,
    "53200": Fault.SESSION,
    "53300": Fault.CONNECTION,
    "54000": Fault.VALUE,
    "54001": Fault.VALUE,
    "55000": Fault.SESSION,
    "55P03": Fault.CONFLICT,
    "57014": Fault.CONFLICT,
    "57P01": Fault.CONNECTION,
    "57P02": Fault.CONNECTION,
    "57P03": Fault.CONNECTION,
    "57P05": Fault.CONNECTION,
    "58030": Fault.SESSION,
    "F0000": Fault.SESSION,
    "HV000": Fault.SESSION,
    "P0001": Fault.VALUE,
    "XX000": Fault.SESSION,
    "XX001": Fault.SESSION,
}
"""At least one of each class that PostgreSQL has, and each that is treated otherwise than its class."""


@pytest.mark.parametrize(("state", "fault"), CLASSES.items())
def test_each_class_has_its_meaning(state: str, fault: Fault) -> None:
    """A SQLSTATE says whether the connection is lost, the session spoilt, somebody in the way, or the data at fault."""
    error = psycopg.errors.lookup(state)("x")
    assert error.sqlstate == state
    assert fault_of(error) is fault
    trouble = trouble_of(error)
    if fault is Fault.CONNECTION:
        assert isinstance(trouble, DatabaseUnavailable)
        assert trouble.unknown
    else:
        assert isinstance(trouble, StatementFailed)
        assert trouble.transient is (fault is not Fault.VALUE)
    assert spoils(error) is (fault in (Fault.CONNECTION, Fault.SESSION))


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), Fault.CONNECTION),
        (psycopg.InterfaceError("the connection is closed"), Fault.CONNECTION),
        (psycopg.ProgrammingError("cannot adapt type 'object'"), Fault.VALUE),
        (psycopg.DataError("cannot dump"), Fault.VALUE),
    ],
)
def test_what_no_server_said(error: psycopg.Error, fault: Fault) -> None:
    """Without a SQLSTATE the connection is lost, unless psycopg could not even send the statement."""
    assert fault_of(error) is fault


def test_a_failed_connection_attempt_had_no_effect() -> None:
    """What failed before a statement was sent is not unknown."""
    trouble = trouble_of(psycopg.OperationalError("refused"), sent=False)
    assert isinstance(trouble, DatabaseUnavailable)
    assert not trouble.unknown


async def test_a_read_only_session_is_not_used_again(db: Database) -> None:
    """A session that became read-only by a failover is replaced, and the statement succeeds on another connection."""
    async with db.session() as session:
        pid = session.connection.pgconn.backend_pid
        await session.connection.execute("set default_transaction_read_only = on")
    await db.rows("servers/forget_old")
    async with db.session() as session:
        assert session.connection.pgconn.backend_pid != pid


async def test_a_plan_that_no_longer_fits_is_not_used_again(db: Database) -> None:
    """After a column has changed its type under prepared statements, the next try goes by a new connection and succeeds."""
    for _ in range(5):
        await db.rows("migrations/applied")
    async with db.dedicated() as other:
        await other.execute("alter table owlrunner_migrations alter column owner type varchar(200)")
    assert await db.rows("migrations/applied") != []


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
async def test_a_process_that_has_run_out_waits(
    db: Database, monkeypatch: pytest.MonkeyPatch, error: OSError | MemoryError
) -> None:
    """Without descriptors or memory in the middle of a statement its effect is unknown, and the connection is closed."""

    async def fail(*_: object) -> None:
        raise error

    async with db.session() as session:
        with monkeypatch.context() as patch:
            patch.setattr(connections, "_drive", fail)
            with pytest.raises(DatabaseUnavailable, match=r"open files|MemoryError") as caught:
                await session.rows("migrations/exists")
        assert caught.value.unknown
        assert session.connection.closed
    assert await db.rows("migrations/exists") == [(True,)]


async def test_a_value_that_cannot_be_sent_is_a_refusal(db: Database) -> None:
    """A lone surrogate in a text fails that statement, and the session goes on."""
    async with db.session() as session:
        with pytest.raises(StatementFailed) as caught:
            await session.rows("accounts/user_by_email", {"email": "\ud800"})
        assert not caught.value.transient
        assert await session.rows("migrations/exists") == [(True,)]
