"""This is the room for the owner's view as JSON: a run has the fields that it has in the API, and what only the owner may know."""

from datetime import datetime
from typing import Any

import msgspec

from owlrunner.owner import OwnedRun, RunView, ScheduleView, ServerView
from owlrunner.storage.audit import AuditEntry, SecurityEvent
from owlrunner.storage.job_runs import StoredLogLine
from owlrunner.storage.overview import DecidedFire, LastFire, StoredNotification
from owlrunner.web.rendering import audit_entry, instant, log_page, maybe_instant, run_body

Json = dict[str, Any]


def run_json(owned: OwnedRun) -> Json:
    """One run."""
    surrounded, run = owned.surrounded, owned.surrounded.run
    told: Json = msgspec.to_builtins(run_body(owned.seen))
    return told | {
        "team": surrounded.team,
        "project": surrounded.project,
        "priority": run.priority,
        "restarts": surrounded.restarts,
        "server_id": str(run.server_id) if run.server_id else None,
        "server": surrounded.server,
        "schedule": surrounded.schedule,
        "fire_time": maybe_instant(surrounded.fire_time),
    }


def view_json(view: RunView) -> Json:
    """One run with its notifications."""
    return run_json(view.owned) | {"notifications": [notification_json(one) for one in view.notifications]}


def logs_json(lines: list[StoredLogLine]) -> list[Json]:
    """The lines of a run's log."""
    told: list[Json] = msgspec.to_builtins(log_page(lines, None, has_more=False).logs)
    return told


def audit_json(entry: AuditEntry) -> Json:
    """One act of somebody."""
    told: Json = msgspec.to_builtins(audit_entry(entry))
    return told | {"team": entry.team}


def event_json(event: SecurityEvent) -> Json:
    """What has happened about a sign-in."""
    return event._asdict() | {"at": instant(event.at)}


def schedule_json(view: ScheduleView) -> Json:
    """One schedule."""
    last = _fire(view.last_fire) if view.last_fire is not None else None
    return {
        "name": view.name,
        "job_type": view.job_type,
        **view.definition,
        "words": view.words,
        "last_fire": last,
        "next_fire": maybe_instant(view.next_fire),
    }


def fire_json(decided: DecidedFire) -> Json:
    """One fire time of a schedule."""
    return {"schedule": decided.schedule, **_fire(decided.fire), "decided_at": instant(decided.decided_at)}


def _fire(fire: LastFire) -> Json:
    return {
        "fire_time": instant(fire.time),
        "outcome": fire.outcome,
        "reason": fire.reason,
        "run_id": str(fire.run_id) if fire.run_id else None,
        "run_status": fire.run_status,
        "active_run_id": str(fire.active_run_id) if fire.active_run_id else None,
    }


def server_json(view: ServerView) -> Json:
    """One server."""
    known = view.known
    return {
        "id": str(known.id),
        "name": known.name,
        "state": str(view.state),
        "since": instant(view.since),
        "lease_left": round(known.lease_left, 3),
        "held_runs": known.held_runs,
        "capacity": known.capacity,
        "job_types": known.job_types,
        "version": known.version,
        "started_at": instant(known.started_at),
        "buried_at": maybe_instant(known.buried_at),
    }


def notification_json(one: StoredNotification) -> Json:
    """One notification."""
    times = {key: maybe_instant(value) for key, value in one._asdict().items() if isinstance(value, datetime)}
    return {**one._asdict(), **times, "id": str(one.id), "run_id": str(one.run_id) if one.run_id else None}
