"""The handler that catches what is logged inside runs stays in its place, whatever handlers of jobs do to logging."""

import logging
from collections.abc import Iterator

import pytest

from owlrunner.runtime.run_logs import CaughtRunLogs, caught_run_logs


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, left as it was."""
    root = logging.getLogger()
    handlers, disabled = root.handlers[:], root.manager.disable
    yield root
    root.handlers[:] = handlers
    logging.disable(disabled)


def test_it_catches_as_long_as_the_block_lasts(root: logging.Logger) -> None:
    """It is there at once, and gone afterwards."""
    before = root.handlers[:]
    with caught_run_logs() as caught:
        assert len(root.handlers) == len(before) + 1
        assert not caught.put_back()
    assert root.handlers == before


def test_a_handler_that_was_removed_is_put_back(root: logging.Logger) -> None:
    """Once, and it says so."""
    with caught_run_logs() as caught:
        (ours,) = root.handlers[-1:]
        root.removeHandler(ours)
        assert caught.put_back()
        assert root.handlers.count(ours) == 1
        assert not caught.put_back()


def test_what_was_switched_off_is_switched_on(root: logging.Logger) -> None:
    """``logging.disable`` of a job is undone; that of the program around it stays."""
    logging.disable(logging.DEBUG)
    caught = CaughtRunLogs()
    caught.put_back()
    logging.disable(logging.CRITICAL)
    assert caught.put_back()
    assert root.manager.disable == logging.DEBUG
    assert not caught.put_back()
    assert root.handlers.count(root.handlers[-1]) == 1
