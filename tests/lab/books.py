"""The books are checked: what must be true at the end of every case, whatever happened in it."""

import itertools
import math
from uuid import UUID

from owlrunner.job_run import TRANSITIONS, RunStatus
from tests.lab.arena import Arena, lost_its_lease
from tests.lab.diary import Execution
from tests.lab.observer import Run

MOST_CONNECTIONS = 20
"""A server's own at rest: the API's ten, the runtime's six, and some to spare."""
_NOTIFICATIONS = "select id, notifier, status::text from notifications"


async def audit(arena: Arena) -> None:
    """Put on record whatever is wrong."""
    runs = {run.id: run for run in await arena.observer.runs()}
    executions = arena.diary.executions
    for run_id in arena.acknowledged | arena.cancelled:
        if run_id not in runs:
            arena.breaks("an acknowledged run is gone")
    for run in runs.values():
        _check_run(arena, run, [one for one in executions if one.run == run.id])
    _check_overlaps(arena, runs, executions)
    await _check_moves(arena)
    await _check_notifications(arena)


def _check_run(arena: Arena, run: Run, executions: list[Execution]) -> None:
    """What a run says of itself against what was asked and what was executed."""
    lost = lost_its_lease(run)
    if run.id in arena.cancelled and not lost and run.status not in {RunStatus.CANCELLED, RunStatus.COMPLETED}:
        arena.breaks(f"a run whose cancel was acknowledged is {run.status} ({run.error})")
    if not run.job_type.startswith("lab_"):
        return
    returned = [one for one in executions if one.how == "returned"]
    if run.status is RunStatus.COMPLETED and not any(one.attempt == run.attempt for one in returned):
        arena.breaks("completed, though no handler returned in that attempt")
    if run.status is RunStatus.FAILED and not executions:
        arena.breaks(f"failed ({run.error}), though it was never executed")
    if returned and not lost and run.status in {RunStatus.FAILED, RunStatus.CANCELLED}:
        arena.breaks(f"a handler returned, and the run is {run.status} ({run.error})")
    job_type = arena.jobs.catalog.job_types[run.job_type]
    if not job_type.requeue_on_restart and len(executions) > job_type.retry.max_attempts:
        arena.breaks(f"executed {len(executions)} times")


def _check_overlaps(arena: Arena, runs: dict[UUID, Run], executions: list[Execution]) -> None:
    """No two handlers at once on one run, or in one slot."""
    # Whose process was killed ended at some time that nobody wrote down.
    known = [one for one in executions if one.run in runs and (one.end is not None or one.goes_on)]
    for one, other in itertools.combinations(known, 2):
        if one.start >= (other.end or math.inf) or other.start >= (one.end or math.inf):
            continue
        job_type = runs[one.run].job_type
        if one.run == other.run:
            arena.breaks("two executions of one run at once")
        elif job_type == runs[other.run].job_type and arena.jobs.catalog.job_types[job_type].exclusive:
            arena.breaks("two executions in one slot at once")


async def _check_moves(arena: Arena) -> None:
    """Each run ends once, and goes only where runs may go."""
    moves = await arena.observer.rows("select run_id, before, after from lab_moves")
    for _, before, after in moves:
        if RunStatus(after) not in TRANSITIONS[RunStatus(before)]:
            arena.breaks(f"a run went from {before} to {after}")


async def _check_notifications(arena: Arena) -> None:
    """What counts as sent was sent, and nothing is given up. That each is sent in time is waited for before."""
    told = set(arena.diary.notified)
    for notification_id, notifier, status in await arena.observer.rows(_NOTIFICATIONS):
        if status == "given_up" or (status == "sent" and notifier == "diary" and notification_id not in told):
            arena.breaks(f"a notification is {status}, and was never sent")


async def check_connections(arena: Arena) -> None:
    """No transaction is left open, and there are no more connections than at rest."""
    open_for_long = await arena.observer.rows(
        "select pid from pg_stat_activity where datname = current_database() and state like 'idle in transaction%%'"
        " and state_change < clock_timestamp() - interval '2 s' and pid <> all(%s)",
        arena.proxy.stranded,
    )
    if open_for_long:
        arena.breaks("a transaction was left open")
    count = sum(not link.silent for link in arena.proxy.links)
    if count > MOST_CONNECTIONS:
        arena.breaks(f"{count} connections are left")
