"""Long answers of PostgreSQL are read with turns for other tasks in between."""

from typing import Any
from uuid import UUID

import trio

from owlrunner.storage import job_runs
from owlrunner.storage.postgres import ROWS_AT_ONCE, Database, _in_slices
from tests.storage.rows import put_run


async def put_lines(db: Database, lines: int) -> UUID:
    """A run with so many lines of log."""
    async with db.session() as session:
        run_id = await put_run(session)
        await session.connection.execute(
            b"insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)"
            b" select %s, 1, n, now(), 'info', 'job', n::text from generate_series(1, %s) n",
            [run_id, lines],
        )
    return run_id


async def test_all_rows_are_read_in_order(db: Database) -> None:
    """Whether they are as many as are read at once, one more, or many."""
    for lines in (ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE):
        found = await job_runs.log_page(db, await put_lines(db, lines), (0, 0), 1000)
        assert [line.message for line in found] == [str(number + 1) for number in range(lines)]


class Answer:
    """A cursor with three rows, which notes how far it was read."""

    left = 3

    async def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Give the next row."""
        assert size == ROWS_AT_ONCE
        self.left -= 1
        return [(self.left,)] if self.left >= 0 else []


async def test_a_cancel_between_two_turns_loses_no_answer() -> None:
    """What a statement has done is told, though whoever asked for it is cancelled meanwhile."""
    answer: Any = Answer()
    async with trio.open_nursery() as nursery:
        # Its turn comes after the first rows.
        nursery.start_soon(_cancel, nursery.cancel_scope)
        assert await _in_slices(answer) == [(2,), (1,), (0,)]
        assert nursery.cancel_scope.cancel_called


async def _cancel(scope: trio.CancelScope) -> None:
    scope.cancel()
