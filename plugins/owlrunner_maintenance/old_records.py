"""This is the room for deleting old fires of schedules, and login codes and sign-ins that ran out."""

from datetime import datetime
from typing import Any
from uuid import UUID

import attrs
from psycopg import sql

import owlrunner
from owlrunner_maintenance.queries import changed, rows
from owlrunner_maintenance.retention import Retention


async def delete_fires(retention: Retention) -> None:
    """Delete the old fires of each schedule; the last one of a schedule that is deployed stays. A dry run counts them."""
    report = retention.report
    for schedule, last in await retention.step("schedule_fires", _on_record):
        after: datetime | None = None
        while times := await _old_fires(retention, schedule, last, after):
            after = times[-1]
            gone = len(times) if report.dry_run else await _delete_fires(retention, schedule, times)
            report.deleted["fires"] += gone
            retention.tell(len(times), f"{report.deleted['fires']:,} fires {report.verb}")


async def _on_record(connection: owlrunner.Connection) -> list[tuple[str, datetime | None]]:
    """The schedules with fires, each with the last one that has to stay."""
    return [(schedule, last) for schedule, last in await rows(connection, "fires_on_record")]


async def _old_fires(
    retention: Retention, schedule: str, last: datetime | None, after: datetime | None
) -> list[datetime]:
    params = {
        "schedule": schedule,
        "after": after,
        "cutoff": retention.report.old.cutoff,
        "last": last,
        "rows": retention.units.settings.batch_rows,
    }

    async def work(connection: owlrunner.Connection) -> list[datetime]:
        return [time for (time,) in await rows(connection, "old_fires", params)]

    return await retention.step("schedule_fires", work)


async def _delete_fires(retention: Retention, schedule: str, times: list[datetime]) -> int:
    params = {"schedule": schedule, "times": times}

    async def work(connection: owlrunner.Connection) -> int:
        return await changed(connection, "delete_fires", params)

    return await retention.step("schedule_fires", work)


@attrs.frozen
class Expiring:
    """A table of what runs out, to be walked along its primary key."""

    counter: str
    table: str
    key: str
    before_all: Any
    """Sorts before every key."""

    @property
    def parts(self) -> dict[str, sql.Composable]:
        """What stands in its queries."""
        return {"table": sql.Identifier(self.table), "key": sql.Identifier(self.key)}


EXPIRING = (
    # A new code for an address takes its old ones away, and a sign-in the user's; this is for those who never come back.
    Expiring("login_codes", "email_verification_codes", "id", UUID(int=0)),
    Expiring("sign_ins", "user_sessions", "token_hash", ""),
)


async def delete_expired(retention: Retention) -> None:
    """Delete the login codes and sign-ins that ran out more than a day ago; a dry run counts them."""
    for one in EXPIRING:
        after = one.before_all
        while page := await _page(retention, one, after):
            after = page[-1][0]
            keys = [key for key, expired in page if expired]
            dry_run = retention.report.dry_run
            retention.report.deleted[one.counter] += len(keys) if dry_run else await _delete(retention, one, keys)


async def _page(retention: Retention, one: Expiring, after: Any) -> list[tuple[Any, bool]]:
    params = {"after": after} | _limits(retention)

    async def work(connection: owlrunner.Connection) -> list[tuple[Any, bool]]:
        return [(key, expired) for key, expired in await rows(connection, "page_of_expired", params, **one.parts)]

    return await retention.step(one.table, work)


async def _delete(retention: Retention, one: Expiring, keys: list[Any]) -> int:
    if not keys:
        return 0
    params = {"keys": keys} | _limits(retention)

    async def work(connection: owlrunner.Connection) -> int:
        return await changed(connection, "delete_expired", params, **one.parts)

    return await retention.step(one.table, work)


def _limits(retention: Retention) -> dict[str, Any]:
    return {"expired": retention.report.old.expired, "rows": retention.units.settings.batch_rows}
