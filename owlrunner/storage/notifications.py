"""This is the room for the outbox, table ``notifications``: one function per query of ``sql/notifications``."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from owlrunner.config import NotificationsConfig
from owlrunner.decoding import storable_text
from owlrunner.job_run import JobRun
from owlrunner.missed_fires import MissedFires
from owlrunner.storage.job_runs import run_of_row
from owlrunner.storage.postgres import Session

GATHER = 30.0
"""Seconds that an alert about missed fire times waits for what other schedules have missed in the same outage."""
FEWEST_TRIES = 5
"""A notification is never given up for its age before so many: all servers may have been down meanwhile."""


class ClaimedNotification(NamedTuple):
    """A notification that has just become ours to send."""

    id: UUID
    notifier: str
    recipient: str
    attempt: int
    project: str | None
    team: str | None
    stranded: bool
    created_at: datetime
    run: JobRun | None
    missed_fires: tuple[MissedFires, ...] = ()
    """By schedule, where it is about those and no run."""


async def set_rules(session: Session, config: NotificationsConfig, notifiers: list[str]) -> None:
    """Say who is told of which ends, and through which notifiers."""
    params = {
        "alert_email": config.alert_email,
        "alerts": config.alerts,
        "notifiers": notifiers,
        "missed_after": config.missed_after,
    }
    await session.rows("notifications/set_rules", params)


async def claim_due(
    session: Session, server_id: UUID, rooms: Mapping[str, int], patience: float
) -> list[ClaimedNotification]:
    """Take what is due, for each notifier up to its room. Nobody else takes it for ``patience`` seconds while we live."""
    params = {
        "server_id": server_id,
        "notifiers": list(rooms),
        "rooms": list(rooms.values()),
        "patience": patience,
    }
    rows = await session.rows("notifications/claim_due", params)
    return [_claimed(row) for row in rows]


async def settle(
    session: Session,
    server_id: UUID,
    claimed: ClaimedNotification,
    *,
    error: str | None,
    for_good: bool,
    retry_in: float,
    give_up_after: float,
) -> str | None:
    """Write how the try ended, and return the status now; None: somebody else has it."""
    params = {
        "server_id": server_id,
        "id": claimed.id,
        "attempt": claimed.attempt,
        "error": None if error is None else storable_text(error),
        "for_good": for_good,
        "retry_in": retry_in,
        "give_up_after": give_up_after,
        "fewest_tries": FEWEST_TRIES,
    }
    row = await session.row("notifications/settle", params)
    return row[0] if row is not None else None


async def next_due(session: Session, notifiers: list[str]) -> float | None:
    """Seconds until the next one for these notifiers is due, or None when there is none."""
    seconds: float | None
    ((seconds,),) = await session.rows("notifications/next_due", {"notifiers": notifiers})
    return seconds


async def release(session: Session, server_id: UUID) -> None:
    """Give back what a server was sending."""
    await session.rows("notifications/release", {"server_id": server_id})


async def release_of_dead(session: Session) -> None:
    """Give back what dead servers were sending."""
    await session.rows("notifications/release_of_dead")


async def add_stranded(session: Session, run_id: UUID) -> None:
    """Put a notification to the owner into the outbox: no living server can execute the run."""
    await session.rows("notifications/add_stranded", {"run_id": run_id})


async def add_missed(session: Session, missed: MissedFires) -> None:
    """Put an alert to the owner into the outbox: a schedule has missed fire times. Nothing, where they are too young for that."""
    told = msgspec.json.encode(missed).decode()
    about = {"schedule": missed.schedule, "told": told, "first": missed.first, "gather": GATHER}
    await session.rows("notifications/add_missed", about)


async def forget_alerts(session: Session, days: int) -> None:
    """Delete alerts about schedules that were settled more than so many days ago."""
    await session.rows("notifications/forget_alerts", {"days": days})


def _claimed(row: Sequence[Any]) -> ClaimedNotification:
    about, missed_fires, run = row[:8], row[8] or {}, row[9:]
    fires = msgspec.convert([missed_fires[name] for name in sorted(missed_fires)], tuple[MissedFires, ...])
    return ClaimedNotification._make((*about, run_of_row(run) if run[0] is not None else None, fires))
