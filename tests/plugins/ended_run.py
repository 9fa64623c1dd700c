"""Notifications about a run that has ended, and about schedules, for tests of notifiers."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from owlrunner.job_run import JobRun, RunStatus
from owlrunner.missed_fires import MissedFires
from owlrunner.notification import Notification

RUN_ID = UUID("01a20ae1-26a1-7b2c-8fd7-6d3e0c1b7f10")
NOTIFICATION_ID = UUID("01a20ae1-4444-7b2c-8fd7-6d3e0c1b7f10")
TEAM_ID = UUID("01a20ae1-5555-7b2c-8fd7-6d3e0c1b7f10")
PROJECT_ID = UUID("01a20ae1-6666-7b2c-8fd7-6d3e0c1b7f10")
CREATED = datetime(2026, 3, 28, 20, 0, 0, 123_456, tzinfo=UTC)
LINK = f"https://jobs.acme.test/dashboard/jobs/{RUN_ID}"


def ended_run(**differing: Any) -> JobRun:
    """A run of a project that took four minutes and completed."""
    fields: dict[str, Any] = {
        "id": RUN_ID,
        "job_type": "revenuecat_sync",
        "status": RunStatus.COMPLETED,
        "team_id": TEAM_ID,
        "project_id": PROJECT_ID,
        "triggered_by": "manual:user:01a20ae1-7777-7b2c-8fd7-6d3e0c1b7f10",
        "params": {"token": "sk_in_params"},
        "progress": {"processed": 3, "total": 3, "message": "Synced 3 users"},
        "result": {"synced": 3, "failed": 0},
        "error": None,
        "notify": True,
        "started_at": CREATED + timedelta(seconds=1),
        "completed_at": CREATED + timedelta(seconds=243),
        "created_at": CREATED,
        "run_at": CREATED,
        "priority": 0,
        "attempt": 1,
        "max_attempts": 1,
        "server_id": None,
        "cancel_requested_at": None,
        "cancelled_by": None,
    }
    return JobRun(**(fields | differing))


def notification(run: JobRun | None = None, **differing: Any) -> Notification:
    """What is said about it to the one who asked."""
    fields: dict[str, Any] = {
        "id": NOTIFICATION_ID,
        "recipient": "ann@acme.test",
        "run": run or ended_run(),
        "label": "RevenueCat Sync",
        "project": "Shop",
        "team": "Acme",
        "link": LINK,
    }
    return Notification(**(fields | differing))


def missed_alert(*schedules: str) -> Notification:
    """What the owner is told of schedules that have each missed two fire times and made up for one."""
    why = ("no server was running",)
    fires = [MissedFires(name, "tidy", 1, 1, CREATED, CREATED + timedelta(hours=1), why) for name in schedules]
    about: dict[str, Any] = {"run": None, "label": "", "missed_fires": tuple(fires), "created_at": CREATED}
    return Notification(NOTIFICATION_ID, "ops@acme.test", **about)
