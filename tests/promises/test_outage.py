"""P14: PostgreSQL goes away for a while under load: handlers go on, outcomes are kept, and nothing is lost or hangs."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import RunStatus
from owlrunner.plugins import Catalog
from owlrunner.storage.embedded import Cluster, prepare_cluster
from owlrunner.storage.migration_files import wanted_migrations
from owlrunner.storage.migrations import migrate
from owlrunner.storage.postgres import Database
from tests.postgres import SERVER_ROLE
from tests.promises.promise_jobs import GATES
from tests.promises.serving import Door, LogEar, Serve

pytestmark = pytest.mark.skipif(bool(SERVER_ROLE), reason="roles are made in the PostgreSQL of the whole session")


@pytest.fixture
async def cluster(postgres_folder: Path) -> AsyncIterator[Cluster]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    cluster = prepare_cluster(postgres_folder)
    await trio.to_thread.run_sync(cluster.ensure_running)
    yield cluster
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(cluster.stop, "immediate")


@pytest.fixture
async def database_url(cluster: Cluster, catalog: Catalog) -> str:
    """The whole schema in it."""
    url = await trio.to_thread.run_sync(cluster.ensure_running)
    async with Database(url) as db:
        await migrate(db, wanted_migrations(catalog))
    return url


async def test_postgresql_restarts_under_load(door: Door, serve: Serve, cluster: Cluster, log_ear: LogEar) -> None:
    """Twenty runs in progress survive a restart of PostgreSQL; their outcomes are written when it is back, each once."""
    await serve(lease=30, capacity=50)
    gate = uuid4().hex
    runs = [await door.trigger("at_the_gate", params={"gate": gate}) for _ in range(20)]
    waiting = await door.trigger("polite", run_at="1s")
    for run_id in runs:
        await door.until(run_id, lambda run: run.status is not RunStatus.PENDING)
    await trio.to_thread.run_sync(cluster.stop, "immediate")
    with pytest.raises(DatabaseUnavailable):
        await door.trigger("deaf")
    # The handlers end while there is nobody to tell.
    GATES[gate].set()
    await log_ear.heard("outcomes and progress wait for the database")
    await trio.to_thread.run_sync(cluster.ensure_running)
    for run_id in runs:
        run = await door.until(run_id, RunStatus.COMPLETED)
        assert (run.result, run.attempt) == ({"passed": gate}, 1)
    await door.until(waiting, RunStatus.COMPLETED)


async def test_a_run_does_not_outlive_its_lease(door: Door, serve: Serve, cluster: Cluster, log_ear: LogEar) -> None:
    """When the database stays away past the lease, what is held is cancelled: another server may have taken over by then."""
    await serve(lease=2)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    await trio.to_thread.run_sync(cluster.stop, "immediate")
    await log_ear.heard("the lease could not be renewed in time")
    await trio.to_thread.run_sync(cluster.ensure_running)
    run = await door.until(run_id, RunStatus.FAILED)
    # Written by the server itself when it is back, or by recovery, whichever is first: both tell the truth.
    assert run.error in ("Lease lost during execution", "Server restarted during execution")


async def test_a_restarted_server_needs_no_restart_of_ours(door: Door, serve: Serve, cluster: Cluster) -> None:
    """After the outage cancel requests and new runs are heard as before: every loop has found its way back."""
    await serve()
    await trio.to_thread.run_sync(cluster.stop, "fast")
    await trio.to_thread.run_sync(cluster.ensure_running)
    run_id = await door.trigger("deaf")
    await door.until_told(run_id, "sleeping")
    await door.cancel(run_id)
    await door.until(run_id, RunStatus.CANCELLED)


async def test_outcomes_do_not_pile_up(door: Door, serve: Serve) -> None:
    """Beside a database that writes outcomes slowly a server claims no more than that as many wait as it executes."""
    runs = [await door.trigger("requeued_beside_others", params={"steps": 1, "seconds": 0}) for _ in range(8)]
    await door.sql(
        "create function slowly() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(0.1); return new; end $$;"
        "create trigger slowly before update on job_runs for each row when (new.status = 'completed') execute function slowly();"
        "create table already_running (number bigint);"
        "create function count_running() returns trigger language plpgsql as"
        " $$ begin insert into already_running select count(*) from job_runs where status = 'running'; return null; end $$;"
        "create trigger count_running after update on job_runs for each statement execute function count_running()"
    )
    await serve(capacity=2)
    for run_id in runs:
        await door.until(run_id, RunStatus.COMPLETED)
    # Two that are executed, and two that have ended.
    assert (await door.sql("select max(number) from already_running")) == [(4,)]
