"""This is the room for how often a server's process looks for reference cycles."""

import gc

YOUNG = 10_000
"""Objects made and not yet freed before the young ones are looked at; Python's own 700 are what a handful of runs hold at once."""
OLD = 100
"""How often the middle-aged are looked at before the old ones are."""


def calm_collector() -> None:
    """Look for cycles less often, and never among what was there at the start. Memory without cycles is freed at once as ever.

    For a process that is ours: `make bench` showed a quarter of a drain's CPU in collections that found nothing, because thousands
    of runs that come and go look like growth to Python.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, OLD)
