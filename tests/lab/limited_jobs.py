"""A job type with a limit, in a plugin of its own: where a server offers one, each of its claims takes more statements."""

import owlrunner
from tests.lab.lab_jobs import Work, work


@owlrunner.job_type(scope="system", cancel_grace=0.0, max_running=1)
async def lab_limited(ctx: owlrunner.JobContext, params: Work) -> dict[str, int]:
    """Work, one at a time in the cluster."""
    return await work(ctx, params)


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """The one."""
    return [lab_limited]
