"""Not asking faster than allowed: slots of time that all workers of a run take turns with, and all runs of a key share."""

import math
from collections import deque
from typing import Protocol

import trio

MOST_AT_ONCE = 10
"""How many requests may be made up for after a silence, all at once."""
LATE = 1.0
"""Seconds after which a slot that nobody took is given up: used later, it would crowd those that others hold."""
BATCH = 2.0
"""Seconds' worth of slots that are booked at once, so that sharing costs a statement every other second."""
LARGEST_BATCH = 1000
_A_MOMENT = 1e-6
"""Seconds that are not worth a sleep; sums of floats are off by less."""


class Shared(Protocol):
    """The one book that all who use an API key write their slots into."""

    async def reserve(self, length: float, made_up_for: float) -> float | None:
        """Book so many seconds; return when they begin, in seconds from now, or None where that cannot be learned."""

    async def pause(self, seconds: float) -> None:
        """Have nothing booked for so many seconds from now on."""


class Pace:
    """Lets through at most ``per_minute`` calls in any sixty seconds, in the order in which they came.

    What may be made up for, and come late, is taken off the rate. Where the shared book cannot be read, a run keeps the pace
    for itself, as if it were alone: a 429 then tells all who went too fast.
    """

    def __init__(self, per_minute: int, shared: Shared | None = None) -> None:
        self._most = per_minute
        self._shared = shared
        self._slots: deque[float] = deque()
        self._booked_until = -math.inf
        # Whoever holds it waits for the next slot; the others queue behind it, first come, first served.
        self._turn = trio.Lock()
        self._set(per_minute)

    def _set(self, per_minute: int) -> None:
        self._per_minute = per_minute
        made_up_for = min(MOST_AT_ONCE, per_minute // 6)
        self._gap = (60 + LATE) / (per_minute - made_up_for)
        self._made_up_for = made_up_for * self._gap

    async def acquire(self) -> None:
        """Wait until one more call is allowed."""
        async with self._turn:
            # Looked at anew after each sleep, because a pause may have taken the slot meanwhile.
            while True:
                now = trio.current_time()
                while self._slots and self._slots[0] < now - LATE - self._made_up_for:
                    self._slots.popleft()
                if not self._slots:
                    await self._book()
                elif self._slots[0] <= now + _A_MOMENT:
                    self._slots.popleft()
                    return
                else:
                    await trio.sleep(self._slots[0] - now)

    async def pause(self, seconds: float) -> None:
        """Let nobody through for so many seconds, and slowly afterwards; others with the same key learn it when they book next.

        A pause never shortens a longer one.
        """
        self._slots.clear()
        self._booked_until = max(self._booked_until, trio.current_time() + seconds)
        if self._shared is not None:
            await self._shared.pause(seconds)

    async def heed(self, limit: str | None, usage: str | None, pause: float) -> None:
        """Keep to the limit that RevenueCat tells with an answer where it is lower than the own one; pause when it is used up."""
        if not (limit or "").isdecimal() or not (told := int(limit or "")):
            return
        if (lower := min(told, self._most)) != self._per_minute:
            self._set(lower)
        if (usage or "").isdecimal() and int(usage or "") >= told:
            await self.pause(pause)

    async def _book(self) -> None:
        count = max(1, min(LARGEST_BATCH, int(BATCH / self._gap)))
        gap, made_up_for = self._gap, self._made_up_for
        wait = await self._shared.reserve(count * gap, made_up_for) if self._shared is not None else None
        now = trio.current_time()
        start = max(self._booked_until, now - made_up_for, now + wait if wait is not None else -math.inf)
        self._slots.extend(start + number * gap for number in range(count))
        self._booked_until = start + count * gap
