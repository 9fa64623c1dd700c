"""This is the room for keeping history short: what ended long ago is deleted, beside those who work on the same tables."""

import owlrunner
from owlrunner_maintenance.ended_runs import delete_runs
from owlrunner_maintenance.old_records import delete_expired, delete_fires
from owlrunner_maintenance.queries import rows
from owlrunner_maintenance.retention import Old, Report, Retention
from owlrunner_maintenance.settings import MaintenanceSettings
from owlrunner_maintenance.units import LockBusy, MaintenanceFailed, Stopped, units_of

KEEPS_ALL = {"skipped": True, "reason": "retention_days not configured"}


async def forget(
    ctx: owlrunner.JobContext, settings: MaintenanceSettings, *, days: int, dry_run: bool
) -> dict[str, object]:
    """Delete what ended more than ``days`` ago, and return ``Report.result``.

    A run that is asked to cancel returns what it has. A dry run changes nothing and tells what it would do.

    Raises MaintenanceFailed when others had a table locked for too long; what was deleted before stays deleted.
    """
    async with units_of(ctx, settings) as units:
        report = Report(
            await units.patiently("looking at the clock", lambda connection: _old(connection, days)), dry_run
        )
        retention = Retention(units, report)
        try:
            report.total = await units.patiently("counting", lambda connection: _count(connection, report.old))
            retention.tell(0, f"About {report.total:,} runs and fires are old enough")
            await delete_runs(retention)
            await delete_fires(retention)
            await delete_expired(retention)
        except Stopped:
            return report.result(cancelled=True)
        except LockBusy as error:
            raise MaintenanceFailed(f"{error} ({report})") from error
        finally:
            ctx.log.info("%s", report)
    return report.result()


async def _old(connection: owlrunner.Connection, days: int) -> Old:
    ((cutoff, bound, expired),) = await rows(connection, "retention_bounds", {"days": days})
    return Old(cutoff, bound, expired)


async def _count(connection: owlrunner.Connection, old: Old) -> int:
    ((number,),) = await rows(connection, "count_old", {"cutoff": old.cutoff, "bound": old.bound})
    return int(number)
