"""This is the room for what one run is: its statuses, the moves between them, its progress and its outcome.

Whatever changes a status lives in ``storage/sql/job_runs`` and makes only moves that stand in TRANSITIONS.
"""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import attrs
import msgspec


class RunStatus(enum.StrEnum):
    """Where a run is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED}),
    # Back to pending: an attempt that may be retried, or a run that its stopping server hands back.
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PENDING}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}
"""Each status with the statuses that may follow it."""

ACTIVE = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
"""The statuses in which a run takes its job type's (and project's) slot."""


def percent_of(processed: int, total: int) -> int | None:
    """Return a whole percentage, rounded down: 100 is said only of what is complete. None where the total is not known."""
    return min(100, max(0, processed * 100 // total)) if total > 0 else None


@attrs.frozen
class Progress:
    """How far a handler has come: ``processed`` of ``total`` units, with a line for people.

    ``total`` 0 means: not known yet. When it is known, 0 ≤ processed ≤ total.
    """

    processed: int
    total: int
    message: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended. A Struct, because one is made for every run, and a frozen attrs class takes ten times as long.

    ``status`` PENDING means that the run goes back into the queue and is due in ``retry_in`` seconds;
    ``relinquished`` says that this was not the attempt's fault, so that it does not count against the retries.
    """

    status: RunStatus
    result: Any = None
    error: str | None = None
    retry_in: float = 0.0
    relinquished: bool = False
    unreadable_by: str | None = None
    """The fingerprint of a server that could not read the params; the run is for another one."""


@attrs.frozen
class JobRun:
    """One row of ``job_runs``. Times are aware datetimes in UTC; params, progress and result are decoded JSON."""

    id: UUID
    job_type: str
    status: RunStatus
    team_id: UUID | None
    project_id: UUID | None
    triggered_by: str
    params: Any
    progress: Any
    result: Any
    error: str | None
    notify: bool
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    run_at: datetime
    priority: int
    attempt: int
    max_attempts: int
    server_id: UUID | None
    cancel_requested_at: datetime | None
    cancelled_by: str | None
    omitted: Mapping[str, int] | None = None
    """Those of params and result that are None here because they are long, by name: the bytes that are stored."""
