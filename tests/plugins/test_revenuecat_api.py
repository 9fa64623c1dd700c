"""The client, against the stand-in over real sockets; where only time matters, against made-up answers in virtual time."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from owlrunner.demo.customers import (
    ENTITLEMENTS,
    PRODUCTS,
    PROJECT_ID,
    StandInCustomer,
    attributes,
    customers,
    entitlement,
    purchase,
    subscription,
)
from owlrunner.demo.revenuecat import Fault, StandIn, serve
from owlrunner.errors import ConfigError
from owlrunner_revenuecat.answers import KeyRefused, RevenueCatError, Unknown
from owlrunner_revenuecat.api import RevenueCat, open_revenuecat
from owlrunner_revenuecat.customer import Names
from owlrunner_revenuecat.paging import next_cursor
from owlrunner_revenuecat.settings import SyncSettings

QUICK = SyncSettings(customer_requests_per_minute=100_000, configuration_requests_per_minute=100_000, retry_delay=0.001)


@pytest.fixture
def standin() -> StandIn:
    """A RevenueCat with one customer of each kind."""
    return StandIn(customers(60))


@pytest.fixture
async def url(standin: StandIn, nursery: trio.Nursery) -> str:
    """Where the stand-in serves."""
    return str(await nursery.start(serve, standin))


@pytest.fixture
async def revenuecat(standin: StandIn, url: str) -> AsyncIterator[RevenueCat]:
    """A client of the stand-in."""
    async with open_revenuecat(attrs.evolve(QUICK, api_url=url), standin.api_key) as client:
        yield client


async def test_project_and_names_are_learned(revenuecat: RevenueCat) -> None:
    """The project of the key, the names of its entitlements and products, and which are used up, are read."""
    assert await revenuecat.project_id() == PROJECT_ID
    assert await revenuecat.names(PROJECT_ID) == Names(ENTITLEMENTS, PRODUCTS, frozenset({"prod_coins"}))


async def test_lists_are_read_to_their_end(standin: StandIn, revenuecat: RevenueCat) -> None:
    """Every page of a list is read, however small the pages are."""
    standin.page_size = 2
    assert await revenuecat.names(PROJECT_ID) == Names(ENTITLEMENTS, PRODUCTS, frozenset({"prod_coins"}))
    assert (standin.by_kind["entitlements"], standin.by_kind["products"]) == (2, 4)


async def test_a_list_in_circles_ends(standin: StandIn, revenuecat: RevenueCat) -> None:
    """A list whose cursor does not advance is read no further."""
    standin.stuck_paging = True
    await revenuecat.names(PROJECT_ID)
    assert standin.by_kind["entitlements"] == 2


async def test_names_that_cannot_be_read_are_done_without(standin: StandIn, revenuecat: RevenueCat) -> None:
    """A list of names that fails, for whatever reason but a key that is none, leaves the ids."""
    standin.faults = [Fault(kind="entitlements", status=500), Fault(kind="products", status=403)]
    assert await revenuecat.names(PROJECT_ID) == Names()
    standin.faults = [Fault(kind="products", status=401)]
    with pytest.raises(KeyRefused):
        await revenuecat.names(PROJECT_ID)


async def test_a_customer_is_read_whole(standin: StandIn, revenuecat: RevenueCat) -> None:
    """Entitlements, subscriptions, purchases and attributes of a customer arrive, in three requests."""
    found = await revenuecat.customer(PROJECT_ID, "user_0002")
    assert [one.entitlement_id for one in found.entitlements] == ["entl_pro", "entl_team"]
    assert [(one.product_id, one.status) for one in found.subscriptions or ()] == [
        ("prod_year", "active"),
        ("prod_month", "expired"),
    ]
    assert found.purchases == ()
    assert [one.name for one in found.attributes or ()] == ["$mediaSource", "$campaign", "$adGroup", "$ad", "$keyword"]
    assert standin.requests == 3


async def test_many_entitlements_are_read_to_their_end(standin: StandIn, revenuecat: RevenueCat) -> None:
    """Active entitlements beyond the first 20, which come with the customer, are read too."""
    many = tuple(entitlement(f"entl_{number}") for number in range(25))
    standin.customers["user_0001"] = attrs.evolve(standin.customers["user_0001"], entitlements=many)
    found = await revenuecat.customer(PROJECT_ID, "user_0001")
    assert [one.entitlement_id for one in found.entitlements] == [one["entitlement_id"] for one in many]
    assert standin.by_kind["active_entitlements"] == 1


async def test_lists_are_asked_for_a_hundred_at_a_time(standin: StandIn, revenuecat: RevenueCat) -> None:
    """Every list of the sync asks for as many items as RevenueCat gives at once."""
    await revenuecat.names(PROJECT_ID)
    await revenuecat.customer(PROJECT_ID, "user_0001")
    assert [query.get("limit") for query in standin.queries if "expand" not in query] == ["100"] * 4


TESTED = [subscription("prod_month", "active", environment="sandbox"), purchase("prod_ever", 1, environment="sandbox")]


@pytest.mark.parametrize(("environment", "found"), [("production", 1), ("sandbox", 2), ("all", 3)])
@pytest.mark.parametrize("heeds", [True, False])
async def test_only_the_environment_that_is_set_counts(
    standin: StandIn, url: str, environment: Any, found: int, heeds: bool
) -> None:
    """What was bought in another environment than is set is left out, even when RevenueCat sends it all the same."""
    real = subscription("prod_year", "active")
    standin.heeds_environment = heeds
    standin.customers["user_0001"] = StandInCustomer(
        "user_0001", (entitlement(),), (real, TESTED[0]), (TESTED[1],), attributes(campaign="x")
    )
    async with open_revenuecat(attrs.evolve(QUICK, api_url=url, environment=environment), standin.api_key) as client:
        customer = await client.customer(PROJECT_ID, "user_0001")
    assert len(customer.subscriptions or ()) + len(customer.purchases or ()) == found
    assert len(customer.entitlements) == 1
    asked = None if environment == "all" else environment
    assert [query.get("environment") for query in list(standin.queries)[1:]] == [asked, asked]


@pytest.mark.parametrize("tested", [(TESTED[:1], []), ([], TESTED[1:])], ids=["subscription", "purchase"])
@pytest.mark.parametrize(("environment", "entitled"), [("production", 0), ("sandbox", 1), ("all", 1)])
async def test_what_testers_are_entitled_to_does_not_count(
    standin: StandIn,
    url: str,
    environment: Any,
    entitled: int,
    tested: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Entitlements that come from another environment than is set are none."""
    standin.customers["user_0001"] = StandInCustomer("user_0001", (entitlement(),), tuple(tested[0]), tuple(tested[1]))
    async with open_revenuecat(attrs.evolve(QUICK, api_url=url, environment=environment), standin.api_key) as client:
        assert len((await client.customer(PROJECT_ID, "user_0001")).entitlements) == entitled


async def test_a_grant_counts_in_production(standin: StandIn, revenuecat: RevenueCat) -> None:
    """An entitlement that no purchase explains, in whichever environment, stays."""
    standin.customers["user_0001"] = StandInCustomer("user_0001", (entitlement(),))
    assert (await revenuecat.customer(PROJECT_ID, "user_0001")).entitlements


async def test_ids_are_encoded_once(standin: StandIn, revenuecat: RevenueCat) -> None:
    """An id with $, :, a space and letters beyond ASCII reaches RevenueCat as one segment, encoded once."""
    customer = await revenuecat.customer(PROJECT_ID, "$team:0050 é")
    assert customer.entitlements
    assert standin.paths[0].startswith(f"/v2/projects/{PROJECT_ID}/customers/%24team%3A0050%20%C3%A9")


@pytest.mark.parametrize("user_id", ["nobody", "a%24b", "a/b", "", ".", ".."])
async def test_an_unknown_customer_is_told_apart(revenuecat: RevenueCat, user_id: str) -> None:
    """An id that RevenueCat does not know, or that no path can name, is unknown and no other error."""
    with pytest.raises(Unknown):
        await revenuecat.customer(PROJECT_ID, user_id)


@pytest.mark.parametrize("kind", ["customer", "subscriptions", "purchases"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_told_at_every_call(
    standin: StandIn, revenuecat: RevenueCat, kind: str, status: int
) -> None:
    """401 and 403 raise KeyRefused with RevenueCat's words, at once, whichever call they meet."""
    standin.faults = [Fault(kind=kind, status=status)]
    with pytest.raises(KeyRefused, match="made to fail"):
        await revenuecat.customer(PROJECT_ID, "user_0001")
    assert standin.by_kind[kind] == 1


async def test_purchases_that_are_not_offered_are_none(standin: StandIn, revenuecat: RevenueCat) -> None:
    """A project without one-time purchases (405) is synced without, and is not asked for them again."""
    standin.offers_purchases = False
    for user_id in ("user_0008", "user_0001"):
        assert (await revenuecat.customer(PROJECT_ID, user_id)).purchases == ()
    assert standin.by_kind["purchases"] == 1


@pytest.mark.parametrize("count", [20, 21, 121])
async def test_attributes_are_read_to_their_end(standin: StandIn, revenuecat: RevenueCat, count: int) -> None:
    """Attributes beyond the first 20, which come with the customer, are read too, 100 at a time."""
    many = attributes(**{f"name{number:03}": "x" for number in range(count)})
    standin.customers["user_0001"] = attrs.evolve(standin.customers["user_0001"], attributes=many)
    found = await revenuecat.customer(PROJECT_ID, "user_0001")
    assert [one.name for one in found.attributes or ()] == [one["name"] for one in many]
    assert standin.by_kind["attributes"] == {20: 0, 21: 1, 121: 2}[count]


async def test_attributes_that_fail_cost_only_themselves(standin: StandIn, revenuecat: RevenueCat) -> None:
    """A customer whose attributes cannot be read is known but for them."""
    many = attributes(**{f"name{number:03}": "x" for number in range(21)})
    standin.customers["user_0001"] = attrs.evolve(standin.customers["user_0001"], attributes=many)
    standin.faults = [Fault(kind="attributes", status=500)]
    found = await revenuecat.customer(PROJECT_ID, "user_0001")
    assert found.entitlements
    assert found.attributes is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, times=3),
        Fault(status=503, body=b"<html>", times=3),
        Fault(body=b'{"items": [', times=3),
        Fault(body=b'{"active_entitlements": "none"}', times=3),
        Fault(body=b'{"active_entitlements": {"items": [{"entitlement_id": "\xff"}]}}', times=3),
    ],
    ids=["500", "503", "cut off", "wrong shape", "no text"],
)
async def test_what_fails_for_a_while_is_asked_again(standin: StandIn, revenuecat: RevenueCat, fault: Fault) -> None:
    """A server error or an unreadable answer is met by further tries, and the last one counts."""
    standin.faults = [attrs.evolve(fault, kind="customer")]
    assert (await revenuecat.customer(PROJECT_ID, "user_0001")).entitlements
    assert standin.by_kind["customer"] == 4


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault(status=500), "500"), (Fault(body=b"{"), "malformed"), (Fault(delay=60), "timeout")]
)
async def test_tries_are_bounded(standin: StandIn, url: str, fault: Fault, code: str) -> None:
    """After max_tries the error stands, and says by its code what kind it is."""
    standin.faults = [fault]
    settings = attrs.evolve(QUICK, api_url=url, timeout=0.1 if code == "timeout" else 10, max_tries=3)
    async with open_revenuecat(settings, standin.api_key) as client:
        with pytest.raises(RevenueCatError) as caught:
            await client.customer(PROJECT_ID, "user_0001")
    assert caught.value.code == code
    assert standin.requests == 3


async def test_an_unreachable_server_is_a_network_error() -> None:
    """Nobody listening is told as a network error after the tries."""
    with trio.socket.socket() as nobody:
        await nobody.bind(("127.0.0.1", 0))
        settings = attrs.evolve(QUICK, api_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/v2", max_tries=2)
        async with open_revenuecat(settings, "sk_x") as client:
            with pytest.raises(RevenueCatError, match="cannot be reached") as caught:
                await client.project_id()
    assert caught.value.code == "network"


async def test_a_429_is_waited_out(standin: StandIn, revenuecat: RevenueCat) -> None:
    """A 429 is no error: the request is sent again after backoff_ms."""
    standin.faults = [
        Fault(kind="subscriptions", status=429, backoff_ms=150, headers={"Retry-After": "60000"}, times=1)
    ]
    start = trio.current_time()
    assert (await revenuecat.customer(PROJECT_ID, "user_0001")).subscriptions
    assert 0.15 <= trio.current_time() - start < 10
    assert standin.by_status[429] == 1


async def test_a_429_pauses_every_worker(autojump_clock: MockClock) -> None:
    """While a 429 asks for a pause no worker sends a request, and afterwards each gets its answer."""
    asked: list[float] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(trio.current_time())
        if len(asked) == 3:
            return httpx.Response(429, json={"message": "slow down", "backoff_ms": 30_000})
        await trio.sleep(1)
        return httpx.Response(200, json={"items": [{"id": "p"}]})

    found: list[str] = []
    settings = SyncSettings(configuration_requests_per_minute=600)

    async def ask() -> None:
        found.extend([await client.project_id() for _ in range(3)])

    start = trio.current_time()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = RevenueCat(http, settings, "sk_x")
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
    assert found == ["p"] * 12
    # Which of the four comes first is Trio's to choose; the fourth may have been let through just before the pause.
    assert len(asked) == 13
    assert all(time == start or time >= start + 30 for time in asked)
    assert asked.count(start) <= 4


async def test_the_limit_that_answers_tell_is_kept(autojump_clock: MockClock) -> None:
    """A client whose answers tell a lower limit than is set asks no faster than that."""
    headers = {"RevenueCat-Rate-Limit-Current-Limit": "12", "RevenueCat-Rate-Limit-Current-Usage": "1"}
    answer = httpx.Response(200, headers=headers, json={"items": [{"id": "p"}]})
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        client = RevenueCat(http, SyncSettings(), "sk_x")
        await client.project_id()
        start = trio.current_time()
        for _ in range(24):
            await client.project_id()
    assert trio.current_time() - start > 60


async def test_endless_429s_end(autojump_clock: MockClock) -> None:
    """A request that meets nothing but 429 is given up, and says so."""
    transport = httpx.MockTransport(lambda _: httpx.Response(429, json={"message": "never", "backoff_ms": 1000}))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(RevenueCatError, match="429: never"):
            await RevenueCat(http, SyncSettings(), "sk_x").project_id()


async def test_a_key_without_project_is_told() -> None:
    """A key that sees no project cannot be used, and the error says that the project is the trouble."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"items": []}))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(RevenueCatError, match="project cannot be resolved"):
            await RevenueCat(http, QUICK, "sk_x").project_id()


async def test_the_key_is_sent_as_bearer_and_shown_nowhere(
    standin: StandIn, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The key travels in the authorization header alone: no log line and no repr holds it."""
    caplog.set_level(logging.DEBUG)
    standin.api_key = "sk_only_for_revenuecat"
    async with open_revenuecat(attrs.evolve(QUICK, api_url=url), standin.api_key) as client:
        assert (await client.customer(PROJECT_ID, "user_0001")).entitlements
        assert standin.api_key not in repr(client) + repr(standin)
    assert caplog.records
    assert standin.api_key not in caplog.text


async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync ends with the name of the variable, and without the password that its value may hold."""
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:hunter2@proxy:port")
    with pytest.raises(ConfigError, match=r"^environment variable HTTPS_PROXY: expected a proxy's address") as told:
        async with open_revenuecat(QUICK, "sk_x"):
            pass
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("key", ["sk_with space", "sk_line\nbreak", "sk_é"])
async def test_a_key_that_cannot_be_sent_is_not_quoted(key: str) -> None:
    """A key that no header can carry is refused before anything could quote it."""
    with pytest.raises(KeyRefused) as caught:
        async with open_revenuecat(QUICK, key):
            pass
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("next_page", "cursor"),
    [
        (None, None),
        ("", None),
        ("/v2/projects/p/customers?limit=100&starting_after=abc", "abc"),
        ("https://api.revenuecat.com/v2/x?starting_after=%24RC%3A1", "$RC:1"),
        ("/v2/x?limit=100", None),
        ("http://[", None),
    ],
)
def test_the_cursor_is_read_from_the_next_page(next_page: str | None, cursor: str | None) -> None:
    """The cursor is the next page's starting_after, decoded once; none and nonsense end the list."""
    assert next_cursor(next_page) == cursor
