"""Classify what psycopg raises: is the connection lost, is it still usable, and is the statement or its data to blame.

Every decision between "wait and try again", "try on another connection" and "this value can never be stored" is made here,
by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), never by message text, which is localised.

An error with a SQLSTATE is an answer: the statement was rolled back. No SQLSTATE, or a session that ends, means that there
was no answer; the statement may have taken effect.
"""

import enum

import psycopg
from psycopg.errors import Diagnostic

from owlrunner.errors import DatabaseTrouble, DatabaseUnavailable, StatementFailed


class Fault(enum.Enum):
    """What an error is about."""

    CONNECTION = "connection"
    """There is no session (any more). Whether a statement that had been sent took effect is unknown."""
    SESSION = "session"
    """The statement was refused for the state that the session, the server or the schema is in. Nothing took effect; the same
    statement may succeed on another connection, or later."""
    CONFLICT = "conflict"
    """Another transaction was in the way, or a timeout ended the statement. Nothing took effect; the session is well."""
    VALUE = "value"
    """The statement's data cannot be stored. Nothing took effect, and the same data will be refused again; the session is well."""


_SESSION_ENDED = ("08", "28", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04", "53300", "3D000")
"""Connection exceptions, refused log-ins, shutdown and crash, timeouts that end the session, and no more connections."""
_CONFLICT = ("40", "55P03", "57014")
"""Serialization failure and deadlock, lock not available, statement timeout or a cancel from outside."""
_VALUE = ("21", "22", "23", "27", "2F", "38", "39", "44", "54", "P0")
"""Cardinality, data and integrity violations, program limits, and what triggers and functions raise."""
_FATAL = ("FATAL", "PANIC")


def fault_of(error: psycopg.Error | OSError | MemoryError) -> Fault:
    """Return what an error is about."""
    if not isinstance(error, psycopg.Error):
        # The process has run out of something in the middle of an exchange.
        return Fault.CONNECTION
    state = error.sqlstate
    if state is None:
        # psycopg raises these two when there was no answer, and the others when it cannot even send the statement.
        lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        return Fault.CONNECTION if lost else Fault.VALUE
    if _severity(error.diag) in _FATAL or state.startswith(_SESSION_ENDED):
        return Fault.CONNECTION
    if state.startswith(_CONFLICT):
        # 40003 is "statement completion unknown".
        return Fault.CONNECTION if state == "40003" else Fault.CONFLICT
    return Fault.VALUE if state.startswith(_VALUE) else Fault.SESSION


def _severity(diag: Diagnostic) -> str:
    """The severity in English."""
    return diag.severity_nonlocalized or ""


def trouble_of(error: psycopg.Error | OSError | MemoryError, *, sent: bool = True) -> DatabaseTrouble:
    """Return the error of ours that stands for psycopg's. ``sent`` says whether a statement may have reached the server."""
    text = str(error).strip() or type(error).__name__
    fault = fault_of(error)
    if fault is Fault.CONNECTION:
        return DatabaseUnavailable(f"PostgreSQL cannot be reached: {text}", unknown=sent)
    return StatementFailed(f"PostgreSQL refused a statement: {text}", transient=fault is not Fault.VALUE)


def spoils(error: psycopg.Error | OSError | MemoryError) -> bool:
    """Return whether the connection must not be used again.

    A session that is read-only after a failover, a prepared statement whose result type changed, an aborted transaction: what
    is not known to leave the session well ends it, because a new one costs milliseconds and a spoilt one costs every statement.
    """
    return fault_of(error) in (Fault.CONNECTION, Fault.SESSION)
