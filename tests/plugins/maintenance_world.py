"""What tests of the maintenance jobs hold in their hands: a database with months of events, a clock, and writers."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import psycopg
import trio

import owlrunner.testing
import owlrunner_maintenance
import owlrunner_revenuecat
from owlrunner.plugins import Catalog, build_catalog

NOW = datetime(2024, 5, 15, 12, tzinfo=UTC)
EVENT = (
    "insert into events (app_id, session_id, level, message, timestamp) values (%s, gen_random_uuid(), 'info', %s, %s)"
)
APP = "00000000-0000-0000-0000-0000000000aa"
OTHER_APP = "00000000-0000-0000-0000-0000000000bb"


def catalog(**table: Any) -> Catalog:
    """The plugin with its settings, beside the one that brings apps."""
    return build_catalog(
        {
            "maintenance": ("here", owlrunner_maintenance, table),
            "revenuecat": ("here", owlrunner_revenuecat, {}),
        }
    )


@attrs.define
class World:
    """A database of which the maintenance is in charge."""

    url: str
    connection: psycopg.Connection[tuple[Any, ...]]

    def sql(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        cursor = self.connection.execute(statement.encode(), params or None)
        return cursor.fetchall() if cursor.description is not None else []

    def one(self, statement: str, *params: Any) -> Any:
        """The one value that a query gives."""
        ((value,),) = self.sql(statement, *params)
        return value

    def set_now(self, moment: datetime) -> None:
        """From here on it is this time, for everybody."""
        self.sql(
            "create or replace function owl_now() returns timestamptz language sql stable parallel safe"
            f" as 'select timestamptz ''{moment.isoformat()}'''"
        )

    def partitions(self, parent: str) -> list[str]:
        """The names of a table's partitions."""
        found = self.sql(
            "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass order by 1", parent
        )
        return [name for (name,) in found]

    def bounds(self, partition: str) -> str:
        """The bounds of a partition, in UTC."""
        with self.connection.transaction():
            self.sql("set local timezone = 'UTC'")
            text: str = self.one(
                "select pg_get_expr(relpartbound, oid) from pg_class where oid = %s::regclass", partition
            )
        return text.removeprefix("FOR VALUES FROM ")

    def add_months(self, *months: str, parent: str = "events", rows: int = 0) -> None:
        """Partitions for these months (``2024_01``), each with so many events, an hour apart from its beginning on."""
        for month in months:
            start = f"timestamptz '{month.replace('_', '-')}-01 00:00+00'"
            end = f"({start} at time zone 'UTC' + interval '1 month') at time zone 'UTC'"
            self.sql(f"create table {parent}_{month} partition of {parent} for values from ({start}) to ({end})")
            self.fill(f"{parent}_{month}", start, rows)

    def fill(self, table: str, start: str, rows: int) -> None:
        """So many events, a minute apart; what else their table wants is found in its columns."""
        special = {
            "events": ("level", "message"),
            "metric_events": ("phase", "metric_slug"),
            "funnel_events": ("step_name", "message"),
        }
        first, second = special[re.sub(r"_\d.*", "", table)]
        value = {"level": "info", "phase": "start"}.get(first, "step")
        self.sql(
            f"insert into {table} (app_id, session_id, {first}, {second}, timestamp)"
            f" select %s, gen_random_uuid(), '{value}', 'event ' || n, {start} + n * interval '1 minute'"
            f" from generate_series(1, {rows}) n",
            APP,
        )

    @property
    def size(self) -> int:
        """What the database takes, in bytes."""
        size: int = self.one("select pg_database_size(current_database())")
        return size

    def add_event(self, when: datetime | str, message: str = "x", app: str = APP) -> None:
        """One event comes in."""
        self.sql(EVENT, app, message, when)

    async def run(self, job_type: str, params: object = None, **options: Any) -> owlrunner.testing.Report:
        """Run a job; what the test kit does not know is a setting."""
        kit = {name: options.pop(name) for name in ("cancel_when", "attempt") if name in options}
        wanted = catalog(**options).job_types[job_type]
        return await owlrunner.testing.run(wanted, params, database_url=self.url, **kit)

    async def result(self, job_type: str, params: object = None, **options: Any) -> dict[str, Any]:
        """The result of a run that completes."""
        report = await self.run(job_type, params, **options)
        assert report.status == "completed", report
        found: dict[str, Any] = report.result
        return found

    @contextlib.contextmanager
    def somebody(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Somebody else's transaction, which is open until the end of the block."""
        with psycopg.connect(self.url) as connection:
            yield connection
            connection.rollback()

    @contextlib.contextmanager
    def writers(self, *moments: datetime, count: int = 2) -> Iterator["Written"]:
        """Writers in threads that put events of these times in, one after the other, until the end of the block."""
        written, stop = Written(), threading.Event()
        threads = [
            threading.Thread(target=_write, args=(self.url, f"writer {number}", moments, written, stop))
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield written
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@attrs.define
class Written:
    """What the writers have done."""

    messages: list[str] = attrs.field(factory=list)
    """Of the events that were taken."""
    moment_of: dict[str, datetime] = attrs.field(factory=dict)
    """Message → the event's time."""
    refused: list[tuple[datetime, Exception]] = attrs.field(factory=list)
    longest_wait: float = 0.0
    """Seconds that one event has waited to be taken or refused."""
    begun: threading.Event = attrs.field(factory=threading.Event)

    @property
    def errors(self) -> list[Exception]:
        """Why events were refused."""
        return [error for _, error in self.refused]

    async def has_begun(self) -> None:
        """Wait until a writer has written an event of each time."""
        await trio.to_thread.run_sync(self.begun.wait)


def _write(url: str, name: str, moments: tuple[datetime, ...], written: Written, stop: threading.Event) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        number, last = 0, None
        while last is None or number < last:
            if last is None and stop.is_set():
                # Once more for each moment, so that all of them were tried after whatever the writers were beside.
                last = number + len(moments)
            message, moment = f"{name}, {number}", moments[number % len(moments)]
            written.moment_of[message] = moment
            start = time.monotonic()
            try:
                connection.execute(EVENT, (APP, message, moment))
            except psycopg.Error as error:
                written.refused.append((moment, error))
            else:
                written.messages.append(message)
            written.longest_wait = max(written.longest_wait, time.monotonic() - start)
            number += 1
            if number == len(moments):
                written.begun.set()
