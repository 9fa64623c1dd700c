"""This is the room for deleting old runs with all that hangs on them: the oldest first, batch by batch."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs
from psycopg import sql

import owlrunner
from owlrunner_maintenance.foreign_keys import foreign_keys
from owlrunner_maintenance.hanging import Hanging, Weighed, batches
from owlrunner_maintenance.names import Names, Relation
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.retention import Retention
from owlrunner_maintenance.space import stored_bytes

_BEFORE_ALL = UUID(int=0)
_COUNTERS = {"job_run_logs": "logs", "job_run_progress": "progress"}
"""Tables that results name otherwise than they are called."""


@attrs.frozen
class _Runs:
    """The table of runs, and what hangs on it."""

    hanging: Hanging
    stored: sql.Composed


@attrs.frozen
class _Page:
    """The next old runs."""

    last: UUID
    going: list[Weighed]
    waiting: int
    """How many have a notification that is still to be sent."""


async def delete_runs(retention: Retention) -> None:
    """Delete the runs that ended before the cutoff, except for those that have to stay; count them in a dry run."""
    report = retention.report
    runs = await retention.step("job_runs", _look)
    kept = await retention.step("runs to keep", _kept)
    after = _BEFORE_ALL
    while page := await _page(retention, runs, kept, after):
        after = page.last
        report.waiting += page.waiting
        for batch in batches(page.going, retention.units.settings):
            if report.dry_run:
                _count(retention, len(batch), sum((run.hanging for run in batch), Counter()))
            else:
                await _delete(retention, runs, batch)
            retention.tell(len(batch), f"{report.deleted['runs']:,} runs {report.verb}")
        if page.waiting:
            retention.tell(page.waiting, f"{report.deleted['runs']:,} runs {report.verb}")


async def _look(connection: owlrunner.Connection) -> _Runs:
    ((oid, schema, name),) = await rows(connection, "linked_table", attrs.asdict(Names.of("job_runs")))
    table = Relation(oid, schema, name)
    hanging = await Hanging.on(connection, await foreign_keys(connection), table)
    return _Runs(hanging or Hanging("id", ()), await stored_bytes(connection, table))


async def _kept(connection: owlrunner.Connection) -> list[UUID]:
    return [run_id for (run_id,) in await rows(connection, "runs_to_keep")]


async def _page(retention: Retention, runs: _Runs, kept: list[UUID], after: UUID) -> _Page | None:
    old = retention.report.old
    params = {
        "after": after,
        "bound": old.bound,
        "cutoff": old.cutoff,
        "kept": kept,
        "rows": retention.units.settings.batch_rows,
    }

    async def work(connection: owlrunner.Connection) -> _Page | None:
        found = await rows(connection, "old_runs", params, stored=runs.stored)
        if not found:
            return None
        going = await runs.hanging.weigh(connection, [(key, size) for key, size, waits in found if not waits])
        return _Page(found[-1][0], going, len(found) - len(going))

    return await retention.step("job_runs", work)


async def _delete(retention: Retention, runs: _Runs, batch: list[Weighed]) -> None:
    """Delete the runs of one batch; what hangs on a run that is a batch by itself goes piece by piece before."""
    if batch[0].weight.exceeds(retention.units.settings):
        await _lighten(retention, runs, batch[0])
    params = {"ids": [run.key for run in batch], "cutoff": retention.report.old.cutoff}

    async def work(connection: owlrunner.Connection) -> tuple[int, Counter[str]]:
        ids: list[Any] = [run_id for (run_id,) in await rows(connection, "lock_old_runs", params)]
        gone = await runs.hanging.delete(connection, ids)
        return await changed(connection, "delete_old_runs", {"ids": ids}), gone

    _count(retention, *await retention.step("job_runs", work))


async def _lighten(retention: Retention, runs: _Runs, run: Weighed) -> None:
    settings = retention.units.settings
    params = {"ids": [run.key], "cutoff": retention.report.old.cutoff}

    async def work(connection: owlrunner.Connection) -> Counter[str]:
        # Locked anew for each piece: a run that is not to go any more keeps what is left.
        ids = [run_id for (run_id,) in await rows(connection, "lock_old_runs", params)]
        return await runs.hanging.delete_piece(connection, ids, settings) if ids else Counter()

    while gone := await retention.step("job_runs", work):
        _count(retention, 0, gone)


def _count(retention: Retention, runs: int, hanging: Mapping[str, int]) -> None:
    deleted = retention.report.deleted
    deleted["runs"] += runs
    for table, number in hanging.items():
        deleted[_COUNTERS.get(table, table)] += number
