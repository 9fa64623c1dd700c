"""This is the room for what is posted: the body, and the headers that say who sent it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import owlrunner


def signed(message_id: str, timestamp: int, body: bytes, key: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sent the body, when, and whether it has it already."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def event(notification: owlrunner.Notification) -> dict[str, Any]:
    """What is sent. A run's params are left out: whoever triggered it may have put a password there."""
    run = notification.run
    told = {
        "id": notification.id,
        "type": "schedules.missed" if run is None else f"job.{run.status}",
        "attempt": notification.attempt,
        "created_at": _instant(notification.created_at if run is None else run.completed_at),
        "recipient": notification.recipient,
    }
    if run is None:
        return told | {"schedules": [_missed(one) for one in notification.missed_fires]}
    return told | {"job_run": _job_run(notification, run), "link": notification.link}


def _job_run(notification: owlrunner.Notification, run: owlrunner.JobRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_type": run.job_type,
        "label": notification.label,
        "status": run.status,
        "team_id": run.team_id,
        "team": notification.team,
        "project_id": run.project_id,
        "project": notification.project,
        "triggered_by": run.triggered_by,
        "progress": run.progress,
        "result": run.result,
        "error": run.error,
        "started_at": _instant(run.started_at),
        "completed_at": _instant(run.completed_at),
        "created_at": _instant(run.created_at),
    }


def _missed(fires: owlrunner.MissedFires) -> dict[str, Any]:
    return {
        "schedule": fires.schedule,
        "job_type": fires.job_type,
        "missed": fires.missed,
        "late": fires.late,
        "at_least": fires.at_least,
        "first": _instant(fires.first),
        "last": _instant(fires.last),
        "reasons": fires.reasons,
    }


def _instant(time: datetime | None) -> str | None:
    """A time as the API shows it."""
    return None if time is None else f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
