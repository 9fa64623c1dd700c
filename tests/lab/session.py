"""A session: learn the statements of each scenario, make a case of each with each fault, and play them side by side."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import attrs
import trio

from tests.lab.arena import Setting
from tests.lab.faults import Case, Fault, Kind, Target
from tests.lab.ground import Ground
from tests.lab.play import Played, play
from tests.lab.proxy import BEATING
from tests.lab.scenarios import SCENARIOS
from tests.lab.server_process import Forge

T = TypeVar("T")

MOST_BEATS = 2
"""Heartbeats go on and on, and the third is like the second."""


class Unsound(Exception):
    """A scenario does not even hold without a fault."""


@attrs.frozen
class Verdict:
    """A case and how it went."""

    case: Case
    played: Played


@attrs.define
class Session:
    """Plays cases, so many at once."""

    ground: Ground
    forge: Forge
    setting: Setting
    at_once: int

    async def learn(self, scenarios: Sequence[str], kinds: Sequence[Kind]) -> list[Case]:
        """Play each scenario without a fault, and return a case for each statement and kind. Raises Unsound."""
        learned: dict[str, list[Target]] = {name: [] for name in scenarios}
        unsound: list[str] = []

        async def learn_one(name: str) -> None:
            played = await play(self.ground, self.forge, self.setting, SCENARIOS[name], None)
            if not played.holds:
                unsound.extend((f"{name}: broken without any fault: {'; '.join(played.broken)}", *played.log))
            learned[name] = played.seen

        await self._side_by_side(learn_one, scenarios)
        if unsound:
            raise Unsound("\n".join(unsound))
        return [
            Case(name, Fault(target, kind))
            for name, targets in learned.items()
            for target in targets
            for kind in kinds
            if target.connection not in BEATING or target.number <= MOST_BEATS
        ]

    async def play(
        self, cases: Sequence[Case], on_verdict: Callable[[Verdict], None], *, stop_at: float = float("inf")
    ) -> None:
        """Play cases; none is begun after ``stop_at``."""

        async def play_one(case: Case) -> None:
            if trio.current_time() > stop_at:
                return
            played = await play(self.ground, self.forge, self.setting, SCENARIOS[case.scenario], case.fault)
            on_verdict(Verdict(case, played))

        await self._side_by_side(play_one, cases)

    async def _side_by_side(self, do: Callable[[T], Awaitable[None]], everything: Iterable[T]) -> None:
        """Do it with each, so many at once, in order."""
        queue = iter(everything)

        async def work() -> None:
            for one in queue:
                await do(one)

        async with trio.open_nursery() as nursery:
            for _ in range(self.at_once):
                nursery.start_soon(work)


def shuffled(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases in the order that belongs to a seed."""
    order = sorted(cases, key=str)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    return order
