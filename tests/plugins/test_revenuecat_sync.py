"""The whole job type: the handler against the stand-in over real sockets, and a real database."""

import contextlib
import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trio
import trio.testing

from owlrunner import Connection, JobContext, Progress
from owlrunner.demo.customers import PROJECT_ID, app_user_ids, attributes
from owlrunner.demo.revenuecat import Fault
from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.integrations import counted
from owlrunner.storage.postgres import Database
from owlrunner_revenuecat import REVENUECAT, saving
from owlrunner_revenuecat.answers import KeyRefused, RevenueCatError
from owlrunner_revenuecat.integration import IntegrationMissing, OtherProject
from owlrunner_revenuecat.rate_limit import Pace
from owlrunner_revenuecat.saving import NotSaved
from owlrunner_revenuecat.settings import SyncParams
from owlrunner_revenuecat.storage import save_users
from owlrunner_revenuecat.sync import NobodyKnown
from tests.hostile import make_hostile
from tests.plugins.revenuecat_world import World, new_world


@pytest.fixture
async def world(db: Database, nursery: trio.Nursery) -> World:
    """A world in which everything works, without users."""
    return await new_world(db, nursery)


async def test_a_sync_goes_over_as_many_as_are_told_before(world: World) -> None:
    """The number that whoever starts a sync is told is the total of its result."""
    await world.add_users(*app_user_ids(24, unknown=2, anonymous=3, made_up=2))
    told = await counted(world.db, REVENUECAT.sync_count, world.project_id)
    assert (told, (await world.sync())["total"]) == (26, 26)


async def test_every_user_is_synced_and_counted(world: World) -> None:
    """All users that RevenueCat knows are written, and the result counts them and everybody else."""
    await world.add_users(*app_user_ids(24, unknown=12, anonymous=3, made_up=2))
    result = await world.sync()
    named = result.pop("not_found_users")
    rows = await world.execute("select count(*) from app_users where properties ->> 'rc_subscriber' = 'true'")
    assert result == {
        "total": 36,
        "synced": 24,
        "skipped": 12,
        "skipped_anonymous": 2,
        "active": rows[0][0],
        "inactive": 24 - rows[0][0],
        "not_found": 12,
        "errors": 0,
        "attribution_synced": 4,
        "attribution_enriched_existing": 0,
        "attribution_marked_organic": 18,
        "attribution_skipped_no_asa": 2,
        "revenue_filled": 24,
        "revenue_skipped": 0,
    }
    assert len(named) == 11
    assert named[-1] == "...and 2 more"
    assert set(named[:10]) < {f"user_unknown_{number:03}" for number in range(1, 13)}
    assert await world.synced_users() == sorted(world.standin.customers)


def in_any_order(result: dict[str, Any]) -> dict[str, Any]:
    """Sort the users that are named: they are asked for side by side."""
    return {**result, "not_found_users": sorted(result["not_found_users"])}


async def test_a_write_under_way_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written when the last user has been asked about is counted as what it did."""

    async def slowly(*args: Any) -> list[dict[str, str]]:
        written = await save_users(*args)
        # It has taken effect, and meanwhile everything else comes to its end.
        await trio.testing.wait_all_tasks_blocked(0.1)
        return written

    monkeypatch.setattr(saving, "save_users", slowly)
    monkeypatch.setattr(saving, "SAVE_EVERY", 0.0)
    await world.add_users(*app_user_ids(24))
    result = await world.sync()
    assert (result["synced"], result["attribution_synced"], result["attribution_marked_organic"]) == (24, 4, 18)


async def test_the_settings_of_the_database_change_nothing(world: World) -> None:
    """With every setting of the sessions set to something else, the same is written and counted."""
    await world.add_users(*app_user_ids(24, unknown=2))
    before = in_any_order(await world.sync())
    await world.execute("update app_users set revenue_synced_at = null, properties = '{}'")
    make_hostile(world.db.conninfo)
    assert in_any_order(await world.sync()) == before
    assert await world.synced_users() == sorted(world.standin.customers)


async def test_progress_is_told_from_start_to_end(world: World) -> None:
    """Progress begins with 0 of all, counts every user once, and says what was found."""
    await world.add_users(*app_user_ids(12, unknown=2, anonymous=1, made_up=1))
    result = await world.sync()
    assert world.progress[0] == Progress(0, 14, "Starting sync...")
    assert sorted(progress.processed for progress in world.progress[1:]) == list(range(1, 15))
    message = f"Synced 12 ({result['active']} active, {result['inactive']} inactive), 2 not found, 0 errors"
    assert world.progress[-1] == Progress(14, 14, message)


async def test_properties_are_merged(world: World) -> None:
    """What others wrote stays, what the sync decides is new, and what no longer applies of it is gone."""
    await world.add_users(
        "user_0001",
        "user_0012",
        properties='{"plan": "x", "rc_status": "old", "rc_product": "old", "rc_last_purchase": "1"}',
    )
    await world.sync()
    assert await world.properties("user_0001") == {
        "plan": "x",
        "rc_last_purchase": "1",
        "rc_subscriber": "true",
        "rc_status": "active",
        "rc_entitlements": "pro",
        "rc_product": "app.pro.monthly",
        "rc_period_type": "normal",
        "rc_billing_period": "monthly",
        "rc_will_renew": "true",
        "rc_total_revenue_usd": "59.94",
        "attribution_source": "none",
    }
    found = await world.properties("user_0012")
    assert (found["rc_status"], found["rc_subscriber"], found["plan"]) == ("expired", "false", "x")
    assert "rc_product" not in found
    rows = await world.execute("select user_id, total_revenue_usd_cents from app_users order by user_id")
    assert rows == [("user_0001", 5994), ("user_0012", 0)]


@pytest.mark.parametrize(
    ("before", "after", "counter"),
    [
        ("{}", ("apple_search_ads", "Spring"), "attribution_synced"),
        ('{"attribution_source": "none"}', ("apple_search_ads", "Spring"), "attribution_synced"),
        ('{"attribution_source": ""}', ("apple_search_ads", "Spring"), "attribution_synced"),
        ('{"attribution_source": null}', ("apple_search_ads", "Spring"), "attribution_synced"),
        (
            '{"attribution_source": "apple_search_ads", "asa_campaign_name": "Mine"}',
            ("apple_search_ads", "Mine"),
            "attribution_enriched_existing",
        ),
    ],
)
async def test_attribution_fills_only_what_is_unset(
    world: World, before: str, after: tuple[str, str], counter: str
) -> None:
    """An origin that the app told is kept, "none" gives way to a known one, and missing details are filled in."""
    await world.add_users("user_0002", properties=before)
    result = await world.sync()
    found = await world.properties("user_0002")
    assert (found["attribution_source"], found["asa_campaign_name"]) == after
    assert {key for key, count in result.items() if key.startswith("attribution_") and count} == {counter}


async def test_an_origin_is_never_replaced_by_none(world: World) -> None:
    """A user without network at RevenueCat keeps the origin that the app told."""
    await world.add_users("user_0001", properties='{"attribution_source": "newsletter"}')
    result = await world.sync()
    assert (await world.properties("user_0001"))["attribution_source"] == "newsletter"
    assert result["attribution_marked_organic"] == 0


async def test_an_origin_behind_many_attributes_is_found(world: World) -> None:
    """A user whose network is named after 20 other attributes is not marked as having none."""
    many = attributes(**{f"a{number}": "x" for number in range(20)}, mediaSource="Apple Search Ads", campaign="Spring")
    world.standin.customers["user_0001"] = attrs.evolve(world.standin.customers["user_0001"], attributes=many)
    await world.add_users("user_0001")
    result = await world.sync()
    found = await world.properties("user_0001")
    assert (found["attribution_source"], found["asa_campaign_name"]) == ("apple_search_ads", "Spring")
    assert result["attribution_synced"] == 1


async def test_other_projects_are_left_alone(world: World) -> None:
    """A user of the same id in another project is not touched."""
    await world.add_users("user_0001")
    ((other,),) = await world.execute(
        "insert into projects (team_id, name, slug) select team_id, 'Q', 'q' from projects returning id"
    )
    await world.execute(
        "insert into app_users (project_id, user_id, is_anonymous) values (%s, 'user_0001', false)", other
    )
    await world.sync()
    rows = await world.execute("select properties from app_users where project_id = %s", other)
    assert rows == [({},)]


def asked_about(world: World) -> list[str]:
    """Whom RevenueCat was asked about, in order."""
    return [path.split("/")[5] for path in world.standin.paths if path.count("/") == 5]


async def test_users_asked_about_longest_ago_come_first(world: World) -> None:
    """A sync begins with users who were never asked about, then those of the longest time ago, whatever came of it."""
    await world.add_users("user_0001", "user_0002", "user_0003", "user_0004")
    tried = "update app_users set revenuecat_tried_at = now() - make_interval(days => %s) where user_id = %s"
    synced = "update app_users set revenue_synced_at = now() - make_interval(days => %s) where user_id = %s"
    await world.execute(tried, 1, "user_0001")
    await world.execute(tried, 3, "user_0002")
    await world.execute(synced, 2, "user_0004")
    await world.sync(concurrency=1)
    assert asked_about(world) == ["user_0003", "user_0002", "user_0004", "user_0001"]


async def test_everybody_who_was_asked_about_has_had_a_turn(world: World) -> None:
    """Synced, unknown and refused users are marked as tried; those of whom RevenueCat could not tell anything are not."""
    await world.add_users("user_0001", "user_0002", "nobody", "null")
    world.standin.faults = [Fault(customer="user_0002", status=500)]
    await world.sync()
    rows = await world.execute("select user_id from app_users where revenuecat_tried_at is not null order by user_id")
    assert rows == [("nobody",), ("null",), ("user_0001",)]


async def test_a_cut_run_is_continued_by_the_next(world: World) -> None:
    """The next run begins where the last one was cut off, and unknown users do not come before known ones again."""
    everybody = [*(f"a_unknown_{number}" for number in range(6)), *sorted(world.standin.customers)[:6]]
    await world.add_users(*everybody)
    for first in (everybody[:7], everybody[7:]):
        world.standin.paths.clear()
        with trio.CancelScope() as ended:
            await world.sync(
                world.context(lambda _, progress: ended.cancel() if progress.processed == 7 else None), concurrency=1
            )
        assert ended.cancelled_caught
        assert asked_about(world)[: len(first)] == first


async def test_a_killed_run_loses_no_more_than_what_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are written while the run goes on, so that a run without a chance to write at its end has lost few."""
    everybody = sorted(world.standin.customers)
    await world.add_users(*everybody)
    monkeypatch.setattr(saving, "SAVE_EVERY", 0.0)
    world.standin.faults = [Fault(customer=everybody[-1], delay=60)]

    async def killed(_: saving.Saving) -> None:
        """Write nothing."""

    monkeypatch.setattr(saving.Saving, "save_rest", killed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.sync)
        while len(await world.synced_users()) < len(everybody) - 1:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert await world.synced_users() == everybody[:-1]


async def test_only_so_many_requests_run_at_once(world: World) -> None:
    """Users are asked for side by side, but never more than ``concurrency`` at once."""
    world.standin.latency = 0.01
    await world.add_users(*world.standin.customers)
    await world.sync(concurrency=3)
    assert world.standin.most_at_once == 3


@pytest.mark.parametrize(
    "change",
    [
        "delete from project_integrations",
        "update project_integrations set enabled = false",
        "update project_integrations set deleted_at = now()",
        "update project_integrations set provider = 'other'",
    ],
)
async def test_without_an_integration_the_run_fails(world: World, change: str) -> None:
    """No integration, or one that is switched off or deleted, fails the run before RevenueCat is asked."""
    await world.add_users("user_0001")
    await world.execute(change)
    with pytest.raises(IntegrationMissing, match=r"^RevenueCat integration not found or disabled$"):
        await world.sync()
    assert world.standin.requests == 0


async def test_params_may_name_the_project_and_its_integration(world: World) -> None:
    """Params that name the run's own project and the integration are accepted."""
    await world.add_users("user_0001")
    ((integration_id,),) = await world.execute("select id from project_integrations")
    result = await world.sync(params=SyncParams(world.project_id, integration_id))
    assert result["synced"] == 1


async def test_params_of_another_project_are_refused(world: World) -> None:
    """Params that name another project fail the run before RevenueCat is asked, and the error names both."""
    other = uuid4()
    with pytest.raises(OtherProject, match=f"project_id is {other}, but the run is for the project {world.project_id}"):
        await world.sync(params=SyncParams(other))
    assert world.standin.requests == 0


async def test_params_of_another_integration_are_refused(world: World) -> None:
    """Params that name an integration which is not the project's fail the run before RevenueCat is asked."""
    with pytest.raises(IntegrationMissing, match=r"^RevenueCat integration not found or disabled$"):
        await world.sync(params=SyncParams(integration_id=uuid4()))
    assert world.standin.requests == 0


async def test_without_users_there_is_nothing_to_do(world: World) -> None:
    """A project with anonymous users alone is done at once, without progress; RevenueCat is asked for the project alone."""
    await world.add_users("owl_anon_1", "$RCAnonymousID:1")
    result = await world.sync()
    assert (result["total"], result["synced"], result["skipped_anonymous"]) == (0, 0, 1)
    assert (world.progress, world.standin.by_kind) == ([], {"projects": 1})


@pytest.mark.parametrize(("key", "status"), [("sk_wrong", 401), ("sk_forbidden", 403)])
async def test_a_refused_key_fails_the_run(world: World, key: str, status: int) -> None:
    """A key that RevenueCat refuses fails the run with RevenueCat's words after a single request."""
    await world.add_users("user_0001")
    await world.execute("update project_integrations set config = jsonb_build_object('api_key', %s::text)", key)
    with pytest.raises(KeyRefused, match=f"RevenueCat answered {status}: .*API key"):
        await world.sync()
    assert world.standin.requests == 1


async def test_a_refused_key_fails_without_users_too(world: World) -> None:
    """A wrong key fails the run of a project that has no user yet."""
    await world.execute('update project_integrations set config = \'{"api_key": "sk_wrong"}\'')
    with pytest.raises(KeyRefused, match="RevenueCat answered 401"):
        await world.sync()


async def name_project(world: World, named: str) -> None:
    """Name RevenueCat's project in the integration."""
    statement = "update project_integrations set config = config || jsonb_build_object('project_id', %s::text)"
    await world.execute(statement, named)


async def test_a_key_of_several_projects_needs_one_to_be_named(world: World) -> None:
    """With a key that sees several RevenueCat projects the run fails unless the integration names one that it sees."""
    await world.add_users("user_0001")
    world.standin.project_ids = ("proj_other", PROJECT_ID)
    with pytest.raises(
        RevenueCatError, match=rf"sees 2 RevenueCat projects \(proj_other, {PROJECT_ID}\): name the one"
    ):
        await world.sync()
    await name_project(world, PROJECT_ID)
    assert (await world.sync())["synced"] == 1


@pytest.mark.parametrize("seen", [("proj_other",), ("proj_other", "proj_more")])
async def test_a_project_that_the_key_does_not_see_fails_the_run(world: World, seen: tuple[str, ...]) -> None:
    """An integration that names a RevenueCat project beyond the key's sight fails the run, and the error names both."""
    await world.add_users("user_0001")
    await name_project(world, PROJECT_ID)
    world.standin.project_ids = seen
    with pytest.raises(RevenueCatError, match=f"does not see the RevenueCat project '{PROJECT_ID}'.*proj_other"):
        await world.sync()


async def test_a_key_of_very_many_projects_finds_the_named_one(world: World) -> None:
    """The projects of a key are read beyond their first page."""
    await world.add_users("user_0001")
    await name_project(world, PROJECT_ID)
    world.standin.project_ids = (*(f"proj_{number}" for number in range(150)), PROJECT_ID)
    assert (await world.sync())["synced"] == 1


async def test_nobody_known_among_many_is_a_mistake(world: World) -> None:
    """A run that asked about ten users or more, none of whom RevenueCat knows, fails and names the likely reasons."""
    await world.add_users(*(f"nobody_{number}" for number in range(10)))
    with pytest.raises(NobodyKnown, match=r"none of the 10 users .* another RevenueCat project, or the app does not"):
        await world.sync()


@pytest.mark.parametrize(("unknown", "known", "failing"), [(9, 0, 0), (20, 1, 0), (20, 0, 1)])
async def test_a_few_unknown_users_are_none(world: World, unknown: int, known: int, failing: int) -> None:
    """Fewer than ten unknown users, one that is known, or one that failed leave the run completed."""
    await world.add_users(
        *(f"nobody_{number}" for number in range(unknown)),
        *(f"user_{number:04}" for number in range(1, known + 1)),
        *["null"] * failing,
    )
    result = await world.sync()
    assert (result["not_found"], result["synced"], result["errors"]) == (unknown, known, failing)


async def test_a_key_refused_on_the_way_keeps_what_was_synced(world: World) -> None:
    """When the key is revoked in the middle, the run fails bare, and the users synced before it are in the database."""
    await world.add_users(*world.standin.customers)
    world.standin.faults = [Fault(kind="customer", status=403, after=5)]
    with pytest.raises(KeyRefused):
        await world.sync(concurrency=1)
    assert len(await world.synced_users()) == 5
    assert world.standin.by_kind["customer"] == 6


async def test_an_unresolvable_project_fails_the_run(world: World) -> None:
    """When RevenueCat's project cannot be learned, the run fails with the reason."""
    await world.add_users("user_0001")
    world.standin.faults = [Fault(kind="projects", status=500)]
    with pytest.raises(RevenueCatError, match="RevenueCat answered 500: made to fail"):
        await world.sync()


async def test_users_that_fail_are_counted_and_named(world: World) -> None:
    """A user about whom RevenueCat keeps failing is an error in the result, keeps his properties, and stops nobody else."""
    await world.add_users("user_0001", "user_0002", "user_0003", "user_0004")
    world.standin.faults = [
        Fault(customer="user_0001", status=500),
        Fault(customer="user_0003", kind="purchases", body=b"{"),
    ]
    result = await world.sync()
    assert (result["synced"], result["errors"], result["skipped"]) == (2, 2, 2)
    assert result["error_status_counts"] == {"500": 1, "malformed": 1}
    assert sorted(result["error_users"]) == ["user_0001", "user_0003"]
    assert await world.synced_users() == ["user_0002", "user_0004"]


async def test_a_revenuecat_that_is_down_fails_the_run(world: World) -> None:
    """A run in which user after user fails does not end as completed: it stops and fails."""
    await world.add_users(*(f"user_{number}" for number in range(60)))
    world.standin.faults = [Fault(kind="customer", status=503)]
    with pytest.raises(RevenueCatError, match="50 users in a row"):
        await world.sync(max_tries=1)


async def test_refusals_of_single_users_stop_nobody_else(world: World) -> None:
    """However many users in a row RevenueCat refuses as such, it is not down: those whom it knows are synced."""
    refused = [f"refused_{number:02}" for number in range(60)]
    await world.add_users(*refused, *world.standin.customers)
    world.standin.faults = [Fault(customer=one, status=400) for one in refused]
    result = await world.sync(concurrency=1)
    assert (result["synced"], result["errors"], result["error_status_counts"]) == (24, 60, {"400": 60})


@pytest.mark.parametrize(("status", "users"), [(503, 1), (503, 49), (400, 3)])
async def test_a_run_that_could_do_nothing_has_failed(world: World, status: int, users: int) -> None:
    """However few users there are: where RevenueCat had no answer of use about any, the run does not complete."""
    await world.add_users(*(f"user_{number}" for number in range(users)))
    world.standin.faults = [Fault(kind="customer", status=status)]
    with pytest.raises(
        RevenueCatError, match=f"no answer of use about any of {users} users. RevenueCat answered {status}"
    ):
        await world.sync(max_tries=1)


async def test_a_429_loses_no_user(world: World) -> None:
    """Users who meet a 429 are synced after the pause like all others."""
    await world.add_users(*world.standin.customers)
    world.standin.faults = [Fault(kind="subscriptions", status=429, backoff_ms=100, times=2)]
    result = await world.sync()
    assert (result["synced"], result["errors"]) == (24, 0)
    assert world.standin.by_status[429] == 2


async def test_a_cancelled_run_keeps_its_partial_result(world: World) -> None:
    """A cancel request ends the run after the user under way, with the result so far and those users written."""
    await world.add_users(*world.standin.customers)

    def cancel(ctx: JobContext, progress: Progress) -> None:
        if progress.processed == 5:
            ctx.ask_cancel()

    result = await world.sync(world.context(cancel), concurrency=1)
    assert (result["cancelled_at"], result["synced"], result["total"]) == (5, 5, 24)
    assert len(await world.synced_users()) == 5


def cancelled_at_a_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The context of a run that is cancelled as soon as a 429 has made it pause."""
    ctx = world.context()
    pause = Pace.pause

    async def pause_and_cancel(pace: Pace, seconds: float) -> None:
        await pause(pace, seconds)
        ctx.ask_cancel()

    monkeypatch.setattr(Pace, "pause", pause_and_cancel)
    return ctx


async def test_a_cancel_does_not_wait_for_revenuecat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled while its workers sit out a 429 returns what it has, long before the pause is over."""
    monkeypatch.setattr("owlrunner_revenuecat.sync.CANCEL_PATIENCE", 0.1)
    ctx = cancelled_at_a_pause(world, monkeypatch)
    await world.add_users("user_0001", "user_0002")
    world.standin.faults = [Fault(kind="customer", status=429, backoff_ms=60_000, after=1)]
    with trio.fail_after(30):
        result = await world.sync(ctx, concurrency=1)
    assert (result["cancelled_at"], result["synced"]) == (1, 1)
    assert await world.synced_users() == ["user_0001"]


async def test_a_429_is_told_to_all_who_share_the_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause that a 429 asks for stands in the database, under the key and the kind of requests that it is about."""
    monkeypatch.setattr("owlrunner_revenuecat.sync.CANCEL_PATIENCE", 0.0)
    ctx = cancelled_at_a_pause(world, monkeypatch)
    await world.add_users("user_0001")
    world.standin.faults = [Fault(kind="customer", status=429, backoff_ms=60_000)]
    await world.sync(ctx)
    rows = await world.execute(
        "select kind, booked_until > now() + interval '30 s' from revenuecat_rate_limits order by kind"
    )
    assert rows == [("configuration", False), ("customer", True)]


async def test_trios_cancelled_saves_what_was_synced(world: World) -> None:
    """A run that is ended from outside passes the cancellation on at once, and still writes the users it had synced."""
    await world.add_users(*world.standin.customers)
    with trio.CancelScope() as ended:
        await world.sync(
            world.context(lambda _, progress: ended.cancel() if progress.processed == 7 else None), concurrency=1
        )
    assert ended.cancelled_caught
    assert len(await world.synced_users()) == 7


@pytest.mark.parametrize(("save_every", "latency"), [(0.01, 0.01), (0.2, 0)], ids=["in the middle", "at the end"])
async def test_a_database_that_is_away_for_a_while_loses_no_user(
    world: World, monkeypatch: pytest.MonkeyPatch, save_every: float, latency: float
) -> None:
    """Writes that fail are made again, while RevenueCat is asked on and after it, and the run completes."""
    monkeypatch.setattr("owlrunner_revenuecat.saving.SAVE_EVERY", save_every)
    opened = 0

    @contextlib.asynccontextmanager
    async def connect(_: JobContext) -> AsyncIterator[Connection]:
        nonlocal opened
        opened += 1
        # The integration and the rate limits of both kinds come first.
        if opened in (4, 5):
            raise DatabaseUnavailable("away")
        async with world.db.dedicated() as connection:
            yield connection

    await world.add_users(*world.standin.customers)
    world.standin.latency = latency
    result = await world.sync(world.context(connect=connect))
    assert opened > 5
    assert result["synced"] == 24
    assert len(await world.synced_users()) == 24


async def test_users_who_cannot_be_written_fail_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose users the database does not take for too long fails, and says how many they are."""
    monkeypatch.setattr("owlrunner_revenuecat.saving.SAVE_EVERY", 0.01)
    monkeypatch.setattr("owlrunner_revenuecat.saving.OUTAGE_PATIENCE", 0.05)
    opened = 0

    @contextlib.asynccontextmanager
    async def connect(_: JobContext) -> AsyncIterator[Connection]:
        nonlocal opened
        opened += 1
        # The integration and the rate limits of both kinds come first.
        if opened > 3:
            raise DatabaseUnavailable("away for good")
        async with world.db.dedicated() as connection:
            yield connection

    await world.add_users("user_0001", "user_0002")
    with pytest.raises(NotSaved, match="2 users could not be written: away for good"):
        await world.sync(world.context(connect=connect))


async def test_the_key_never_leaves_its_place(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The API key is in no log line, progress message, result or error, even when RevenueCat repeats it."""
    caplog.set_level(logging.DEBUG)
    key = "sk_of_this_project"
    await world.add_users("user_0001", "user_0002")
    world.standin.faults = [Fault(customer="user_0001", status=400, body=f'{{"message": "what is {key}?"}}'.encode())]
    result = await world.sync()
    world.standin.faults = [Fault(status=401, body=f"bad {key}".encode())]
    with pytest.raises(KeyRefused, match=r"bad \*\*\*\*") as caught:
        await world.sync()
    assert result["errors"] == 1
    assert "what is ****?" in caplog.text
    for told in (
        caplog.text,
        str(result),
        str(world.progress),
        repr(caught.value),
        "".join(traceback.format_exception(caught.value)),
    ):
        assert key not in told
