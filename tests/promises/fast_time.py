"""Time that goes sixty times as fast, for the database and for the servers on it: a minute of cron takes a second.

As a plugin it makes a server sleep accordingly. Leases stay as they are: a second of lease is a second of everybody's time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import sql

import owlrunner
from owlrunner.runtime import scheduler
from owlrunner.runtime.scheduler import Scheduler
from owlrunner.storage import attempts
from owlrunner.storage.postgres import Session

FACTOR = 60
START = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)

INSTALL = sql.SQL("""
    create table fast_time as select clock_timestamp() as began;
    create or replace function owl_now() returns timestamptz language sql stable as
        'select {start}::timestamptz + (now() - began) * {factor} from fast_time';
    create function real_lease() returns trigger language plpgsql as $$ begin
        new.lease_expires_at := owl_now() + (new.lease_expires_at - owl_now()) * {factor};
        return new; end $$;
    create trigger real_lease before insert or update of lease_expires_at on servers for each row execute function real_lease()
""")
"""What to do to a database before its first server comes."""


async def install(session: Session) -> None:
    """Let the database's time go fast from now on, beginning with START."""
    # Without the quotes: it stands inside of a function's text.
    start = sql.SQL(f"''{START.isoformat()}''")
    await session.connection.execute(INSTALL.format(start=start, factor=sql.Literal(FACTOR)))


def _hurry() -> None:
    """Make whoever sleeps until something is due in this process sleep for less."""
    # What is looked at again soon, is so in everybody's time.
    scheduler.SOON *= FACTOR
    look, next_due = Scheduler.look, attempts.next_due

    async def hurried_look(self: Scheduler) -> float:
        return await look(self) / FACTOR

    async def hurried_next_due(session: Session, job_types: Sequence[str]) -> float | None:
        due = await next_due(session, job_types)
        return None if due is None else due / FACTOR

    Scheduler.look = hurried_look  # type: ignore[method-assign]
    attempts.next_due = hurried_next_due


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """None; being asked is the sign that this is a server."""
    _hurry()
    return []
