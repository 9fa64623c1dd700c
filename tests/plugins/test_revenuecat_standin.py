"""The stand-in speaks RevenueCat's own specification, so that what works with it has a chance with RevenueCat."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import httpx
import pytest
import trio

from owlrunner.demo.customers import PROJECT_ID, StandInCustomer, attributes, purchase, subscription
from owlrunner.demo.revenuecat import StandIn, serve

MANY = attributes(**{f"name{number:03}": "x" for number in range(120)})
BOTH = StandInCustomer(
    "both",
    subscriptions=(subscription("prod_month", "active"), subscription("prod_week", "active", environment="sandbox")),
    purchases=(purchase("prod_ever", 1.0), purchase("prod_coins", 1.0, environment="sandbox")),
    attributes=MANY,
)
ABOUT = f"projects/{PROJECT_ID}/customers/both"


@pytest.fixture
def standin() -> StandIn:
    """A RevenueCat with one customer who has much of everything."""
    return StandIn({"both": BOTH})


@pytest.fixture
async def http(standin: StandIn, nursery: trio.Nursery) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client, which knows the key."""
    url = await nursery.start(serve, standin)
    headers = {"authorization": f"Bearer {standin.api_key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client


async def items(http: httpx.AsyncClient, path: str, **params: str) -> Any:
    """The items of a list's page."""
    return (await http.get(path, params=params)).json()["items"]


async def test_a_page_holds_20_and_100_at_most(http: httpx.AsyncClient) -> None:
    """A list gives 20 items unless asked for more, 100 at most, and names the next page by a relative address."""
    page = (await http.get(f"{ABOUT}/attributes")).json()
    assert (len(page["items"]), page["next_page"]) == (20, f"/v2/{ABOUT}/attributes?starting_after=%24name019")
    assert len(await items(http, f"{ABOUT}/attributes", limit="100")) == 100
    assert len(await items(http, f"{ABOUT}/attributes", limit="100", starting_after="$name099")) == 20
    assert (await http.get(f"{ABOUT}/attributes", params={"limit": "101"})).status_code == 400


async def test_expanded_attributes_are_a_first_page(http: httpx.AsyncClient) -> None:
    """A customer's expanded attributes are the first 20 of a list, and the active entitlements come without being asked for."""
    told = (await http.get(ABOUT, params={"expand": "attributes"})).json()
    assert len(told["attributes"]["items"]) == 20
    assert told["attributes"]["next_page"] == f"/v2/{ABOUT}/attributes?starting_after=%24name019"
    assert told["active_entitlements"]["items"] == []


@pytest.mark.parametrize("kind", ["subscriptions", "purchases"])
async def test_an_environment_can_be_asked_for(http: httpx.AsyncClient, kind: str) -> None:
    """Subscriptions and purchases say environment and store, and come from both environments unless one is asked for."""
    every = await items(http, f"{ABOUT}/{kind}")
    assert [(one["environment"], one["store"]) for one in every] == [
        ("production", "app_store"),
        ("sandbox", "app_store"),
    ]
    assert await items(http, f"{ABOUT}/{kind}", environment="sandbox") == every[1:]


async def test_the_rate_limit_is_told(standin: StandIn, http: httpx.AsyncClient) -> None:
    """Each answer tells usage and limit; a 429 tells the wait in whole seconds in its header, in milliseconds in its body."""
    standin.customer_requests_per_minute = 1
    answers = [await http.get(ABOUT) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert [answers[0].headers[f"RevenueCat-Rate-Limit-Current-{what}"] for what in ("Usage", "Limit")] == ["1", "1"]
    assert 50_000 < answers[1].json()["backoff_ms"] <= 60_000
    assert 50 <= int(answers[1].headers["retry-after"]) <= 60


async def test_a_key_may_see_several_projects(standin: StandIn, http: httpx.AsyncClient) -> None:
    """The list of projects holds all that the key sees."""
    standin.project_ids = ("proj_other", PROJECT_ID)
    assert [one["id"] for one in await items(http, "projects")] == ["proj_other", PROJECT_ID]


@pytest.mark.parametrize(
    ("customer_id", "status"), [("null", 400), ("0", 400), ("-1", 400), ("guest", 400), ("a%2Fb", 404), ("x", 404)]
)
async def test_blocked_ids_are_refused(
    standin: StandIn, http: httpx.AsyncClient, customer_id: str, status: int
) -> None:
    """Ids that RevenueCat blocks are no customers, whatever has been stored under them."""
    standin.customers |= {name: attrs.evolve(BOTH, id=name) for name in ("null", "a/b")}
    assert (await http.get(f"projects/{PROJECT_ID}/customers/{customer_id}")).status_code == status
