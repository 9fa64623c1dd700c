"""What is long is drawn with turns for others in between."""

import trio

from owlrunner.web.slices import SLICE, in_slices


async def test_others_have_turns_between_slices() -> None:
    """Each item is drawn, in order, and whoever else is ready goes on after each slice, also after the first."""
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        drawn = await in_slices(range(9 * SLICE), lambda number: (number, turns))
        nursery.cancel_scope.cancel()
    assert [number for number, _ in drawn] == list(range(9 * SLICE))
    # Trio lets either of two that are ready go first.
    of_slices = [{turns for _, turns in drawn[at : at + SLICE]} for at in range(0, 9 * SLICE, SLICE)]
    assert all(turns in ({number - 1}, {number}) for number, turns in enumerate(of_slices))


async def test_nothing_is_drawn_of_nothing() -> None:
    """An empty list has no slice."""
    nothing: list[int] = []
    assert await in_slices(nothing, str) == []
