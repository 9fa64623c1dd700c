"""What an attempt logs is kept until it is stored, from whichever thread it comes."""

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from owlrunner import context
from owlrunner.context import JobContext
from owlrunner.run_log import RunLog


def test_the_first_lines_may_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads whose lines are the first of the run lose none: neither replaces the other's log."""
    ctx = JobContext(
        run_id=uuid4(),
        job_type="x",
        project_id=None,
        team_id=None,
        attempt=1,
        connect=lambda _: pytest.fail("no database here"),
        on_news=lambda _: None,
    )
    other = threading.Thread(target=ctx.store_log_line, args=("info", "other", "from the other thread"))

    class Slow(RunLog):
        """While this is being made, another thread has a line to store."""

        def __init__(self, on_line: Callable[[], None]) -> None:
            if other.ident is None:
                other.start()
                # It either waits for us, or has stored its line by then.
                other.join(0.2)
            super().__init__(on_line)

    monkeypatch.setattr(context, "RunLog", Slow)
    ctx.store_log_line("info", "first", "from this thread")
    other.join()
    assert sorted(line.message for line in ctx.take_log_lines()) == ["from the other thread", "from this thread"]
