"""Which loops move: a loop that is late is named, one that may wait for ever is not."""

import math

import pytest

from owlrunner.runtime import loop_health
from owlrunner.runtime.loop_health import LoopHealth


def test_a_loop_that_does_not_come_round_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop is late once its pause and the grace are over, by its name, until it has come round again."""
    now = 1000.0
    monkeypatch.setattr("owlrunner.runtime.loop_health.time.monotonic", lambda: now)
    health = LoopHealth()
    health.came_round("claim", 5.0)
    health.came_round("record", 60.0)
    now += 5.0 + loop_health.GRACE
    assert health.late() == []
    now += 1.0
    assert health.late() == ["claim: no round for 21 s"]
    assert repr(health) == "<LoopHealth claim, record; late: claim: no round for 21 s>"
    health.came_round("claim", 5.0)
    assert health.late() == []
    assert repr(health) == "<LoopHealth claim, record; late: none>"


def test_a_loop_that_waits_for_something_to_happen_is_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is full claims nothing, however long its runs take, and that is as it should be."""
    now = 1000.0
    monkeypatch.setattr("owlrunner.runtime.loop_health.time.monotonic", lambda: now)
    health = LoopHealth()
    health.came_round("claim", math.inf)
    now += 1e9
    assert health.late() == []
