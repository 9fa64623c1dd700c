"""The heartbeat's thread, on a clock that the test turns: when it beats, what it makes of answers, and whom it names."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import attrs
import pytest

from owlrunner.errors import DatabaseUnavailable
from owlrunner.runtime import heartbeat
from owlrunner.runtime.heartbeat import LOOK_INTERVAL, STALLED_EXIT_CODE, _Beat
from owlrunner.runtime.stalls import STALL_WORTH_TELLING
from owlrunner.storage.servers import BlockingHeartbeat, Registration

LEASE = 60.0
REGISTRATION = Registration(
    id=UUID(int=1), name="barn", version="0", job_types=["a"], fingerprints=["f"], capacity=10, lease=LEASE
)


class Ended(BaseException):
    """In the place of the end of the process."""


@attrs.define(eq=False)
class Machine:
    """A clock, which goes on when the thread waits, and a database that answers the thread's beats."""

    now: float = 1000.0
    until: float = 1000.0 + 10 * LEASE
    loop_lives: Callable[[float], bool] = lambda _: True
    answers: Callable[[float], bool] = lambda _: True
    beats: list[float] = attrs.field(factory=list)
    closed: bool = False
    subject: Any = None

    def wait(self, seconds: float) -> bool:
        """Stand for the event that ends the thread."""
        self.now += seconds
        if self.loop_lives(self.now):
            self.subject.loop_seen = self.now
        return self.now >= self.until

    def beat(self) -> bool:
        """Answer a beat."""
        self.beats.append(self.now)
        return self.answers(self.now)

    def close(self) -> None:
        """Close the connection."""
        self.closed = True


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """In the place of this one."""
    machine = Machine()
    monkeypatch.setattr(heartbeat, "_now", lambda: machine.now)
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    return machine


def run(machine: Machine, *, stall_limit: float = 30.0, exits: bool = False, lease: float = LEASE) -> _Beat:
    """Let the thread's side run to its end."""
    connection: BlockingHeartbeat = machine  # type: ignore[assignment]
    subject = _Beat(
        attrs.evolve(REGISTRATION, lease=lease), connection, stall_limit, threading.get_ident(), exits=exits
    )
    machine.subject = subject
    subject.stop = machine  # type: ignore[assignment]
    subject.run()
    return subject


def test_three_beats_in_a_lease(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """The first one at once, and then one in each third of a lease; nothing is told, and the connection is closed at the end."""
    subject = run(machine)
    assert machine.beats == [1000.0 + LOOK_INTERVAL + number * LEASE / 3 for number in range(30)]
    assert subject.age == machine.now - machine.beats[-1]
    assert machine.closed
    assert caplog.records == []


@pytest.mark.parametrize(("lease", "interval"), [(60.0, LOOK_INTERVAL), (2.0, 0.05)])
def test_a_short_lease_is_looked_after_more_often(machine: Machine, lease: float, interval: float) -> None:
    """Twice a second, or forty times in a lease where that is more."""
    machine.until = machine.now
    assert run(machine, lease=lease).interval == interval


def test_a_beat_that_fails_is_sent_again_soon(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Twice a second until it is answered; it is told once for each outage, and the lease ages meanwhile."""

    def answers(now: float) -> bool:
        if 1005 < now < 1100 or 1300 < now < 1330:
            raise DatabaseUnavailable("away")
        return True

    machine.answers = answers
    ages: dict[float, float] = {}
    machine.loop_lives = lambda now: ages.setdefault(now, machine.subject.age) >= 0
    run(machine)
    failed = [beat for beat in machine.beats if 1005 < beat < 1100]
    assert failed == [failed[0] + number * LOOK_INTERVAL for number in range(len(failed))]
    assert ages[1100.0] == 1100.0 - 1000.5
    assert ages[1101.0] == 1.0
    assert [record.getMessage() for record in caplog.records] == ["heartbeat failed: away"] * 2


def test_a_first_beat_that_fails_is_told(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """It is one like any other: it is told once, and the thread goes on."""

    def answers(now: float) -> bool:
        if now < 1002:
            raise DatabaseUnavailable("away")
        return True

    machine.answers = answers
    run(machine)
    assert [record.getMessage() for record in caplog.records] == ["heartbeat failed: away"]
    assert machine.beats[:4] == [1000.5, 1001.0, 1001.5, 1002.0]


def test_a_server_that_was_taken_for_dead_beats_no_more(machine: Machine) -> None:
    """When the database says so the thread ends, and that beat renewed nothing."""
    machine.answers = lambda now: now < 1030
    subject = run(machine)
    assert subject.marked_dead
    assert [beat for beat in machine.beats if beat > 1030] == machine.beats[-1:]
    assert subject.age == machine.now - machine.beats[-2]
    assert machine.closed


def test_whatever_goes_wrong_is_told(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Where something unexpected ends the thread its traceback is logged, and the connection is closed."""

    def answers(_: float) -> bool:
        raise ZeroDivisionError

    machine.answers = answers
    run(machine)
    assert [record.getMessage() for record in caplog.records] == ["the heartbeat's thread has failed"]
    assert machine.closed


def test_a_loop_that_shows_no_life_is_told(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """After two seconds, at each doubling, and when it is over; who blocks it later is told anew."""
    machine.loop_lives = lambda now: not (1010 < now < 1025 or 1100 < now < 1103)
    run(machine)
    told = [record.getMessage() for record in caplog.records]
    place = "something has been blocking the event loop for {} s at {}; use trio.to_thread.run_sync for blocking calls"
    assert [line.partition(" at ")[0] for line in told] == [
        *(place.format(seconds, "").partition(" at ")[0] for seconds in ("2.0", "4.0", "8.0")),
        "something blocked the event loop for 15.0 s",
        place.format("2.0", "").partition(" at ")[0],
        "something blocked the event loop for 3.0 s",
    ]
    assert "test_heartbeat.py:" in told[0] or "stalls.py:" in told[0] or "heartbeat.py:" in told[0]


def test_past_the_limit_the_heartbeat_stops(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """A loop that is blocked for longer than ``stall_limit`` has no beats; that is told once, and they go on when it lives."""
    machine.loop_lives = lambda now: not 1010 < now < 1100
    run(machine, stall_limit=30.0)
    assert [beat for beat in machine.beats if 1040 <= beat < 1100] == []
    assert [beat for beat in machine.beats if 1010 < beat < 1040]
    assert [beat for beat in machine.beats if 1100 <= beat < 1101]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["the event loop has shown no life for 30 s: the heartbeat stops, and other servers may take over"]


def test_past_the_limit_the_process_may_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``exit_when_stalled`` it does, with a status of its own and a line that says why."""

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    machine.loop_lives = lambda now: now <= 1010
    with pytest.raises(Ended, match=str(STALLED_EXIT_CODE)):
        run(machine, exits=True)
    assert machine.now == 1010 + 30
    assert caplog.records[-1].levelno == logging.CRITICAL


def test_a_moment_is_not_worth_telling(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """A loop that is busy for less than two seconds is as it should be."""
    machine.loop_lives = lambda now: now % STALL_WORTH_TELLING == 0
    run(machine)
    assert caplog.records == []
