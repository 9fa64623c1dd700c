"""Keep two ways in which a handler can break Trio itself away from the other runs.

Both touch what is private to Trio, as lightly as possible; tests/test_trio_guard.py fails when a new Trio makes them
wrong or needless.
"""

import outcome
import trio
from trio._core import _run

from owlrunner.raised_errors import class_name


class UnprintableError(Exception):
    """Stands for an exception whose ``repr()`` raises."""


def make_nurseries_safe() -> None:
    """Let a child task raise an exception whose ``repr()`` raises.

    Trio puts the repr of what a child raised into the reason of a cancellation, in the run loop itself, where an exception ends
    the whole program (TrioInternalError). Calling this twice changes nothing.
    """
    if _run.Nursery._child_finished is not _child_finished:  # noqa: SLF001
        _run.Nursery._child_finished = _child_finished  # type: ignore[method-assign, assignment]  # noqa: SLF001


_trio_child_finished = _run.Nursery._child_finished  # noqa: SLF001


def _child_finished(self: trio.Nursery, task: trio.lowlevel.Task, result: "outcome.Outcome[object]") -> None:
    if isinstance(result, outcome.Error):
        try:
            repr(result.error)
        except BaseException:  # noqa: BLE001 - whatever it raises, nobody may see it here
            result = outcome.Error(UnprintableError(f"{class_name(result.error)} (its repr() raises)"))
    _trio_child_finished(self, task, result)


def open_nurseries() -> int:
    """Return how many nurseries the current task has open."""
    # The public property copies the list, for each run.
    return len(trio.lowlevel.current_task()._child_nurseries)  # noqa: SLF001


def close_abandoned_nurseries(before: int) -> None:
    """Cancel and detach the nurseries that the current task has opened and not closed since there were ``before``.

    ``async for x in generator(): return x`` leaves a nursery inside the generator open, and Trio then replaces the
    result of the task by an error, which would end every run beside it. This does what Trio does to such nurseries when
    a task exits, but before it looks.
    """
    task = trio.lowlevel.current_task()
    if len(task._child_nurseries) == before:  # noqa: SLF001
        return
    for nursery in task.child_nurseries[before:]:
        nursery.cancel_scope.cancel()
        nursery._closed = True  # noqa: SLF001 - what its children raise is dropped, as Trio itself has it
    task._child_nurseries = task.child_nurseries[:before]  # noqa: SLF001
