"""PgQueuer's worker, by its public API. Runs in a virtual environment of its own."""

import asyncio
import json
import sys
import time

import asyncpg
import pgqueuer
import uvloop

from tests.benchmarks.tally import TALLY
from tests.benchmarks.workers import drip


async def main(verb: str, conninfo: str, number: int) -> None:
    """``schema``, ``fill`` or ``drip`` with a number of jobs, or ``work`` with a batch size."""
    connection = await asyncpg.connect(conninfo)
    driver = pgqueuer.AsyncpgDriver(connection)
    match verb:
        case "schema":
            await pgqueuer.Queries(driver).install()
        case "fill":
            queries = pgqueuer.Queries(driver)
            for start in range(0, number, 1000):
                payloads = [json.dumps({"n": n}).encode() for n in range(start, min(start + 1000, number))]
                await queries.enqueue(["noop"] * len(payloads), list[bytes | None](payloads), [0] * len(payloads))
        case "drip":
            queries = pgqueuer.Queries(driver)
            for _ in range(number):
                await queries.enqueue("dripping", json.dumps({"sent": time.monotonic()}).encode())
                await asyncio.sleep(drip.PAUSE)
        case "work":
            TALLY.share()
            queue = pgqueuer.PgQueuer(driver)

            @queue.entrypoint("noop")
            async def noop(job: pgqueuer.Job) -> None:
                json.loads(job.payload or b"null")
                TALLY.hit()

            @queue.entrypoint("dripping")
            async def dripping(job: pgqueuer.Job) -> None:
                drip.arrived(json.loads(job.payload or b"null")["sent"])

            await queue.run(batch_size=number)


if __name__ == "__main__":
    # Its best is with uvloop, its default without.
    if sys.argv[1:] and sys.argv[4:] == ["uvloop"]:
        uvloop.install()
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
