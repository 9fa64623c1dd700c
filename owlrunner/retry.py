"""How often a failed attempt is followed by another, and after which wait."""

import math
import random
from typing import Any

import attrs

LONGEST_DELAY = 1e9
"""Seconds, about 31 years: a longer wait may end after the last day that PostgreSQL or Python knows."""


def _positive(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number above 0, got {value!r}")


def _at_most_decades(instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    _positive(instance, attribute, value)
    if value > LONGEST_DELAY:
        raise ValueError(f"{attribute.name} must be at most {LONGEST_DELAY:g}, got {value!r}")


@attrs.frozen
class Retry:
    """How often a failed attempt is followed by another, and after which wait.

    The wait before attempt *n + 1* is ``first_delay * factor**(n - 1)`` seconds, at most ``max_delay``, of which a random
    share between ``1 - jitter`` and 1 is taken, so that runs which failed together do not come back together.
    """

    max_attempts: int = attrs.field(
        default=3, validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(1000))
    )
    first_delay: float = attrs.field(default=5.0, validator=_positive)
    factor: float = attrs.field(default=2.0, validator=attrs.validators.ge(1.0))
    max_delay: float = attrs.field(default=3600.0, validator=_at_most_decades)
    jitter: float = attrs.field(
        default=0.25, validator=attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))
    )

    def delay_after(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (1 for the first) has failed."""
        try:
            delay = min(self.first_delay * float(self.factor) ** (attempt - 1), self.max_delay)
        except OverflowError:
            delay = self.max_delay
        return delay * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, keeps no secret


NO_RETRY = Retry(max_attempts=1)
