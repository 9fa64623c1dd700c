"""A server on a database whose sessions have every setting wrong does all that it does elsewhere."""

import attrs
import pytest

import owlrunner
from owlrunner.job_run import RunStatus
from owlrunner.plugins import Catalog, build_catalog
from tests.hostile import make_hostile
from tests.promises import promise_jobs
from tests.promises.serving import OPERATOR, Door, Serve


@attrs.frozen
class Owl:
    """What to write."""

    owl: str


@owlrunner.job_type(scope="system")
async def writes(ctx: owlrunner.JobContext, params: Owl) -> dict[str, str]:
    """Log, write into a table of the job's own, and return what was read from there."""
    ctx.log.info("a line with an owl 🦉 and a backslash \\n")
    ctx.progress(1, 2, "half 🦉")
    # In a transaction, as behind a pooler it must be.
    async with ctx.connect() as connection, connection.transaction():
        await connection.execute("create table mine (owl text, moment timestamptz)")
        await connection.execute("insert into mine values (%s, '2026-03-04 05:06:07+00')", (params.owl,))
        cursor = await connection.execute("select owl, moment from mine")
        ((owl, moment),) = await cursor.fetchall()
    return {"owl": owl, "moment": moment.isoformat()}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The job types of promise_jobs, and one more."""
    usual = build_catalog({"promise_jobs": ("tests", promise_jobs, {})})
    return Catalog(job_types={**usual.job_types, "writes": writes})


async def test_runs_end_as_elsewhere(door: Door, serve: Serve) -> None:
    """Params, log, progress, result and the handler's own rows are kept as they were; retries and cancels work."""
    make_hostile(door.db.conninfo)
    await serve()
    run_id = await door.trigger("writes", params={"owl": "🦉 'quoted' \\ back"})
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert run.result == {"owl": "🦉 'quoted' \\ back", "moment": "2026-03-04T05:06:07+00:00"}
    assert run.progress == {"processed": 2, "total": 2, "message": "half 🦉"}
    assert [line.message for line in await door.jobs.logs(OPERATOR, run_id, (0, 0), 10)] == [
        "a line with an owl 🦉 and a backslash \\n"
    ]
    assert (await door.until(await door.trigger("third_time_lucky"), RunStatus.COMPLETED)).result == {"attempt": 3}
    deaf = await door.trigger("deaf")
    await door.until_told(deaf, "sleeping")
    await door.cancel(deaf)
    await door.until(deaf, RunStatus.CANCELLED)
