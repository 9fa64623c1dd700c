"""This is the room for deleting old runs with their logs and notifications: the oldest first, batch by batch."""

from collections.abc import Iterable, Iterator
from uuid import UUID

import attrs

import owlrunner
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.retention import Retention

_BEFORE_ALL = UUID(int=0)


@attrs.frozen
class EndedRun:
    """A run that is old enough, with how much hangs on it."""

    id: UUID
    logs: int
    notifications: int
    waits: bool
    """A notification about it is still to be sent."""

    @property
    def weight(self) -> int:
        """How many rows go with it, its own included."""
        return 1 + self.logs + self.notifications


def batches(runs: Iterable[EndedRun], most: int) -> Iterator[list[EndedRun]]:
    """The runs in lists of at most ``most`` rows, or of one run that has more by itself."""
    batch: list[EndedRun] = []
    weight = 0
    for run in runs:
        if batch and weight + run.weight > most:
            yield batch
            batch, weight = [], 0
        batch.append(run)
        weight += run.weight
    if batch:
        yield batch


async def delete_runs(retention: Retention) -> None:
    """Delete the runs that ended before the cutoff, except for those that have to stay; count them in a dry run."""
    report, most = retention.report, retention.units.settings.batch_rows
    kept = await retention.step("runs to keep", _kept)
    after = _BEFORE_ALL
    while page := await _page(retention, kept, after):
        after = page[-1].id
        going = [run for run in page if not run.waits]
        waiting = len(page) - len(going)
        report.waiting += waiting
        for batch in batches(going, most):
            if report.dry_run:
                _count(retention, len(batch), sum(run.logs for run in batch), sum(run.notifications for run in batch))
            else:
                await _delete(retention, batch)
            retention.tell(len(batch), f"{report.deleted['runs']:,} runs {report.verb}")
        if waiting:
            retention.tell(waiting, f"{report.deleted['runs']:,} runs {report.verb}")


async def _kept(connection: owlrunner.Connection) -> list[UUID]:
    return [run_id for (run_id,) in await rows(connection, "runs_to_keep")]


async def _page(retention: Retention, kept: list[UUID], after: UUID) -> list[EndedRun]:
    old = retention.report.old
    params = {
        "after": after,
        "bound": old.bound,
        "cutoff": old.cutoff,
        "kept": kept,
        "rows": retention.units.settings.batch_rows,
    }

    async def work(connection: owlrunner.Connection) -> list[EndedRun]:
        return [EndedRun(*row) for row in await rows(connection, "old_runs", params)]

    return await retention.step("job_runs", work)


async def _delete(retention: Retention, batch: list[EndedRun]) -> None:
    """Delete the runs of one batch; the log of a run that is a batch by itself goes piece by piece before."""
    if batch[0].weight > retention.units.settings.batch_rows:
        await _shorten_log(retention, batch[0])
    params = {"ids": [run.id for run in batch], "cutoff": retention.report.old.cutoff}

    async def work(connection: owlrunner.Connection) -> tuple[int, int, int]:
        ((runs, logs, notifications),) = await rows(connection, "delete_old_runs", params)
        return runs, logs, notifications

    _count(retention, *await retention.step("job_runs", work))


async def _shorten_log(retention: Retention, run: EndedRun) -> None:
    params = {"run": run.id, "rows": retention.units.settings.batch_rows}

    async def work(connection: owlrunner.Connection) -> int:
        return await changed(connection, "delete_log_lines", params)

    for _ in range(run.logs // retention.units.settings.batch_rows):
        _count(retention, 0, await retention.step("job_run_logs", work), 0)


def _count(retention: Retention, runs: int, logs: int, notifications: int) -> None:
    retention.report.deleted.update(runs=runs, logs=logs, notifications=notifications)
