"""Large input is decoded beside the event loop, and small input by it."""

import threading
from typing import Any

import pytest
import trio

from owlrunner.large_input import LARGE, decoded, size_of


async def test_the_event_loop_goes_on_while_large_input_is_decoded() -> None:
    """Decoding that waits for another task comes to its end."""
    others_had_a_turn = threading.Event()

    async def another() -> None:
        others_had_a_turn.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        assert await decoded(lambda: others_had_a_turn.wait(30), LARGE + 1)


async def test_small_input_needs_no_thread() -> None:
    """It is decoded at once, by whoever asks."""
    here = threading.get_ident()
    assert await decoded(threading.get_ident, LARGE) == here
    assert await decoded(threading.get_ident, LARGE + 1) != here


async def test_large_input_is_decoded_one_after_another() -> None:
    """Two threads would take twice as many turns from the event loop."""
    busy = threading.Lock()
    overlapped = []

    def work() -> None:
        overlapped.append(not busy.acquire(blocking=False))
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
        busy.release()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(decoded, work, LARGE + 1)
    assert overlapped == [False] * 3


@pytest.mark.parametrize("size", [1, LARGE + 1])
async def test_what_decoding_raises_is_raised(size: int) -> None:
    """In a thread or not."""

    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        await decoded(work, size)


@pytest.mark.parametrize(
    ("value", "size"), [({"a": [1, 2]}, 11), (None, 4), ("\ud800", LARGE + 1), ({1: 2}, 7), (object(), LARGE + 1)]
)
def test_how_large_a_value_is(value: Any, size: int) -> None:
    """As JSON, and large where it cannot be that."""
    assert size_of(value) == size
