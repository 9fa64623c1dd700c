"""The contract with Trio: what is guarded needs guarding, and the guards hold."""

import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from owlrunner.runtime.trio_guard import (
    UnprintableError,
    close_abandoned_nurseries,
    make_nurseries_safe,
    open_nurseries,
)
from tests.hostile_errors import HostileRepr

ROOT = Path(__file__).parents[1]


async def raise_bad_repr() -> None:
    """Raise one in a child task."""
    async with trio.open_nursery() as nursery:

        async def child() -> None:
            raise HostileRepr

        nursery.start_soon(child)


def test_an_unprintable_exception_is_an_exception_like_others() -> None:
    """With the guard a child that raises an exception whose repr raises cancels its nursery and nothing else."""
    make_nurseries_safe()
    make_nurseries_safe()
    with pytest.RaisesGroup(pytest.RaisesExc(UnprintableError, match="HostileRepr")):
        trio.run(raise_bad_repr)


def test_the_guard_of_reprs_is_still_needed() -> None:
    """Without the guard such a child ends the whole program; when this fails, Trio has mended it and the guard can go."""
    program = "import trio\nfrom tests.test_trio_guard import raise_bad_repr\ntrio.run(raise_bad_repr)\n"
    # In a process of its own: what is left of Trio cannot be used any more.
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "TrioInternalError" in ended.stderr


async def leave_open() -> None:
    """Leave a nursery open inside of a generator, which is then collected."""

    async def numbers() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield 1

    async for _ in numbers():
        return


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("guarded", [True, False])
def test_a_nursery_left_open_harms_its_own_task_alone(guarded: bool) -> None:
    """A task that leaves a nursery open fails its parent, as Trio has it, unless the nursery is closed for it."""

    async def child() -> None:
        before = open_nurseries()
        try:
            await leave_open()
        finally:
            if guarded:
                close_abandoned_nurseries(before)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    if guarded:
        trio.run(main)
    else:
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="stack corrupted")):
            trio.run(main)
    gc.collect()


async def test_nurseries_of_the_surroundings_stay_open() -> None:
    """Only what was opened since is closed."""
    async with trio.open_nursery() as nursery:
        close_abandoned_nurseries(open_nurseries())
        ran: list[int] = []

        async def child() -> None:
            ran.append(1)

        nursery.start_soon(child)
    assert ran == [1]
