"""Remember for a minute who has asked too often, so that asking on costs neither a turn nor a line on record.

The limits are the database's: what it has refused it would refuse again until the time that it named.
"""

from collections.abc import Hashable

import trio

MOST = 10_000
"""Refusals that are remembered. The oldest gives way, and the database is asked again."""
KEPT = 60.0
"""Seconds for which one is remembered."""


class Refusals:
    """The refusals of one server."""

    def __init__(self) -> None:
        self._until: dict[Hashable, tuple[float, float]] = {}
        """When each is forgotten, and when it is over."""

    def remember(self, who: Hashable, seconds: float) -> None:
        """Somebody is refused for so many seconds."""
        self._until.pop(who, None)
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        now = trio.current_time()
        self._until[who] = (now + min(seconds, KEPT), now + seconds)

    def seconds_left(self, *who: Hashable) -> float:
        """For how many seconds one of these is refused still; 0 where it is not known that one is."""
        now = trio.current_time()
        known = [self._until[one] for one in who if one in self._until]
        return max((until - now for forgotten, until in known if forgotten > now), default=0.0)
