"""The shape of a run on the wire: names and order of the fields are the contract. New fields come last."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from owlrunner.job_run import RunStatus

Instant = Annotated[str, Meta(description="UTC, always with milliseconds", examples=["2026-03-28T20:00:00.123Z"])]


class WaitBody(Struct):
    """What an active run waits for. ``until`` is when that ends by itself, ``since`` when it began."""

    reason: str
    detail: str
    until: Instant | None
    since: Instant | None


class JobRunBody(Struct):
    """One run."""

    id: UUID
    job_type: str
    status: RunStatus
    team_id: UUID | None
    project_id: UUID | None
    triggered_by: str
    params: dict[str, Any] | None
    progress: dict[str, Any] | None
    result: Any
    error: str | None
    notify: bool
    started_at: Instant | None
    completed_at: Instant | None
    created_at: Instant
    run_at: Instant
    attempt: int
    max_attempts: int
    cancel_requested_at: Instant | None
    cancelled_by: str | None
    triggered_by_name: str
    cancelled_by_name: str | None
    waiting_for: WaitBody | None
    omitted: dict[str, int] | None
