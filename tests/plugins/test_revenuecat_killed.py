"""A sync whose server is killed: what was synced is kept, and the next run goes on with the others."""

import pytest
import trio

from owlrunner.demo.customers import customers
from owlrunner.demo.revenuecat import StandIn, serve
from owlrunner.storage.postgres import Database
from tests.plugins.revenuecat_world import World, new_world
from tests.promises.serving import PATIENCE, ServerProcess

pytestmark = pytest.mark.slow

USERS = 300
CONCURRENCY = 8
A_MINUTE = 12_000
LOST = CONCURRENCY + 1.5 * A_MINUTE / 60 / 3
"""Those under way, and about a second's: so often is saved what has come."""


def server(world: World, name: str) -> ServerProcess:
    """A server process that syncs with the stand-in."""
    settings = {
        "API_URL": world.settings.api_url,
        "CUSTOMER_REQUESTS_PER_MINUTE": str(A_MINUTE),
        "CONCURRENCY": str(CONCURRENCY),
    }
    environ = {f"OWLRUNNER_PLUGINS__REVENUECAT__{key}": value for key, value in settings.items()}
    return ServerProcess(world.db.conninfo, name, environ, lease=1, shutdown_grace=0)


async def trigger(world: World) -> object:
    """Start a sync of the project, and return the run's id."""
    ((run_id, _),) = await world.execute(
        "with new as (insert into job_runs (job_type, team_id, project_id, triggered_by, exclusive)"
        " select 'revenuecat_sync', team_id, id, 'operator', true from projects returning id)"
        " select id, pg_notify('owlrunner_pending', '') from new"
    )
    return run_id


async def until(world: World, condition: str, *params: object) -> None:
    """Wait until a condition holds in the database."""
    with trio.fail_after(PATIENCE):
        while not (await world.execute(f"select {condition}", *params))[0][0]:
            await trio.sleep(0.02)


async def test_a_killed_sync_loses_what_was_under_way(db: Database, nursery: trio.Nursery) -> None:
    """After kill -9 only the users under way and of the last second are asked about again; the next run begins with who is left."""
    world = await new_world(db, nursery)
    world.standin = StandIn(customers(USERS), api_key="sk_of_this_project")
    url = await nursery.start(serve, world.standin)
    world.settings = type(world.settings)(api_url=url)
    await world.add_users(*world.standin.customers)
    first = server(world, "first")
    run_id = await trigger(world)
    await until(world, "count(*) >= %s from app_users where revenuecat_tried_at is not null", USERS // 4)
    first.kill()
    saved = set(await world.synced_users())
    asked = world.standin.by_kind["customer"]
    assert len(saved) < USERS
    assert asked - len(saved) <= LOST
    second = server(world, "second")
    await until(world, "status = 'failed' from job_runs where id = %s", run_id)
    world.standin.paths.clear()
    run_id = await trigger(world)
    await until(world, "completed_at is not null from job_runs where id = %s", run_id)
    second.kill()
    assert await world.execute("select status::text, result->>'synced' from job_runs where id = %s", run_id) == [
        ("completed", str(USERS))
    ]
    in_order = [
        path.rpartition("/")[2] for path in world.standin.paths if path.rpartition("/")[0].endswith("/customers")
    ]
    assert saved.isdisjoint(in_order[: USERS - len(saved)])
