"""procrastinate's worker, by its public API. Runs in a virtual environment of its own."""

import asyncio
import sys
import time

import procrastinate

from tests.benchmarks.tally import TALLY
from tests.benchmarks.workers import drip


def app(conninfo: str) -> procrastinate.App:
    """The app with its one task."""
    made = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))

    @made.task(name="noop")
    async def noop(n: int) -> dict[str, int]:
        TALLY.hit()
        return {"n": n}

    @made.task(name="dripping")
    async def dripping(sent: float) -> None:
        drip.arrived(sent)

    return made


async def main(verb: str, conninfo: str, number: int) -> None:
    """``schema``, ``fill`` or ``drip`` with a number of jobs, or ``work`` with a concurrency."""
    async with app(conninfo).open_async() as opened:
        match verb:
            case "schema":
                await opened.schema_manager.apply_schema_async()
            case "fill":
                for start in range(0, number, 1000):
                    await opened.tasks["noop"].batch_defer_async(
                        *({"n": n} for n in range(start, min(start + 1000, number)))
                    )
            case "drip":
                for _ in range(number):
                    await opened.tasks["dripping"].defer_async(sent=time.monotonic())
                    await asyncio.sleep(drip.PAUSE)
            case "work":
                TALLY.share()
                await opened.run_worker_async(concurrency=number, install_signal_handlers=False)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
