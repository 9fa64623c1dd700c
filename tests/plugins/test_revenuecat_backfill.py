"""The job type that makes users of RevenueCat's customers, against the stand-in over real sockets and a real database."""

import pytest
import trio

from owlrunner import JobContext, Progress
from owlrunner.demo.customers import StandInCustomer
from owlrunner.demo.revenuecat import Fault
from owlrunner.storage.postgres import Database
from owlrunner_revenuecat.answers import KeyRefused, RevenueCatError
from owlrunner_revenuecat.integration import IntegrationMissing
from tests.plugins.revenuecat_world import World, new_world


@pytest.fixture
async def world(db: Database, nursery: trio.Nursery) -> World:
    """A world in which RevenueCat has customers, and the project no users."""
    return await new_world(db, nursery)


def called(world: World, *ids: str) -> None:
    """Let RevenueCat have customers of these ids alone."""
    world.standin.customers = {one: StandInCustomer(one) for one in ids}


async def users(world: World) -> list[str]:
    """The ids of the project's users, in order."""
    return [one for (one,) in await world.execute("select user_id from app_users order by user_id")]


async def test_whom_the_project_lacks_is_created(world: World) -> None:
    """Every customer becomes a user once, page by page; who is there already stays as they were."""
    world.standin.page_size = 5
    everybody = sorted(world.standin.customers)
    await world.add_users(everybody[3], properties='{"plan": "gold"}')
    result = await world.backfill()
    assert result == {"customers": 24, "created": 23, "existing": 1, "skipped_anonymous": 0, "unusable": 0}
    assert await users(world) == everybody
    assert await world.properties(everybody[3]) == {"plan": "gold"}
    assert [one.processed for one in world.progress] == [5, 10, 15, 20, 24]
    again = await world.backfill()
    assert (again["created"], again["existing"]) == (0, 24)
    assert (await world.sync())["synced"] == 24


async def test_ids_that_stand_for_nobody_are_left_out(world: World) -> None:
    """RevenueCat's own anonymous ids, and those that cannot be stored, are counted and create nobody."""
    called(world, "ann", "$RCAnonymousID:1", "b\0b", "c" * 256, "d" * 255)
    result = await world.backfill()
    assert result == {"customers": 5, "created": 2, "existing": 0, "skipped_anonymous": 1, "unusable": 2}
    assert await users(world) == ["ann", "d" * 255]


async def test_a_cancelled_backfill_keeps_what_it_has(world: World) -> None:
    """A cancel ends the run after the page under way; what was created stays, and the result says how far it came."""
    world.standin.page_size = 10

    def cancel(ctx: JobContext, _: Progress) -> None:
        ctx.ask_cancel()

    result = await world.backfill(world.context(cancel))
    assert (result["cancelled_at"], result["created"], len(await users(world))) == (10, 10, 10)


async def test_a_list_without_an_end_is_left(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A list whose cursor comes again is read no further."""
    world.standin.page_size = 10
    world.standin.stuck_paging = True
    # The list of projects does the same.
    await world.execute("""update project_integrations set config = config || '{"project_id": "proj_standin"}'""")
    with trio.fail_after(10):
        assert (await world.backfill())["created"] == 10
    assert "goes round in circles" in caplog.text


async def test_a_page_that_fails_is_asked_for_again(world: World) -> None:
    """A 503 costs no customer; one that does not end fails the run, and keeps the pages before it."""
    world.standin.page_size = 10
    world.standin.faults = [Fault(kind="customers", status=503, times=2)]
    assert (await world.backfill())["created"] == 24
    world.standin.faults = [Fault(kind="customers", status=503)]
    with pytest.raises(RevenueCatError):
        await world.backfill()


async def test_what_is_wrong_with_the_integration_is_told(world: World) -> None:
    """A refused key and a missing integration fail the run with a sentence, and create nobody."""
    await world.execute("""update project_integrations set config = '{"api_key": "sk_wrong"}'""")
    with pytest.raises(KeyRefused):
        await world.backfill()
    await world.execute("update project_integrations set enabled = false")
    with pytest.raises(IntegrationMissing, match="RevenueCat integration not found or disabled"):
        await world.backfill()
    assert await users(world) == []
