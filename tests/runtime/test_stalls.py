"""A handler that blocks the event loop is named, with the place and for how long, and so is the end of it."""

import sys

import pytest

from owlrunner.context import JobContext
from owlrunner.runtime.stalls import Stall
from tests.test_execution import make_attempt, run_with


@pytest.fixture(autouse=True)
def monotonic(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 1003 seconds past something."""
    monkeypatch.setattr("owlrunner.runtime.stalls.time.monotonic", lambda: 1003.0)


async def test_the_handler_that_blocks_is_named_in_both_logs(caplog: pytest.LogCaptureFixture) -> None:
    """The server's log and the run's say which run blocks the loop, where and for how long; and the server's when it is over."""
    stall = Stall(1000.0)

    async def blocks(_: JobContext) -> None:
        stall.tell(sys._getframe())
        stall.over()

    attempt = make_attempt(blocks)
    await run_with(attempt)
    who = f"job type work (run {attempt.ctx.run_id})"
    told, over = caplog.messages
    assert told.startswith(f"{who} has been blocking the event loop for 3.0 s at {__file__}:")
    assert over == f"{who} blocked the event loop for 3.0 s"
    assert [line.message for line in attempt.ctx.take_log_lines()] == [told]


def test_what_blocks_outside_of_any_handler_is_told_as_something(caplog: pytest.LogCaptureFixture) -> None:
    """Where no handler is on the loop's stack, or the loop has no stack any more, the stall is told all the same."""
    stall = Stall(1000.0)
    stall.over()
    stall.tell(sys._getframe())
    stall.tell(None)
    over, told, lost = caplog.messages
    assert over == "something blocked the event loop for 3.0 s"
    assert told.startswith(f"something has been blocking the event loop for 3.0 s at {__file__}:")
    assert lost.startswith("something has been blocking the event loop for 3.0 s at an unknown place;")


def test_a_stall_is_told_again_when_it_has_doubled() -> None:
    """What has been told after three seconds is told again after six."""
    stall = Stall(1000.0)
    stall.tell(None)
    assert stall.tell_at == 6.0
