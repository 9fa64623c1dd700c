"""The HTTP API as Python calls, for the command line and for scripts."""

from owlrunner.client.answers import ApiError
from owlrunner.client.calls import ENDED, FIRST_PAUSE, LONGEST_PAUSE, Client
from owlrunner.client.outages import OUTAGE_PATIENCE, LostSight, Unreachable

__all__ = ["ENDED", "FIRST_PAUSE", "LONGEST_PAUSE", "OUTAGE_PATIENCE", "ApiError", "Client", "LostSight", "Unreachable"]
