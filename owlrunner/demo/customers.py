"""This is the room for the made-up customers of the stand-in RevenueCat: every kind of subscriber, always the same."""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import attrs

DAY = 24 * 3600 * 1000
NOW = 1_780_000_000_000
"""What the made-up customers take for now, in milliseconds since 1970: fixed, so that every demo shows the same."""

PROJECT_ID = "proj_standin"
ENTITLEMENTS = {"entl_pro": "pro", "entl_team": "team", "entl_gold": "gold"}
"""Entitlement id → lookup key."""
PRODUCTS = {
    "prod_week": "app.pro.weekly",
    "prod_month": "app.pro.monthly",
    "prod_quarter": "app.pro.quarterly",
    "prod_half": "app.pro.halfyear",
    "prod_year": "app.pro.yearly",
    "prod_ever": "app.pro.lifetime",
    "prod_coins": "app.coins.100",
}
"""Product id → identifier in the store."""
PRODUCT_TYPES = {"prod_ever": "non_consumable", "prod_coins": "consumable"}
"""Product id → type, of those that are no subscription."""


@attrs.frozen
class StandInCustomer:
    """One customer, in the JSON that the four routes answer with."""

    id: str
    entitlements: tuple[dict[str, Any], ...] = ()
    subscriptions: tuple[dict[str, Any], ...] = ()
    purchases: tuple[dict[str, Any], ...] = ()
    attributes: tuple[dict[str, Any], ...] = ()


def entitlement(entitlement_id: str = "entl_pro", expires_at: int | None = NOW + 20 * DAY) -> dict[str, Any]:
    """One item of ``active_entitlements``."""
    return {"object": "customer.active_entitlement", "entitlement_id": entitlement_id, "expires_at": expires_at}


def subscription(
    product_id: str,
    status: str,
    *,
    days: int | None = 30,
    renews: str = "will_renew",
    gross: float = 0.0,
    age: int = 10,
    environment: str = "production",
) -> dict[str, Any]:
    """One item of ``subscriptions``: its current period began ``age`` days ago and lasts ``days`` (None: open)."""
    starts = NOW - age * DAY
    return {
        "object": "subscription",
        "id": f"sub_{product_id}_{age}",
        "product_id": product_id,
        "status": status,
        "current_period_starts_at": starts,
        "current_period_ends_at": None if days is None else starts + days * DAY,
        "auto_renewal_status": renews,
        "gives_access": status in ("trialing", "active", "in_grace_period"),
        "environment": environment,
        "store": "app_store",
        "total_revenue_in_usd": {"currency": "USD", "gross": gross},
    }


def purchase(product_id: str, gross: float, *, environment: str = "production") -> dict[str, Any]:
    """One item of ``purchases``: bought once."""
    return {
        "object": "purchase",
        "id": f"purchase_{product_id}",
        "product_id": product_id,
        "status": "owned",
        "environment": environment,
        "store": "app_store",
        "revenue_in_usd": {"currency": "USD", "gross": gross},
    }


def attributes(**values: str) -> tuple[dict[str, Any], ...]:
    """A customer's attributes; ``mediaSource="x"`` stands for ``$mediaSource``."""
    return tuple({"object": "customer.attribute", "name": f"${name}", "value": value} for name, value in values.items())


_SEARCH_ADS = attributes(
    mediaSource="Apple Search Ads", campaign="Spring", adGroup="Owls", ad="Owl at night", keyword="job runner"
)


def _kinds() -> Iterator[Callable[[str], StandInCustomer]]:
    """One maker for each kind of customer that the sync tells apart."""
    pro, team, gold = entitlement(), entitlement("entl_team"), entitlement("entl_gold", None)

    def kind(**parts: Any) -> Callable[[str], StandInCustomer]:
        return lambda customer_id: StandInCustomer(customer_id, **parts)

    month, year = (
        subscription("prod_month", "active", gross=59.94),
        subscription("prod_year", "active", days=365, gross=89.99),
    )
    lapsed = subscription("prod_month", "expired", gross=29.97, age=200)
    yield kind(entitlements=(pro,), subscriptions=(month,))
    yield kind(entitlements=(pro, team), subscriptions=(year, lapsed), attributes=_SEARCH_ADS)
    yield kind(entitlements=(pro,), subscriptions=(subscription("prod_week", "trialing", days=7, age=2),))
    yield kind(
        entitlements=(pro,), subscriptions=(subscription("prod_month", "active", renews="will_not_renew", gross=9.99),)
    )
    yield kind(subscriptions=(lapsed,), attributes=attributes(mediaSource="Some Network"))
    yield kind(subscriptions=(subscription("prod_week", "expired", days=7, age=90),))
    yield kind(
        entitlements=(team,), subscriptions=(subscription("prod_quarter", "in_grace_period", days=91, gross=53.97),)
    )
    yield kind(entitlements=(pro,), purchases=(purchase("prod_ever", 149.0),), attributes=_SEARCH_ADS)
    yield kind(entitlements=(gold,))
    yield kind(
        entitlements=(pro,),
        subscriptions=(subscription("prod_half", "active", days=182, gross=49.99),),
        purchases=(purchase("prod_coins", 2.5),),
    )
    yield kind(subscriptions=(subscription("prod_month", "in_billing_retry", gross=19.98, age=35),))
    yield kind()


def customers(count: int) -> dict[str, StandInCustomer]:
    """``count`` customers by id, all kinds in turn; every fiftieth id needs encoding in a path."""
    made = {}
    for number, make in enumerate(islice(cycle(_kinds()), count), start=1):
        customer_id = f"$team:{number:04} é" if number % 50 == 0 else f"user_{number:04}"
        made[customer_id] = make(customer_id)
    return made


def app_user_ids(count: int = 340, *, unknown: int = 12, anonymous: int = 20, made_up: int = 8) -> list[str]:
    """The ids to seed ``app_users`` with: customers, and users whom RevenueCat does not know or is not asked about.

    ``unknown`` get 404; ``anonymous`` start with ``owl_anon_`` (``is_anonymous`` is true for them, and for nobody else);
    ``made_up`` start with ``$RCAnonymousID:``.
    """
    return [
        *customers(count),
        *(f"user_unknown_{number:03}" for number in range(1, unknown + 1)),
        *(f"owl_anon_{number:03}" for number in range(1, anonymous + 1)),
        *(f"$RCAnonymousID:{number:032x}" for number in range(1, made_up + 1)),
    ]
