"""What is watched while a case goes on: runs without an executor, executors without a run."""

import contextlib
from uuid import UUID

import attrs
import trio

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena
from tests.lab.broken import Broken

INTERVAL = 0.2
LONGEST_ZOMBIE = 0.8
"""Seconds that a handler may be seen at work after its lease has ended: a few looks."""


@attrs.define
class Watch:
    """Looks at database and diary side by side."""

    arena: Arena
    _unattended: dict[tuple[UUID, int], float] = attrs.field(factory=dict)
    _zombies: dict[tuple[UUID, int], float] = attrs.field(factory=dict)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            # Nobody locks what is looked at here, but for migrations.
            with contextlib.suppress(Broken):
                await self._look()
            await trio.sleep(INTERVAL)

    async def _look(self) -> None:
        now = trio.current_time()
        runs = await self.arena.observer.runs()
        executed = {(one.run, one.attempt) for one in self.arena.diary.executions if one.goes_on}
        running = {(run.id, run.attempt): run for run in runs if run.status is RunStatus.RUNNING}
        diarists = {key for key, run in running.items() if run.job_type.startswith("lab_")}
        held = {key for key, run in running.items() if run.has_living_server}
        # What a dead server left is nobody's fault before there is another.
        _update(self._unattended, diarists - executed if self.arena.url else set(), now)
        _update(self._zombies, executed - held, now)
        for since in self._unattended.values():
            if now - since > self.arena.bound:
                self.arena.breaks(f"running without an executor for more than {self.arena.bound:g} s")
        for since in self._zombies.values():
            if now - since > LONGEST_ZOMBIE:
                self.arena.breaks("a handler goes on after its lease has ended")


def _update(since: dict[tuple[UUID, int], float], present: set[tuple[UUID, int]], now: float) -> None:
    """Keep when each was seen first, as long as it is seen again and again."""
    for key in set(since) - present:
        del since[key]
    for key in present:
        since.setdefault(key, now)
