"""This is the room for the outbox, table ``notifications``: one function per query of ``sql/notifications``."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from owlrunner.config import NotificationsConfig
from owlrunner.decoding import storable_text
from owlrunner.job_run import JobRun
from owlrunner.storage.job_runs import run_of_row
from owlrunner.storage.postgres import Session

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
    run: JobRun


async def set_rules(session: Session, config: NotificationsConfig, notifiers: list[str]) -> None:
    """Say who is told of which ends, and through which notifiers."""
    params = {"alert_email": config.alert_email, "alerts": config.alerts, "notifiers": notifiers}
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
    return [ClaimedNotification._make((*row[:7], run_of_row(row[7:]))) for row in rows]


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
