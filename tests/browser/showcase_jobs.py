"""Job types that look well in a picture; a plugin like any other, loaded by its module name."""

from typing import Annotated, Literal

import attrs
import trio
from msgspec import Meta

import owlrunner

SECONDS = 90


@attrs.frozen
class Import:
    """Where orders come from."""

    source: Annotated[Literal["shop", "marketplace", "file"], Meta(description="Where the orders come from")] = "shop"
    days: Annotated[int, Meta(ge=1, le=90, description="How many days back")] = 7
    skip: Annotated[list[str], Meta(description="Order numbers to leave out")] = attrs.field(factory=list)
    dry_run: Annotated[bool, Meta(description="Only tell what would be done")] = False


@owlrunner.job_type(scope="project", label="Import orders")
async def import_orders(ctx: owlrunner.JobContext, params: Import) -> dict[str, int]:
    """Fetch new orders, match them with customers, and update the stock."""
    total = 1200
    for done in range(total):
        ctx.progress(done, total, f"order {48_000 + done} matched")
        if done % 60 == 0:
            ctx.log.info("page %d of %s fetched, 60 orders", done // 60 + 1, params.source)
        if done % 170 == 100:
            ctx.log.warning("order %d has no customer; it waits in the inbox", 48_000 + done)
        # Shops answer more slowly the deeper one digs.
        await trio.sleep(SECONDS / total * (0.5 + done / total))
    return {"imported": total}


@owlrunner.job_type(scope="project", label="Send invoices")
async def send_invoices(ctx: owlrunner.JobContext) -> None:
    """Send what is due today."""
    await trio.sleep(SECONDS)


@owlrunner.job_type(scope="project", label="Nightly report")
async def nightly_report(ctx: owlrunner.JobContext) -> None:
    """Sum up the day for the owners of the shop."""


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [import_orders, send_invoices, nightly_report]
