"""Schedules and their fires, put in for tests of single statements."""

from datetime import datetime
from typing import Any

from psycopg import sql

from owlrunner.storage.postgres import Session
from tests.storage.rows import now, put, value

QUEUED = {"outcome": "queued", "reason": "waits"}


async def put_schedule(session: Session, name: str = "s", **values: Any) -> str:
    """Insert a schedule and return its fingerprint."""
    about = {"name": name, "job_type": "a", "definition": '{"x": 1}', "decided_until": now(-60), "source": "file"}
    row = await put(session, "schedules", **about | values)
    return str(
        await value(
            session, sql.SQL("(select owl_fingerprint(definition) from schedules where name = {})").format(row["name"])
        )
    )


async def put_fire(session: Session, seconds: float, schedule: str = "s", **values: Any) -> datetime:
    """Insert a fire and return its time."""
    row = await put(session, "schedule_fires", **{"schedule": schedule, "fire_time": now(seconds)} | QUEUED | values)
    return datetime.fromisoformat(str(row["fire_time"]))
