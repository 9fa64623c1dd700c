"""Remember for a moment which job types living servers offer, for the answers to triggers."""

import time

from owlrunner.storage.job_runs import Speaks
from owlrunner.storage.overview import anybody_for

REMEMBERED = 1.0
"""Seconds for which an answer holds. A server's lease is many times longer."""


class LivingOffers:
    """What was known a moment ago, by job type."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, tuple[bool, bool]]] = {}

    async def of(self, db: Speaks, job_type: str) -> tuple[bool, bool]:
        """Return whether any server is alive, and whether a living one offers the job type."""
        now = time.monotonic()
        known = self._known.get(job_type)
        if known is None or now - known[0] > REMEMBERED:
            known = self._known[job_type] = now, await anybody_for(db, job_type)
        return known[1]
