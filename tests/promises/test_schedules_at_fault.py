"""P6 where something goes wrong: other definitions, locked rows, bad schedules, lost answers, servers that were away."""

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio

import owlrunner
from owlrunner.cron import Cron
from owlrunner.errors import DatabaseUnavailable
from owlrunner.plugins import Catalog
from owlrunner.runtime.scheduler import SOON, Scheduler
from owlrunner.schedule import Schedule
from owlrunner.schedules_file import load_schedules
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell
from tests.promises.faults import lost_answers
from tests.promises.serving import Door
from tests.promises.test_schedules import START, Clock, clock, end_active_runs, fires, hourly, schedulers

__all__ = ["clock"]

ONE = datetime(2026, 1, 1, 1, tzinfo=UTC)


@attrs.frozen
class Since:
    """Params that TOML and JSON write differently."""

    day: date | None = None
    factor: float = 1.0


@owlrunner.job_type(scope="system", default_schedule="0 * * * *")
async def nightly(ctx: owlrunner.JobContext, params: Since) -> None:
    """Recur by itself."""


NIGHTLY = Catalog(job_types={"nightly": nightly})


@contextlib.asynccontextmanager
async def locked(door: Door, name: str) -> AsyncIterator[None]:
    """Another server is deciding for a schedule, and does not come to an end."""
    async with door.db.session() as session, session.transaction():
        await session.connection.execute("select from schedules where name = %s for update", (name,))
        yield


async def outcomes(door: Door) -> list[tuple[str, str | None]]:
    """Outcome and reason of every fire on record."""
    return [
        (outcome, reason)
        for outcome, reason in await door.sql("select outcome, reason from schedule_fires order by fire_time, schedule")
    ]


@pytest.mark.parametrize(
    "params", ["day = 2026-01-02", "factor = 1e300", "factor = 1e23", "factor = 0.1", "factor = 5"]
)
async def test_no_value_in_params_silences_a_schedule(door: Door, clock: Clock, params: str, tmp_path: Path) -> None:
    """Whatever a file's params hold, and however PostgreSQL writes it, the schedule fires, and the run has those params."""
    file = tmp_path / "schedules.toml"
    file.write_text(f'[schedules.x]\njob_type = "nightly"\ncron = "0 * * * *"\nparams = {{ {params} }}\n')
    (wanted,) = [one for one in load_schedules(file, NIGHTLY) if one.name == "x"]
    (scheduler,) = await schedulers(door, NIGHTLY, 1, wanted)
    await clock.set(ONE)
    await scheduler.look()
    ((stored,),) = await door.sql("select params from job_runs")
    assert nightly.decode_params(stored) == nightly.decode_params(wanted.params)


async def test_a_locked_schedule_is_looked_at_again_within_a_second(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A server that finds another one deciding does not wait for the next fire time."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="skip"))
    await clock.set(ONE)
    async with locked(door, "hourly"):
        assert await scheduler.look() <= 1.0
    await scheduler.look()
    assert await fires(door) == [(1, "ran")]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_fire_for_which_a_server_was_there_runs_however_late(
    door: Door, clock: Clock, catalog: Catalog, restarts: bool
) -> None:
    """With missed="skip" a fire that a hung server kept locked for ten minutes runs, on a server that has restarted meanwhile."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="skip"))
    async with locked(door, "hourly"):
        for seconds in range(-60, 600, 30):
            await clock.set(ONE + timedelta(seconds=seconds))
            await scheduler.look()
    if restarts:
        (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="skip"))
    await scheduler.look()
    assert await fires(door) == [(1, "ran")]


@pytest.mark.parametrize(
    ("job_types", "ended_at", "reason"),
    [
        (["polite"], ONE + timedelta(minutes=1), "a server was running, and stopped, hung or lost the database"),
        (["deaf"], ONE + timedelta(minutes=1), "no server that was running offered polite"),
        (["polite"], ONE - timedelta(minutes=1), "no server was running"),
    ],
)
async def test_a_missed_fire_says_why(
    door: Door, clock: Clock, catalog: Catalog, job_types: list[str], ended_at: datetime, reason: str
) -> None:
    """Whether a server was there at the fire time is told from the register of servers."""
    await schedulers(door, catalog, 1, hourly(missed="skip"))
    await door.sql(
        "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at, buried_at)"
        " values (gen_random_uuid(), 'a', '1', %s, 1, %s, %s, now())",
        job_types,
        START,
        ended_at,
    )
    await clock.set(ONE + timedelta(minutes=30))
    (later,) = await schedulers(door, catalog, 1, hourly(missed="skip"))
    await later.look()
    ((outcome, told),) = await outcomes(door)
    assert outcome == "missed"
    assert told is not None
    assert told.startswith(reason)


async def queue_one(door: Door, clock: Clock, scheduler: Scheduler) -> None:
    """At one o'clock a run starts, and at two a fire waits for its end."""
    for hour in (1, 2):
        await clock.set(ONE.replace(hour=hour))
        await scheduler.look()
    assert await fires(door) == [(1, "ran"), (2, "queued")]


async def test_a_queued_fire_starts_by_the_definition_that_holds_now(
    door: Door, clock: Clock, catalog: Catalog
) -> None:
    """A server with the old definition does not start it, and one with the new starts it with the new params."""
    unchanged = Schedule("unchanged", "deaf", Cron.parse("0 0 1 6 *"), overlap="queue")
    (old,) = await schedulers(door, catalog, 1, hourly(overlap="queue", params={"steps": 1}), unchanged)
    await queue_one(door, clock, old)
    (new,) = await schedulers(door, catalog, 1, hourly(overlap="queue", params={"steps": 2}), unchanged)
    await end_active_runs(door)
    await old.look()
    assert await fires(door) == [(1, "ran"), (2, "queued")]
    await new.look()
    assert await fires(door) == [(1, "ran"), (2, "ran")]
    assert await door.sql("select params from job_runs where status = 'pending'") == [({"steps": 2},)]


async def test_a_queued_fire_goes_with_its_schedule(door: Door, clock: Clock, catalog: Catalog) -> None:
    """It is recorded as skipped when the schedule is removed, and does not run when it comes back two months later."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(overlap="queue"))
    await queue_one(door, clock, scheduler)
    await schedulers(door, catalog, 1)
    assert (await outcomes(door))[1] == ("skipped", "the schedule was removed or switched off before its turn came")
    await end_active_runs(door)
    await clock.set(datetime(2026, 3, 1, 0, 30, tzinfo=UTC))
    (back,) = await schedulers(door, catalog, 1, hourly(overlap="queue"))
    await back.look()
    assert await door.sql("select count(*) from job_runs") == [(1,)]


@pytest.mark.parametrize(
    ("hours_away", "missed", "outcome"),
    [(3, "latest", "ran"), (30, "latest", "missed"), (3, "skip", "missed"), (0.01, "skip", "ran")],
)
async def test_a_fire_that_waited_while_nobody_was_there_is_missed(
    door: Door, clock: Clock, catalog: Catalog, hours_away: float, missed: str, outcome: str
) -> None:
    """A waiting fire outlives a restart, and a time without servers as far as the schedule makes up for what was missed."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(overlap="queue", missed=missed))
    await queue_one(door, clock, scheduler)
    await end_active_runs(door)
    await clock.set(ONE + timedelta(hours=1 + hours_away))
    (back,) = await schedulers(door, catalog, 1, hourly(overlap="queue", missed=missed))
    await back.look()
    assert (await fires(door))[1] == (2, outcome)


async def test_missed_all_runs_each_after_the_other(door: Door, clock: Clock, catalog: Catalog) -> None:
    """Five missed fires run in order on two servers, each when the run before has ended, and a crash in between loses none."""
    await schedulers(door, catalog, 1, hourly(missed="all"))
    await clock.set(ONE + timedelta(hours=4, minutes=30))
    several = await schedulers(door, catalog, 2, hourly(missed="all"))
    for done in range(1, 6):
        for scheduler in several:
            await scheduler.look()
        assert await fires(door) == [(hour, "ran" if hour <= done else "queued") for hour in range(1, 6)]
        await end_active_runs(door)
        # The one that has decided dies, and another takes its place.
        several = [*several[1:], *await schedulers(door, catalog, 1, hourly(missed="all"))]
    assert await door.sql("select extract(hour from fire_time at time zone 'UTC')::int from job_runs order by id") == [
        (hour,) for hour in range(1, 6)
    ]


@pytest.mark.parametrize(("overlap", "outcome"), [("skip", "skipped"), ("queue", "queued")])
async def test_a_fire_on_time_stands_behind_those_that_were_missed(
    door: Door, clock: Clock, catalog: Catalog, overlap: str, outcome: str
) -> None:
    """While missed fires wait for their turn, the next one follows the schedule's overlap, and no second one waits."""
    await schedulers(door, catalog, 1, hourly(missed="all", overlap=overlap))
    await clock.set(ONE + timedelta(hours=1, minutes=30))
    (scheduler,) = await schedulers(door, catalog, 1, hourly(missed="all", overlap=overlap))
    await scheduler.look()
    for hour in (3, 4):
        await clock.set(ONE.replace(hour=hour))
        await scheduler.look()
    assert await fires(door) == [(1, "ran"), (2, "queued"), (3, outcome), (4, "skipped")]


async def test_what_waits_is_looked_at_soon(door: Door, clock: Clock, catalog: Catalog) -> None:
    """The run that a fire waits for may end on any server, so it is looked for every second."""
    (scheduler,) = await schedulers(door, catalog, 1, hourly(overlap="queue"))
    await queue_one(door, clock, scheduler)
    assert await scheduler.look() == SOON


async def names(door: Door) -> list[str]:
    """Which schedules are deployed."""
    return [name for (name,) in await door.sql("select name from schedules order by name")]


def alone(door: Door, catalog: Catalog) -> Scheduler:
    """The scheduler of a server with these job types."""
    return Scheduler(door.db, job_types=catalog.job_types, bell=Bell(), on_triggered=lambda: None)


async def test_a_default_of_a_job_type_that_a_server_does_not_know_stays(
    door: Door, clock: Clock, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """A server with fewer plugins leaves it alone; one that has the job type, without a default, removes it and says so."""
    await alone(door, NIGHTLY).replace(load_schedules(None, NIGHTLY), owns_file=False)
    await alone(door, catalog).replace([hourly()], owns_file=True)
    assert await names(door) == ["hourly", "nightly"]
    with caplog.at_level(logging.WARNING, "owlrunner"):
        await alone(door, NIGHTLY).replace([], owns_file=False)
    assert await names(door) == ["hourly"]
    reason = "it is not in the defaults of this server's job types any more"
    assert f"schedule nightly (nightly) was removed: {reason}" in caplog.text


async def test_the_file_owns_its_schedules(
    door: Door, clock: Clock, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """A server without a file leaves those of the file alone and says so; one with a file removes what is not in it, by name."""
    overridden = Schedule("nightly", "nightly", Cron.parse("30 * * * *"))
    await alone(door, Catalog(job_types={**catalog.job_types, **NIGHTLY.job_types})).replace(
        [hourly(), overridden], owns_file=True
    )
    with caplog.at_level(logging.WARNING, "owlrunner"):
        await alone(door, NIGHTLY).replace(load_schedules(None, NIGHTLY), owns_file=False)
    assert await names(door) == ["hourly", "nightly"]
    assert await door.sql("select definition->>'cron' from schedules where name = 'nightly'") == [("30 * * * *",)]
    assert "schedule hourly (polite) comes from a file of schedules, and this server has none" in caplog.text
    with caplog.at_level(logging.WARNING, "owlrunner"):
        await alone(door, NIGHTLY).replace(load_schedules(None, NIGHTLY), owns_file=True)
    assert await door.sql("select name, source from schedules") == [("nightly", "default")]
    assert "schedule hourly (polite) was removed: it is not in the file of schedules any more" in caplog.text


async def test_what_nobody_looks_at_any_more_goes_after_a_week(
    door: Door, clock: Clock, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """When plugin and file are gone for a week any server clears up after them, and a default takes its place again."""
    overridden = Schedule("nightly", "nightly", Cron.parse("30 * * * *"))
    (first,) = await schedulers(
        door, Catalog(job_types={**catalog.job_types, **NIGHTLY.job_types}), 1, hourly(), overridden
    )
    await clock.set(START + timedelta(days=6))
    await first.look()
    await clock.set(START + timedelta(days=12, hours=23))
    await alone(door, NIGHTLY).replace(load_schedules(None, NIGHTLY), owns_file=False)
    assert await door.sql("select distinct source from schedules") == [("file",)]
    await clock.set(START + timedelta(days=13, hours=1))
    await alone(door, NIGHTLY).replace(load_schedules(None, NIGHTLY), owns_file=False)
    assert await door.sql("select name, source from schedules") == [("nightly", "default")]
    assert "schedule hourly (polite) was removed: no server has looked at it for a week" in caplog.text


async def test_a_start_does_not_wait_for_who_is_deciding(door: Door, clock: Clock, catalog: Catalog) -> None:
    """A schedule that is unchanged is not touched by a server that starts, though another one has it locked."""
    await schedulers(door, catalog, 1, hourly())
    async with locked(door, "hourly"):
        with trio.fail_after(10):
            (started,) = await schedulers(door, catalog, 1, hourly())
        await clock.set(ONE)
        assert await started.look() == SOON


BAD = Schedule("a bad one", "parallel", Cron.parse("0 * * * *"))


async def spoil(door: Door, how: str) -> None:
    """Make a statement for the bad schedule fail."""
    await door.sql(f"""
        create function spoil() returns trigger language plpgsql as $$ begin {how}; return new; end $$;
        create trigger spoil before insert on schedule_fires for each row when (new.schedule = 'a bad one')
            execute function spoil()
    """)


async def test_a_refused_statement_stops_no_other_schedule(
    door: Door, clock: Clock, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """What PostgreSQL refuses for one schedule is told with its name, and the others fire."""
    await spoil(door, "raise 'too bad'")
    (scheduler,) = await schedulers(door, catalog, 1, BAD, hourly())
    await clock.set(ONE)
    await scheduler.look()
    assert await door.sql("select schedule, outcome from schedule_fires") == [("hourly", "ran")]
    assert "schedule a bad one cannot be decided" in caplog.text
    assert "too bad" in caplog.text


class Broken(Cron):
    """An expression whose times cannot be computed."""

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Never get there."""
        raise OverflowError(f"no time after {instant}")


async def test_a_cron_that_cannot_be_computed_stops_no_other_schedule(
    door: Door, clock: Clock, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking at a schedule is guarded as deciding it is."""
    broken = attrs.evolve(BAD, cron=Broken.parse("0 * * * *"))
    (scheduler,) = await schedulers(door, catalog, 1, broken, hourly())
    await clock.set(ONE)
    await scheduler.look()
    assert await door.sql("select schedule, outcome from schedule_fires where outcome = 'ran'") == [("hourly", "ran")]
    assert "schedule a bad one cannot be decided" in caplog.text


async def test_a_schedule_that_breaks_the_connection_stops_no_other(door: Door, clock: Clock, catalog: Catalog) -> None:
    """One whose decision ends the session each time comes last from then on."""
    await spoil(door, "perform pg_terminate_backend(pg_backend_pid())")
    (scheduler,) = await schedulers(door, catalog, 1, BAD, hourly())
    await clock.set(ONE)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await scheduler.look()
    assert await door.sql("select schedule, outcome from schedule_fires") == [("hourly", "ran")]


async def test_a_commit_that_is_not_answered_makes_no_second_run(
    door: Door, clock: Clock, catalog: Catalog, database_url: str
) -> None:
    """The connection breaks after the commit and before its answer: the scheduler looks again, and finds the fire decided."""
    parallel = Schedule("hourly", "parallel", Cron.parse("0 * * * *"))
    async with lost_answers(database_url) as fault, Database(fault.url) as db:
        scheduler = Scheduler(db, job_types=catalog.job_types, bell=Bell(), on_triggered=lambda: None)
        await scheduler.replace([parallel], owns_file=True)
        await clock.set(ONE)
        fault.is_armed = True
        with pytest.raises(DatabaseUnavailable):
            await scheduler.look()
        assert fault.lost == 1
        await scheduler.look()
    assert await fires(door) == [(1, "ran")]
    assert await door.sql("select count(*) from job_runs") == [(1,)]


async def test_a_commit_that_fails_is_decided_again(door: Door, clock: Clock, catalog: Catalog) -> None:
    """The session ends at the commit, before it takes effect: nothing is on record, and the next look decides."""
    await door.sql("""
        create sequence cuts;
        create function cut() returns trigger language plpgsql as $$ begin
            if nextval('cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if; return null; end $$;
        create constraint trigger cut after insert on schedule_fires deferrable initially deferred
            for each row execute function cut()
    """)
    (scheduler,) = await schedulers(door, catalog, 1, hourly())
    await clock.set(ONE)
    with pytest.raises(DatabaseUnavailable):
        await scheduler.look()
    assert await fires(door) == []
    await scheduler.look()
    assert await fires(door) == [(1, "ran")]
    assert await door.sql("select count(*) from job_runs") == [(1,)]
