"""Decode large input in a thread, so that the event loop goes on meanwhile.

A mebibyte of JSON that is meant to be slow takes up to two seconds from the text to what is stored. A thread does not make it
quicker, but lets everybody else have a turn every few milliseconds.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
import trio

T = TypeVar("T")

LARGE = 16 * 1024
"""Bytes of JSON. What is smaller takes the event loop a few milliseconds at the worst."""

# One at a time: each further thread would take as many turns from the event loop as the first.
_decoding = trio.CapacityLimiter(1)


async def decoded(work: Callable[[], T], size: int) -> T:
    """Call ``work`` and return what it returns, in a thread where the input that it works on has many bytes."""
    if size <= LARGE:
        return work()
    return await trio.to_thread.run_sync(work, limiter=_decoding)


def json_of(value: object) -> bytes | None:
    """A value as JSON; None where it cannot be written: whoever decodes it says why."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def size_of(value: object) -> int:
    """How many bytes of JSON a value makes, or more than LARGE where it cannot be written."""
    written = json_of(value)
    return LARGE + 1 if written is None else len(written)
