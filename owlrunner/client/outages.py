"""This is the room for enduring a server that is away for a while."""

from collections.abc import Callable

from owlrunner.client.answers import ApiError
from owlrunner.errors import OwlRunnerError

OUTAGE_PATIENCE = 120.0
"""Seconds that a server may be away while a run is watched."""
PASSING = frozenset({429, 502, 503, 504})
"""Statuses that say: come back later."""


class Unreachable(OwlRunnerError):
    """The server did not answer; whether it got the request is unknown."""


class LostSight(OwlRunnerError):
    """A watched run's server stayed away for too long; the run may well go on."""


class Patience:
    """How long an outage is endured."""

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        on_outage: Callable[[OwlRunnerError], None],
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._on_outage = on_outage
        self._given_up_at: float | None = None

    def renew(self) -> None:
        """The server is there."""
        self._given_up_at = None

    def endure(self, error: Unreachable | ApiError) -> None:
        """Tell it, and wait a while. Raises the error where waiting does not help, and LostSight."""
        if isinstance(error, ApiError) and error.status not in PASSING:
            raise error
        now = self._clock()
        self._given_up_at = now + OUTAGE_PATIENCE if self._given_up_at is None else self._given_up_at
        if now >= self._given_up_at:
            raise LostSight(f"{error}; tried for {OUTAGE_PATIENCE:g} seconds") from None
        self._on_outage(error)
        wanted = error.retry_after if isinstance(error, ApiError) else None
        self._sleep(min(wanted or 1.0, 10.0))
