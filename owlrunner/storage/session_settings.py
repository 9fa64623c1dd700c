"""Pin what the settings of a role, a database, the environment or a pooler could change about our sessions.

Every statement of ours is written for these settings. A role with ``datestyle = German`` or ``default_transaction_isolation =
'repeatable read'`` would otherwise change what values mean, or which statements fail.

Behind a pooler in transaction mode a session is lent for one transaction and then to somebody else, so nothing is set for the
session there: a statement timeout that stays behind would end the next handler's statement. Each transaction of ours sets what it
needs with ``set local``, and begins with its isolation level, because the defaults count only for transactions that begin later.
"""

from collections.abc import Mapping
from typing import Any

import attrs
from psycopg import AsyncConnection, IsolationLevel

_MEANING: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    # Times come back in the session's zone, and Python's calendar ends earlier than PostgreSQL's: a time that was stored from one
    # zone could be unreadable from another.
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
"""What values and statements mean: on every connection, also on those that handlers open."""

_FOLLOWED_BY_POOLERS = ("datestyle", "timezone", "standard_conforming_strings")
"""What PostgreSQL reports to its clients, so that PgBouncer can carry the value of each client to whatever session is lent."""

_PLANNER: Mapping[str, str] = {
    # A prepared plan lives as long as its connection. One that was made while a table was small reads all of it, also when there
    # are a million rows, until somebody analyzes it. Each of our queries finds its rows one by one, by an index.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Before version 18 a plan without a choice counts as expensive enough to be compiled.
    "jit": "off",
}

_ENDING_SESSIONS = ("idle_session_timeout", "transaction_timeout")
"""Timeouts that end the whole session, and are not for ours. The last one exists since PostgreSQL 17."""
_ABANDONED = 60.0
"""Seconds after which the server ends a transaction that nobody goes on with, where statements have no limit."""


@attrs.frozen
class SessionSettings:
    """How the sessions of one pool behave.

    ``statement_timeout`` is the server's limit in seconds for each statement, 0 for none; waiting for a lock gets half of it, or
    ``lock_timeout`` where that is given. ``own`` is for OwlRunner's own queries, ``plan_once`` for those of them that
    have just one way, whatever their parameters: planning a claim takes as long as the claim.
    """

    statement_timeout: float = 0.0
    lock_timeout: float | None = None
    own: bool = True
    plan_once: bool = False
    by_index: bool = True
    """Whether plans go by indexes alone, as our queries want it; migrations do as they like."""

    def statement(self, *, for_transaction: bool = False) -> bytes:
        """Return the SQL that applies the settings: to the session, or to the transaction that has just begun."""
        scope = "local" if for_transaction else "session"
        sets = "; ".join(f"set {scope} {name} = '{value}'" for name, value in self._values().items())
        # Not every server has all of these, and to set an unknown one is an error.
        names = ", ".join(f"'{name}'" for name in _ENDING_SESSIONS)
        ending = (
            f"select set_config(name, '0', {str(for_transaction).lower()}) from pg_settings where name in ({names})"  # noqa: S608 - constants
        )
        return f"{sets}; {ending}".encode() if self.own else sets.encode()

    def _values(self) -> dict[str, str]:
        values = dict(_MEANING)
        if self.own:
            lock_timeout = self.statement_timeout / 2 if self.lock_timeout is None else self.lock_timeout
            values |= {
                # A policy would hide runs from us without a word; so it is an error.
                "row_security": "off",
                **(_PLANNER if self.by_index else {}),
                "statement_timeout": _milliseconds(self.statement_timeout),
                "lock_timeout": _milliseconds(lock_timeout),
                # A client that has vanished in the middle of a transaction must not keep its locks.
                "idle_in_transaction_session_timeout": _milliseconds(self.statement_timeout or _ABANDONED),
            }
            if self.plan_once:
                values["plan_cache_mode"] = "force_generic_plan"
        return values


OF_HANDLERS = SessionSettings(own=False)
"""Sessions of handlers keep the timeouts and the planner of the role: how long their statements may take is the owner's choice."""


async def settle_behind_pooler(connection: AsyncConnection[Any]) -> None:
    """Set what holds for a client of a pooler in transaction mode, and not for the session that happens to be lent."""
    await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    await connection.set_read_only(False)
    await connection.set_deferrable(False)
    sets = "; ".join(f"set {name} = '{_MEANING[name]}'" for name in _FOLLOWED_BY_POOLERS)
    await connection.execute(sets.encode())


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
