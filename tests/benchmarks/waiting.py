"""This is the room for waiting until something is so, with an end to it: the driver looks, and nothing of it is measured."""

import time
from collections.abc import Callable

PATIENCE = 60.0
_NAP = 0.02


def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Look again and again. Raises RuntimeError when the patience is over."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {patience:g} seconds in vain: {what}")
        time.sleep(_NAP)
