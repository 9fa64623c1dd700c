"""run_retention and soft_delete_cleanup: no transaction deletes more rows or bytes than it may, whatever hangs on runs."""

from typing import Any

import attrs
import pytest

from owlrunner_maintenance.hanging import Weighed, Weight, batches
from owlrunner_maintenance.settings import MaintenanceSettings
from tests.plugins.maintenance_world import NOW, World

HANGING = ("job_run_logs", "job_run_progress", "notifications", "notes")
WATCHED = ("job_runs", *HANGING)


@attrs.define
class Runs:
    """A database in which each transaction that deletes runs, and what hangs on them, is on record."""

    world: World
    team: Any
    project: Any

    def run(self, logs: int = 0, progress: int = 0, notes: int = 0, line: int = 10, result: int = 10) -> None:
        """An old run of the team with so much on it, each line of its log of so many bytes."""
        run_id = self.world.one(
            "insert into job_runs (id, job_type, team_id, project_id, triggered_by, exclusive, status, attempt, server_id,"
            " created_at, started_at, completed_at, result)"
            " select ('01800000-0000-7000-8000-' || lpad(count(*)::text, 12, '0'))::uuid, 'x', %s, %s, 'x', false, 'completed', 1,"
            " gen_random_uuid(), '2023-01-01', '2023-01-01', '2023-01-01', to_jsonb(repeat('x', %s::int)) from job_runs"
            " returning id",
            self.team,
            self.project,
            result,
        )
        for insert, count in (
            ("job_run_logs select %s, 1, n, now(), 'info', 'x', left(repeat(md5(n::text), 1000), %s::int)", logs),
            ("job_run_progress select %s, 1, now() + n * interval '1 second', n, %s::int", progress),
            ("notes select %s, n + 0 * %s::int", notes),
        ):
            self.world.sql(f"insert into {insert} from generate_series(1, {count}) n", run_id, line)

    def biggest(self) -> tuple[int, int]:
        """The most rows, and the most bytes, that one transaction has deleted."""
        by_transaction = self.world.sql("select sum(rows)::int, sum(bytes)::int from deletions group by transaction")
        return max(rows for rows, _ in by_transaction), max(size for _, size in by_transaction)

    def counts(self) -> dict[str, int]:
        """How many rows each watched table has."""
        return {table: self.world.one(f"select count(*) from {table}") for table in WATCHED}


@pytest.fixture
def runs(maintained: World) -> Runs:
    """A team, a table of somebody's own that hangs on runs, and a record of deletions."""
    maintained.sql(
        "create table notes (run uuid references job_runs on delete cascade, n bigint);"
        "create index on notes (run);"
        "create table deletions (transaction bigint, rows bigint, bytes bigint);"
        "create function note() returns trigger language plpgsql as $$ begin"
        " execute 'insert into deletions select txid_current(), count(*), coalesce(sum(pg_column_size(gone.*)), 0) from gone';"
        " return null; end $$"
    )
    for table in WATCHED:
        maintained.sql(
            f"create trigger note after delete on {table} referencing old table as gone for each statement execute function note()"
        )
    team = maintained.one("insert into teams (name, slug) values ('T', 't') returning id")
    project = maintained.one("insert into projects (team_id, name, slug) values (%s, 'P', 'p') returning id", team)
    return Runs(maintained, team, project)


@pytest.mark.parametrize("job_type", ["run_retention", "soft_delete_cleanup"])
async def test_transactions_are_bounded_by_rows(runs: Runs, job_type: str) -> None:
    """Progress, logs and a stranger's rows weigh as much as runs: together no transaction deletes more than batch_rows."""
    for logs, progress, notes in ((0, 45, 0), (3, 3, 2), (12, 0, 0), (0, 0, 31), (1, 1, 1), (0, 0, 0), (4, 4, 0)):
        runs.run(logs, progress, notes)
    runs.world.sql("update teams set deleted_at = '2024-01-01'")
    before = runs.counts()
    result = await runs.world.result(job_type, batch_rows=10, **OPTIONS[job_type])
    assert runs.counts() == dict.fromkeys(WATCHED, 0)
    assert runs.biggest()[0] <= 10
    assert counted(result, job_type) == before


OPTIONS: dict[str, dict[str, Any]] = {"run_retention": {"retention_share": 1.0}, "soft_delete_cleanup": {}}
NAMES = {
    "run_retention": ("runs", "logs", "progress", "notifications", "notes"),
    "soft_delete_cleanup": ("jobRuns", "jobRunLogs", "jobRunProgress", "notifications", "notes"),
}


def counted(result: dict[str, Any], job_type: str) -> dict[str, int]:
    """What a result says of the watched tables."""
    return {table: result.get(name, 0) for table, name in zip(WATCHED, NAMES[job_type], strict=True)}


@pytest.mark.parametrize("job_type", ["run_retention", "soft_delete_cleanup"])
async def test_transactions_are_bounded_by_bytes(runs: Runs, job_type: str) -> None:
    """Long lines and large results go in smaller batches: no transaction deletes more than batch_bytes and one row."""
    for logs in (40, 5, 0, 20):
        runs.run(logs, line=1500)
    for _ in range(6):
        runs.run(result=1800)
    runs.world.sql("update teams set deleted_at = '2024-01-01'")
    before = runs.counts()
    result = await runs.world.result(job_type, batch_bytes=5000, **OPTIONS[job_type])
    assert runs.biggest()[1] <= 5000 + 2500
    assert counted(result, job_type) == before
    assert runs.counts() == dict.fromkeys(WATCHED, 0)


async def test_events_go_in_batches_of_bytes(world: World) -> None:
    """Events of an expired app go in batches that are bounded by bytes where they are large."""
    app = world.one(
        "with t as (insert into teams (name, slug) values ('T', 't') returning id),"
        " p as (insert into projects (team_id, name, slug) select id, 'P', 'p' from t returning id, team_id)"
        " insert into apps (team_id, project_id, name, platform, deleted_at)"
        " select team_id, id, 'A', 'web', '2024-01-01' from p returning id"
    )
    for _ in range(20):
        world.add_event(NOW, "x" * 1000, app)
    report = await world.run("soft_delete_cleanup", batch_bytes=4000)
    told = [one.message.split(": ")[1] for one in report.progress if "rows of events" in one.message]
    assert report.result["events"] == 20
    assert len(told) == pytest.approx(6, abs=1)


async def test_a_dry_run_counts_what_hangs_on_runs(runs: Runs) -> None:
    """A dry run of run_retention tells progress and a stranger's rows too, and changes nothing."""
    runs.run(2, 3, 4)
    result = await runs.world.result("run_retention", {"dry_run": True}, retention_share=1.0)
    assert result["would_delete"] == {
        "runs": 1, "logs": 2, "progress": 3, "notifications": 0, "notes": 4, "fires": 0, "login_codes": 0, "sign_ins": 0,
    }  # fmt: skip
    assert runs.counts()["notes"] == 4


async def test_a_run_that_is_too_much_by_itself_goes_in_pieces(runs: Runs) -> None:
    """What hangs on one run goes in pieces as large as a transaction may be, and the run after them; all are counted."""
    runs.run(progress=95)
    result = await runs.world.result("run_retention", batch_rows=10, retention_share=1.0)
    assert (result["progress"], result["runs"]) == (95, 1)
    sizes = runs.world.sql("select rows from deletions where rows > 0 order by transaction")
    assert [size for (size,) in sizes] == [10] * 9 + [5, 1]


def test_batches_are_as_full_as_they_may_be() -> None:
    """A batch is closed only by a row that would be too much, and a row that is too much by itself is alone."""
    settings = MaintenanceSettings(batch_rows=3, batch_bytes=100)
    listed = [Weighed(number, size) for number, size in enumerate((10, 10, 10, 10, 95, 10, 500, 1))]
    found = [[one.key for one in batch] for batch in batches(listed, settings)]
    assert found == [[0, 1, 2], [3], [4], [5], [6], [7]]
    assert Weight(3, 100).exceeds(settings) is False
