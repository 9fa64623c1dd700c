"""Know which loops move: what ``/ready`` answers with."""

import math
import time

GRACE = 20.0
"""Seconds that a round may take on top of the pause before it: two statements that are given up, and a new connection."""


class LoopHealth:
    """When each loop must have finished its next round."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<LoopHealth {', '.join(self._due)}; late: {', '.join(self.late()) or 'none'}>"

    def came_round(self, loop: str, next_within: float) -> None:
        """Note that a loop has finished a round and pauses for at most so many seconds; infinite: until something happens."""
        self._due[loop] = time.monotonic() + next_within + GRACE

    def late(self) -> list[str]:
        """Return what is wrong, a text for each loop that should have finished a round and has not."""
        now = time.monotonic()
        return [
            f"{loop}: no round for {now - due + GRACE:.0f} s"
            for loop, due in self._due.items()
            if now > due and due != math.inf
        ]
