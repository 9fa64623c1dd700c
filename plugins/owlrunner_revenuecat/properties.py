"""The pure mapping from a RevenueCat customer to an app user's properties: all are strings.

docs/reference/revenuecat.md lists the cases that RevenueCat, OwlMetry and this mapping see differently.
"""

import math
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

from owlrunner_revenuecat.customer import Attribute, Customer, Money, Names, Purchase, Subscription, gives_access

OWNED_KEYS = (
    "rc_subscriber",
    "rc_status",
    "rc_entitlements",
    "rc_product",
    "rc_period_type",
    "rc_billing_period",
    "rc_will_renew",
)
"""The keys that each sync decides anew; one that no longer applies is removed, or lapsed entitlements would stay."""

DAY = 24 * 3600 * 1000
_LONGEST_TRIAL = 16
_BILLING_PERIODS = (
    (10, "weekly"),
    (20, "two_weeks"),
    (40, "monthly"),
    (70, "two_months"),
    (100, "three_months"),
    (200, "six_months"),
    (400, "yearly"),
)
"""Below how many days a period has which name. Wide steps: months differ, and stores shift periods by a day or two."""
_CANCELLED = ("cancelled", "canceled")
_GRANTED = "promotional"
"""The store of what RevenueCat's owner gave away."""
_ASA = "Apple Search Ads"
_ASA_KEYS = {
    "$campaign": "asa_campaign_name",
    "$adGroup": "asa_ad_group_name",
    "$ad": "asa_ad_name",
    "$keyword": "asa_keyword",
}
_LARGEST_AMOUNT = 1e12


def properties(customer: Customer, names: Names) -> dict[str, str]:
    """The ``rc_…`` properties: always ``rc_subscriber``, ``rc_status`` and ``rc_will_renew``, the others where they apply."""
    entitled = bool(customer.entitlements)
    found: dict[str, str | None] = {
        "rc_entitlements": ",".join(
            names.entitlements.get(one.entitlement_id, one.entitlement_id) for one in customer.entitlements
        )
    }
    subscription = primary_subscription(customer.subscriptions or ())
    bought = _bought_for_life(customer, names)
    if bought is not None and entitled and subscription is not None and not gives_access(subscription):
        # The access comes from what was bought for life; the subscription before it is history.
        subscription = None
    # What is granted or bought for life is there without a renewal.
    will_renew, lasting = False, True
    if subscription is not None:
        granted = subscription.store == _GRANTED
        will_renew = (
            not granted
            and subscription.auto_renewal_status != "will_not_renew"
            and subscription.status not in _CANCELLED
        )
        lasting = granted
        found["rc_product"] = subscription.product_id
        found["rc_status"] = _status(subscription)
        found["rc_period_type"] = _period_type(subscription)
        found["rc_billing_period"] = _billing_period(subscription)
    else:
        found["rc_status"] = "active" if entitled else "expired"
        if bought is not None:
            found["rc_product"] = bought.product_id
            found |= {"rc_period_type": "lifetime", "rc_billing_period": "lifetime"}
        elif entitled:
            found |= {"rc_period_type": "promotional", "rc_billing_period": "lifetime"}
    if found.get("rc_product"):
        found["rc_product"] = names.products.get(found["rc_product"] or "", found["rc_product"])
    found["rc_will_renew"] = _flag(will_renew)
    found["rc_subscriber"] = _flag(entitled and (will_renew or lasting))
    cents = revenue_cents(customer)
    if cents is not None:
        found["rc_total_revenue_usd"] = f"{Decimal(cents) / 100:.2f}"
    return _storable(found)


def primary_subscription(subscriptions: Iterable[Subscription]) -> Subscription | None:
    """The subscription that stands for the customer: the newest of those that give access, else the newest of all.

    A paid one goes before one that was granted, which tells neither product nor renewal.
    """
    every = list(subscriptions)
    return max(
        [one for one in every if gives_access(one)] or every,
        key=lambda one: (
            one.store != _GRANTED,
            one.current_period_starts_at if one.current_period_starts_at is not None else -math.inf,
        ),
        default=None,
    )


def _bought_for_life(customer: Customer, names: Names) -> Purchase | None:
    """The first one-time purchase that lasts. A refunded one is none any more, and what is used up never was."""
    for purchase in customer.purchases or ():
        if purchase.status != "refunded" and purchase.product_id not in names.consumables:
            return purchase
    return None


def revenue_cents(customer: Customer) -> int | None:
    """What the customer has paid so far in US cents, or None when neither source could be read.

    An amount that makes no sense counts as 0. So does a sum below 0, which refunds make of what was never counted.
    """
    if customer.subscriptions is None and customer.purchases is None:
        return None
    amounts = [one.total_revenue_in_usd for one in customer.subscriptions or ()] + [
        one.revenue_in_usd for one in customer.purchases or ()
    ]
    return max(0, int((sum(map(_dollars, amounts), Decimal(0)) * 100).quantize(Decimal(1), ROUND_HALF_UP)))


def attribution(attributes: Iterable[Attribute] | None) -> dict[str, str]:
    """Where the customer came from; empty when that is unknown, or a network other than Apple Search Ads.

    The caller fills only properties that are unset: the app's own word about a user's origin is the better one.
    """
    if attributes is None:
        return {}
    told = {one.name: (one.value or "").strip() for one in attributes}
    source = told.get("$mediaSource", "")
    if not source:
        return {"attribution_source": "none"}
    if source != _ASA:
        return {}
    details = {key: told.get(name) for name, key in _ASA_KEYS.items()}
    return _storable({"attribution_source": "apple_search_ads", **details})


def _status(subscription: Subscription) -> str:
    if subscription.status == "trialing":
        return "trialing"
    if subscription.status in _CANCELLED:
        return "cancelled"
    # Whatever RevenueCat calls it, now or in future: access goes by this. rc_will_renew tells whether its owner has left.
    return "active" if gives_access(subscription) else "expired"


def _period_type(subscription: Subscription) -> str | None:
    if subscription.store == _GRANTED:
        return "promotional"
    if subscription.status == "trialing":
        return "trial"
    if gives_access(subscription):
        return "normal"
    # What is over no longer says whether it was a trial; only its length still tells.
    days = _days(subscription)
    if days is None:
        return None
    return "trial" if days < _LONGEST_TRIAL else "normal"


def _billing_period(subscription: Subscription) -> str | None:
    if subscription.current_period_ends_at is None:
        return "lifetime"
    days = _days(subscription)
    if days is None:
        return None
    return next((name for limit, name in _BILLING_PERIODS if days < limit), "lifetime")


def _days(subscription: Subscription) -> float | None:
    """The length of the current period; None where it cannot be told, as of one that was revoked as it began."""
    starts, ends = subscription.current_period_starts_at, subscription.current_period_ends_at
    return (ends - starts) / DAY if starts is not None and ends is not None and ends > starts else None


def _dollars(money: Money | None) -> Decimal:
    gross = money.gross if money is not None else None
    if (
        isinstance(gross, bool)
        or not isinstance(gross, int | float)
        or not math.isfinite(gross)
        or abs(gross) > _LARGEST_AMOUNT
    ):
        return Decimal(0)
    # By its text: 9.99 as a float is a little less than 9.99.
    return Decimal(str(gross))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _storable(found: Mapping[str, str | None]) -> dict[str, str]:
    """What has a value, without the one character that PostgreSQL cannot keep."""
    return {key: text for key, value in found.items() if (text := (value or "").replace("\x00", ""))}
