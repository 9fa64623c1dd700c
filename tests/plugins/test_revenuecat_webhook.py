"""RevenueCat's webhooks: whom an event is about, and the run that asks RevenueCat about them."""

from typing import Any

import pytest
import trio

from owlrunner.errors import InvalidParams
from owlrunner.storage.postgres import Database
from owlrunner_revenuecat import SyncSettings, UserSyncParams, revenuecat_user_sync_job
from owlrunner_revenuecat.webhook import users_of
from tests.plugins.revenuecat_world import World, new_world

ANONYMOUS = "$RCAnonymousID:0123"


@pytest.fixture
async def world(db: Database, nursery: trio.Nursery) -> World:
    """A world in which RevenueCat has customers, and the project no users."""
    return await new_world(db, nursery)


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"type": "RENEWAL", "app_user_id": "ann"}, ["ann"]),
        ({"type": "RENEWAL", "original_app_user_id": "ann", "app_user_id": None}, ["ann"]),
        ({"type": "RENEWAL", "app_user_id": ANONYMOUS, "aliases": [ANONYMOUS, "ann", "bo", "ann"]}, ["ann", "bo"]),
        ({"type": "TRANSFER", "transferred_from": ["ann", ANONYMOUS], "transferred_to": ["bo"]}, ["ann", "bo"]),
        (
            {"type": "A_NEW_KIND", "app_user_id": "ann", "aliases": "no list"},
            [
                "ann",
            ],
        ),
        ({"type": "RENEWAL", "app_user_id": "ann", "aliases": [3, None, "", "b\0", "c" * 256]}, ["ann"]),
        ({"type": "RENEWAL", "app_user_id": ANONYMOUS}, None),
        ({"type": "TEST", "app_user_id": "ann"}, None),
        (
            {"type": "RENEWAL", "app_user_id": "u", "aliases": [f"u{n}" for n in range(200)]},
            ["u", *(f"u{n}" for n in range(99))],
        ),
    ],
)
def test_whom_an_event_is_about(event: dict[str, Any], wanted: list[str] | None) -> None:
    """All users whom an event names are asked about, each once; RevenueCat's anonymous ids are nobody's, and a test is no news."""
    assert users_of(event) == (None if wanted is None else {"user_ids": wanted})


@pytest.mark.parametrize("event", [{}, {"type": "RENEWAL", "app_user_id": ""}, {"app_user_id": 3, "aliases": []}])
def test_an_event_about_nobody_is_refused(event: dict[str, Any]) -> None:
    """What names no user is no event."""
    with pytest.raises(ValueError, match="no user ID"):
        users_of(event)


async def test_some_users_are_synced(world: World) -> None:
    """The users of an event get what a sync of everybody would give them, also those who were not there; others are left alone."""
    known, new, other = sorted(world.standin.customers)[:3]
    await world.add_users(known, other)
    job = revenuecat_user_sync_job(world.settings)
    result = await job(world.context(), UserSyncParams((new, known, known)))
    assert (result["total"], result["synced"]) == (2, 2)
    told = [await world.properties(one) for one in (known, new)]
    assert await world.synced_users() == [known, new]
    await world.sync()
    assert [await world.properties(one) for one in (known, new)] == told


@pytest.mark.parametrize("ids", [[], [""], ["a" * 256], ["a"] * 101])
def test_params_are_bounded(ids: list[str]) -> None:
    """A run is about 1 to 100 users, by ids that can be stored."""
    job = revenuecat_user_sync_job(SyncSettings())
    with pytest.raises(InvalidParams, match="user_ids must be 1 to 100 ids"):
        job.decode_params({"user_ids": ids})
