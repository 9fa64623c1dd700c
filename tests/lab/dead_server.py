"""What a dead server leaves behind."""

import json
from collections.abc import Sequence
from uuid import UUID, uuid4

from tests.lab.arena import Arena

NOBODY = 4_194_305
"""A process id that no process has: the kernel's numbers end before."""


async def leave_behind(arena: Arena, job_types: Sequence[str]) -> list[UUID]:
    """A server's row with a lease that has run out, and runs of these job types in the middle of their execution."""
    server_id = uuid4()
    await arena.observer.rows(
        "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at)"
        " values (%s, %s, '0', '{}', 1, now(), now() - interval '1 second')",
        server_id,
        f"dead {server_id}",
    )
    left = []
    for job_type in job_types:
        ((run_id,),) = await arena.observer.rows(
            "insert into job_runs (job_type, status, triggered_by, attempt, started_at, server_id, requeue_on_restart)"
            " values (%s, 'running', 'operator', 1, now(), %s, %s) returning id",
            job_type,
            server_id,
            arena.jobs.catalog.job_types[job_type].requeue_on_restart,
        )
        entry = {"event": "start", "run": str(run_id), "attempt": 1, "pid": NOBODY, "at": 0.0}
        with arena.diary.file.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        left.append(run_id)
    arena.acknowledged.update(left)
    return left
