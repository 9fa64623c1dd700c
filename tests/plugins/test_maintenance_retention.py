"""run_retention: what ended long ago goes in small batches, and nothing that is still wanted goes with it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio

from owlrunner.actor import OperatorActor
from owlrunner.errors import InvalidParams, PluginError
from owlrunner.job_run import JobRun, Outcome, RunStatus
from owlrunner.job_type import Scope
from owlrunner.schedules_file import load_schedules
from owlrunner.storage import attempts, new_runs, servers
from owlrunner.storage.attempts import FinishedAttempt, Offer
from owlrunner.storage.new_runs import NewRun
from owlrunner.storage.postgres import Database
from owlrunner.storage.servers import Registration
from owlrunner_maintenance.months import instant
from tests.plugins.maintenance_world import NOW, World, catalog

DAY = timedelta(days=1)
OLD = NOW - 100 * DAY
CUTOFF = NOW - 90 * DAY
YOUNG = NOW - 80 * DAY
NOTHING = dict.fromkeys(("runs", "logs", "progress", "notifications", "fires", "login_codes", "sign_ins"), 0)
MANY = 200_000


@attrs.define
class History:
    """A database in which runs have ended at all times."""

    world: World
    team: UUID
    project: UUID

    def run(
        self,
        ended: datetime | None = OLD,
        status: str = "completed",
        *,
        job_type: str = "sync",
        logs: int = 0,
        system: bool = False,
        **columns: Any,
    ) -> UUID:
        """A run of the team's project, or a system run, created a minute before its end, unless told otherwise."""
        created = columns.pop("created_at", (ended or OLD) - timedelta(minutes=1))
        active = status in {"pending", "running"}
        row = {
            "team_id": None if system else self.team,
            "project_id": None if system else self.project,
            "job_type": job_type,
            "status": status,
            "triggered_by": "operator",
            "exclusive": False,
            "created_at": created,
            "started_at": None if status == "pending" else created,
            "completed_at": None if active else ended,
            "attempt": 0 if status == "pending" else 1,
            "server_id": None if status == "pending" else uuid4(),
            "error": "broken" if status == "failed" else None,
            "cancel_requested_at": ended if status == "cancelled" else None,
        } | columns  # fmt: skip
        run_id: UUID = self.world.one(
            f"insert into job_runs (id, {', '.join(row)}) values (id_at(%s), {', '.join(['%s'] * len(row))}) returning id",
            created,
            *row.values(),
        )
        self.world.sql(
            "insert into job_run_logs select %s, 1, seq, %s, 'info', 'acme', 'a line' from generate_series(1, %s) seq",
            run_id,
            created,
            logs,
        )
        return run_id

    def notification(self, run_id: UUID, status: str = "sent") -> None:
        """Somebody is told of a run."""
        self.world.sql(
            "insert into notifications (run_id, notifier, recipient, status, settled_at, last_error)"
            " values (%s, 'email', 'a@x.test', %s, case when %s <> 'pending' then %s end, 'no')",
            run_id, status, status, OLD,
        )  # fmt: skip

    def fire(self, schedule: str, time: datetime, outcome: str = "skipped", **columns: Any) -> None:
        """A fire on record, decided when it was due."""
        row = {"schedule": schedule, "fire_time": time, "outcome": outcome, "decided_at": time}
        row |= {} if outcome == "ran" else {"reason": "busy"}
        row |= columns
        names = ", ".join(row)
        self.world.sql(f"insert into schedule_fires ({names}) values ({', '.join(['%s'] * len(row))})", *row.values())

    def deployed(self, *names: str) -> None:
        """Schedules that exist."""
        for name in names:
            self.world.sql(
                "insert into schedules (name, job_type, definition, decided_until) values (%s, 'sync', '{}', %s)",
                name,
                NOW,
            )

    def runs(self) -> set[UUID]:
        """The runs that are there."""
        return {run_id for (run_id,) in self.world.sql("select id from job_runs")}

    def count(self, table: str) -> int:
        """How many rows a table has."""
        number: int = self.world.one(f"select count(*) from {table}")
        return number

    def limit_statements(self, rows: int) -> None:
        """From here on a statement that deletes more rows than this raises."""
        self.world.sql(
            "create function check_batch() returns trigger language plpgsql as $$ begin"
            f" if (select count(*) from gone) > {rows} then raise 'too many rows of % at once', tg_table_name; end if;"
            " return null; end $$"
        )
        for table in (
            "job_runs",
            "job_run_logs",
            "notifications",
            "schedule_fires",
            "email_verification_codes",
            "user_sessions",
        ):
            self.world.sql(
                f"create trigger check_batch after delete on {table} referencing old table as gone"
                " for each statement execute function check_batch()"
            )

    async def forget(self, params: object = None, **options: Any) -> dict[str, Any]:
        """The result of a run of run_retention that completes."""
        return await self.world.result("run_retention", params, **{"retention_share": 1.0} | options)


@pytest.fixture
def history(maintained: World) -> History:
    """A database with a team, and a function that makes ids of runs as they were made then."""
    maintained.sql(
        "create function id_at(timestamptz) returns uuid language sql volatile as $$"
        " select (lpad(to_hex((extract(epoch from $1) * 1000)::bigint), 12, '0')"
        " || substr(replace(owl_uuid7()::text, '-', ''), 13))::uuid $$"
    )
    team = maintained.one("insert into teams (name, slug) values ('T', 't') returning id")
    project = maintained.one("insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id", team)
    return History(maintained, team, project)


def result(**counters: int) -> dict[str, object]:
    """What a run returns that has deleted so many."""
    return NOTHING | counters | {"cutoff": instant(CUTOFF)}


def test_the_job_type_is_offered() -> None:
    """A system job each night, which a restarted server takes up again."""
    job_type = catalog().job_types["run_retention"]
    assert (job_type.label, job_type.scope, job_type.default_schedule) == ("Run Retention", Scope.SYSTEM, "30 2 * * *")
    assert (job_type.exclusive, job_type.requeue_on_restart, bool(job_type.description)) == (True, True, True)


def test_who_keeps_everything_has_no_schedule() -> None:
    """At 0 days there is nothing to schedule, unless the schedule's params name an age; by default there is."""
    off = catalog(retention_days=0).job_types["run_retention"]
    assert "retention_days is 0" in off.off_because(None)
    assert off.off_because({"older_than_days": 30}) == ""
    assert "run_retention" not in [one.name for one in load_schedules(None, catalog(retention_days=0))]
    assert "run_retention" in [one.name for one in load_schedules(None, catalog())]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"retention_days": -1}, "'retention_days' must be >= 0"),
        ({"retention_days": 1.5}, "retention_days: expected int, got float"),
        ({"retention_share": 0}, "'retention_share' must be >= 0.01"),
        ({"retention_share": 2}, "'retention_share' must be <= 1"),
    ],
)
def test_settings_out_of_range_stop_the_start(table: dict[str, Any], complaint: str) -> None:
    """An age or a share that makes no sense is refused, naming the key."""
    with pytest.raises(PluginError, match=complaint):
        catalog(**table)


def test_an_age_out_of_range_is_refused() -> None:
    """The params of a run are checked before it starts."""
    with pytest.raises(InvalidParams, match="older_than_days"):
        catalog().job_types["run_retention"].decode_params({"older_than_days": -1})


async def test_old_runs_go_with_all_that_hangs_on_them(history: History) -> None:
    """Runs that ended before the cutoff go with logs and notifications, however they ended; a second run finds nothing."""
    for status in ("completed", "failed", "cancelled"):
        history.notification(history.run(status=status, logs=3))
    young = history.run(YOUNG, logs=2)
    history.notification(young)
    assert await history.forget() == result(runs=3, logs=9, notifications=3)
    assert (history.runs(), history.count("job_run_logs"), history.count("notifications")) == ({young}, 2, 1)
    assert await history.forget() == result()


async def test_the_age_counts_from_the_end(history: History) -> None:
    """A run that was created long ago and ended within the 90 days stays; one that ended a moment too early does not."""
    stays = {history.run(CUTOFF, created_at=OLD), history.run(YOUNG, created_at=OLD)}
    history.run(CUTOFF - timedelta(milliseconds=1), created_at=OLD)
    assert await history.forget() == result(runs=1)
    assert history.runs() == stays


async def test_active_runs_stay_however_old(history: History) -> None:
    """What is pending or running is no history."""
    active = {history.run(None, "pending"), history.run(None, "running", logs=2)}
    history.run()
    assert await history.forget() == result(runs=1)
    assert (history.runs(), history.count("job_run_logs")) == (active, 2)


async def test_a_run_that_somebody_is_still_to_hear_of_stays(history: History) -> None:
    """While a notification is pending its run stays, with its log, and is counted; once settled both go."""
    waiting = history.run(logs=2)
    history.notification(waiting, "pending")
    history.notification(history.run(), "given_up")
    told = await history.forget()
    assert told == result(runs=1, notifications=1) | {"waiting_for_notifications": 1}
    assert (history.runs(), history.count("job_run_logs")) == ({waiting}, 2)
    history.world.sql("update notifications set status = 'sent', settled_at = owl_now()")
    assert await history.forget() == result(runs=1, logs=2, notifications=1)


async def test_the_last_ends_of_a_system_job_stay(history: History) -> None:
    """Of each system job type the last ended run stays, and the last one that was not cancelled; of a team's none does."""
    stays = set()
    for job_type in ("first", "second"):
        for age in (130, 120):
            history.run(NOW - age * DAY, job_type=job_type, system=True)
        stays.add(history.run(NOW - 110 * DAY, "failed", job_type=job_type, system=True))
        history.run(NOW - 105 * DAY, "cancelled", job_type=job_type, system=True)
        stays.add(history.run(NOW - 100 * DAY, "cancelled", job_type=job_type, system=True))
    history.run(job_type="third")
    assert await history.forget() == result(runs=7)
    assert history.runs() == stays


@pytest.mark.parametrize(("status", "told"), [("failed", 0), ("completed", 1)])
async def test_alerts_about_changes_are_the_same_afterwards(history: History, status: str, told: int) -> None:
    """A system job that failed a hundred days ago and fails again is no change, and one that completes is."""
    history.world.sql(
        "insert into notification_rules (alert_email, alerts, notifiers) values ('o@x.test', 'changes', '{email}')"
    )
    history.run(NOW - 110 * DAY, system=True)
    history.run(NOW - 105 * DAY, "failed", system=True)
    history.run(NOW - 100 * DAY, "cancelled", system=True)
    assert (await history.forget())["runs"] == 1
    running = history.run(None, "running", system=True)
    history.world.sql(
        "update job_runs set status = %s, completed_at = owl_now(), error = 'broken' where id = %s", status, running
    )
    assert history.count("notifications") == told


async def test_old_fires_go_and_the_last_one_stays(history: History) -> None:
    """The last fire of a deployed schedule stays with its run, whatever its age; a schedule that is gone leaves nothing."""
    history.deployed("yearly", "hourly")
    last = history.run(OLD)
    for name, times in {"yearly": (300, 200), "hourly": (110, 100, 91, 89, 1), "gone": (300, 200, 1)}.items():
        for age in times:
            history.fire(name, NOW - age * DAY)
    history.fire("yearly", OLD, "ran", run_id=last)
    history.run(OLD)
    assert await history.forget(batch_rows=2) == result(runs=1, fires=2 + 3 + 2)
    assert history.runs() == {last}
    left = history.world.sql("select schedule, fire_time from schedule_fires order by 1, 2")
    assert left == [("gone", NOW - DAY), ("hourly", NOW - 89 * DAY), ("hourly", NOW - DAY), ("yearly", OLD)]


async def test_fires_that_are_no_history_yet_stay(history: History) -> None:
    """A fire that waits for a run to end stays, and so does one that was decided lately for a time long past."""
    history.deployed("daily")
    history.fire("daily", OLD, "queued")
    history.fire("daily", OLD - DAY, "missed", decided_at=YOUNG)
    history.fire("daily", OLD - 2 * DAY)
    history.fire("daily", NOW)
    assert await history.forget() == result(fires=1)
    assert [outcome for (outcome,) in history.world.sql("select outcome from schedule_fires order by fire_time")] == [
        "missed", "queued", "skipped",
    ]  # fmt: skip


async def test_login_codes_and_sign_ins_that_ran_out_go(history: History) -> None:
    """Those that ran out more than a day ago go, of people who never came back; what may be in use stays."""
    user = history.world.one("insert into users (email, name) values ('a@x.test', 'A') returning id")
    for hours in (-200, -25, -23, 1):
        moment = NOW + timedelta(hours=hours)
        history.world.sql(
            "insert into email_verification_codes (email, code_hash, expires_at) values ('b@x.test', 'x', %s)", moment
        )
        history.world.sql(
            "insert into user_sessions (token_hash, user_id, expires_at) values (%s, %s, %s)", f"t{hours}", user, moment
        )
    assert await history.forget(batch_rows=1) == result(login_codes=2, sign_ins=2)
    assert history.world.sql("select token_hash from user_sessions order by 1") == [("t-23",), ("t1",)]
    assert history.count("email_verification_codes") == 2


async def test_no_statement_deletes_more_than_a_batch(history: History) -> None:
    """A run with a log longer than a batch goes piece by piece, and runs with logs go in lists that fit, nothing by cascade."""
    sizes = (0, 9, 9, 35, 0, 100, 10, 0)
    for size in sizes:
        history.notification(history.run(logs=size))
    for age in range(100, 125):
        history.fire("gone", NOW - age * DAY)
    history.limit_statements(10)
    counted = await history.forget(batch_rows=10)
    assert counted == result(runs=len(sizes), logs=sum(sizes), notifications=len(sizes), fires=25)


async def test_a_dry_run_tells_what_a_run_does(history: History) -> None:
    """A dry run counts exactly what the run after it deletes, and changes nothing."""
    history.deployed("daily")
    for age in (300, 200, 100, 50):
        run_id = history.run(NOW - age * DAY, logs=age)
        history.notification(run_id)
        history.fire("daily", NOW - age * DAY, "ran", run_id=run_id)
        history.run(NOW - age * DAY, system=True)
    planned = await history.forget({"dry_run": True}, batch_rows=3)
    assert (history.count("job_runs"), history.count("schedule_fires")) == (8, 4)
    done = await history.forget()
    assert done == result(runs=6, logs=600, notifications=3, fires=3)
    cutoff = done.pop("cutoff")
    assert planned == {"dry_run": True, "would_delete": done, "cutoff": cutoff}


async def test_a_run_may_name_its_own_age(history: History) -> None:
    """older_than_days goes over the settings, and 0 of either keeps everything."""
    history.run(OLD)
    history.run(YOUNG)
    skipped = {"skipped": True, "reason": "retention_days not configured"}
    assert await history.forget({"older_than_days": 0}) == skipped
    assert await history.forget(retention_days=0) == skipped
    assert (await history.forget({"older_than_days": 36_500}))["runs"] == 0
    assert (await history.forget({"older_than_days": 95}, retention_days=0))["runs"] == 1
    assert (await history.forget(retention_days=79))["runs"] == 1


async def test_a_cancelled_run_returns_what_it_has(history: History) -> None:
    """A cancel request ends the run after the batch under way; what it counts is what is gone, and the next run does the rest."""
    for _ in range(10):
        history.run(logs=1)
    report = await history.world.run(
        "run_retention", batch_rows=4, retention_share=1.0, cancel_when=lambda told: told.processed >= 4
    )
    assert (report.status, report.result) == (RunStatus.CANCELLED, result(runs=4, logs=4) | {"cancelled_at": 4})
    assert history.count("job_runs") == 6
    assert await history.forget() == result(runs=6, logs=6)


async def test_progress_and_log_tell_what_is_done(history: History) -> None:
    """Progress counts runs and fires up to all that are old enough, and the log keeps the numbers."""
    for age in range(100, 106):
        history.run(NOW - age * DAY)
        history.fire("gone", NOW - age * DAY)
    report = await history.world.run("run_retention", batch_rows=4, retention_share=1.0)
    assert [(told.processed, told.total) for told in report.progress] == [(0, 12), (4, 12), (6, 12), (10, 12), (12, 12)]
    assert report.progress[2].message == "6 runs deleted"
    (line,) = report.logs
    assert line.startswith(
        f"deleted of what ended before {instant(CUTOFF)}: 6 runs, 0 logs, 0 progress, 0 notifications, 6 fires"
    )


async def test_a_run_that_somebody_works_on_is_left_for_the_next_time(history: History) -> None:
    """A locked row is stepped over without waiting, and goes the next time."""
    locked, _ = history.run(), history.run()
    with history.world.somebody() as somebody:
        somebody.execute("select from job_runs where id = %s for update", [locked])
        assert await history.forget(lock_tries=1, lock_timeout=0.05) == result(runs=1)
    assert history.runs() == {locked}
    assert await history.forget() == result(runs=1)


async def test_a_locked_table_fails_the_run_with_what_was_done(history: History) -> None:
    """When a table is locked for too long the run fails, and says why and what went before."""
    history.run()
    history.fire("gone", OLD)
    with history.world.somebody() as somebody:
        somebody.execute("lock table schedule_fires in exclusive mode")
        report = await history.world.run("run_retention", lock_tries=2, lock_timeout=0.05, retention_share=1.0)
    assert report.status is RunStatus.FAILED
    assert report.error is not None
    assert "schedule_fires: given up after 2 tries: canceling statement due to lock timeout" in report.error
    assert "1 runs" in report.error
    assert history.runs() == set()


@pytest.mark.slow
async def test_many_runs_go_while_others_trigger_and_claim(history: History) -> None:
    """200,000 runs go without statistics to plan by, while runs are triggered, claimed and finished beside, none of which fails."""
    history.world.sql("set synchronous_commit = off")
    history.world.sql(
        "insert into job_runs"
        " (id, job_type, status, triggered_by, team_id, project_id, attempt, server_id,"
        " started_at, completed_at, created_at, exclusive)"
        # Ids that only count within their millisecond: making random ones takes longer than all the rest.
        " select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || lpad(to_hex(number), 20, '0'))::uuid,"
        " 'many', 'completed', 'operator', %s, %s, 1, %s, moment, moment, moment, false"
        " from generate_series(1, %s) number cross join lateral (select %s + number * interval '1 second' as moment) as t",
        history.team, history.project, uuid4(), MANY, NOW - 200 * DAY,
    )  # fmt: skip
    history.run(logs=10)
    tell, told = trio.open_memory_channel[None](MANY)
    async with Database(history.world.url) as db, trio.open_nursery() as nursery:
        beside = await nursery.start(work_beside, db, told)
        report = await history.world.run(
            "run_retention", batch_rows=2000, retention_share=1.0, cancel_when=lambda _: tell.send_nowait(None)
        )
        tell.close()
    assert report.result == result(runs=MANY + 1, logs=10)
    assert history.count("job_runs") == len(beside) == len(report.progress) > 100


async def work_beside(
    db: Database, told: trio.MemoryReceiveChannel[None], task_status: trio.TaskStatus[list[UUID]]
) -> None:
    """A server that does a run for each progress that it is told of, by the storage's own functions, while the next batch goes."""
    server_id, done = uuid4(), list[UUID]()
    async with db.session() as session:
        await servers.register(session, Registration(server_id, "a", "1", ["live"], 1, 3600.0))
        task_status.started(done)
        async for _ in told:
            new = NewRun("live", None, None, "operator", None, False, 0, True, False, 1)
            answer = await new_runs.insert_pending(session, new, OperatorActor())
            (claimed,) = await attempts.claim_pending(session, server_id, [Offer("live", "f")], 1)
            assert isinstance(answer, JobRun)
            assert answer.id == claimed.id
            attempt = FinishedAttempt(claimed.id, claimed.attempt, Outcome(RunStatus.COMPLETED), None, None)
            assert not await attempts.finish(session, server_id, [attempt])
            done.append(claimed.id)
