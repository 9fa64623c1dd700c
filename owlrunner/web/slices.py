"""Draw what is long a slice at a time, so that nobody waits for more than a slice of it.

Trio gives each task its turn until it waits for something. Two hundred runs take some ten milliseconds to draw, and with a dozen
such answers at once, whoever needs four turns to get an answer of their own waits half a second.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

T = TypeVar("T")
Drawn = TypeVar("Drawn")

SLICE = 20
"""Runs that are drawn in one turn, in about a millisecond."""


async def in_slices(items: Sequence[T], draw: Callable[[T], Drawn]) -> list[Drawn]:
    """Draw each item, with turns for others in between."""
    drawn: list[Drawn] = []
    for start in range(0, len(items), SLICE):
        if start:
            await trio.lowlevel.checkpoint()
        drawn += [draw(one) for one in items[start : start + SLICE]]
    return drawn
