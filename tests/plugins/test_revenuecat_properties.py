"""The mapping from a RevenueCat customer to properties: pure, so every kind of customer is one line of a table."""

from typing import Any

import attrs
import pytest

from owlrunner_revenuecat.customer import Attribute, Customer, Entitlement, Money, Names, Purchase, Subscription
from owlrunner_revenuecat.properties import (
    DAY,
    OWNED_KEYS,
    attribution,
    primary_subscription,
    properties,
    revenue_cents,
)

NAMES = Names({"e1": "pro", "e2": "team"}, {"p1": "app.pro", "p2": "app.coins"})
PRO = Entitlement("e1")
NO_GOOD = [Money(None), Money("9.99"), Money(float("nan")), Money(float("inf")), Money(1e300), Money(True), Money()]


def subscribed(status: str = "active", days: float | None = 30, **others: Any) -> Subscription:
    ends = None if days is None else days * DAY
    plain = Subscription(
        status, "p1", current_period_starts_at=0, current_period_ends_at=ends, auto_renewal_status="will_renew"
    )
    return attrs.evolve(plain, **others)


@pytest.mark.parametrize(
    ("subscription", "status", "period_type", "will_renew", "subscriber"),
    [
        (subscribed("trialing", 7), "trialing", "trial", "true", "true"),
        (subscribed("trialing", 7, auto_renewal_status="will_not_renew"), "trialing", "trial", "false", "false"),
        (subscribed("active"), "active", "normal", "true", "true"),
        (subscribed("active", 7), "active", "normal", "true", "true"),
        (subscribed("active", auto_renewal_status=None), "active", "normal", "true", "true"),
        (subscribed("active", auto_renewal_status="will_change_product"), "active", "normal", "true", "true"),
        (subscribed("active", auto_renewal_status="will_not_renew"), "active", "normal", "false", "false"),
        (subscribed("in_grace_period"), "active", "normal", "true", "true"),
        (subscribed("cancelled", 7), "cancelled", "trial", "false", "false"),
        (subscribed("cancelled", 365), "cancelled", "normal", "false", "false"),
        (subscribed("expired", 7), "expired", "trial", "true", "true"),
        (subscribed("expired", 16), "expired", "normal", "true", "true"),
        (subscribed("in_billing_retry"), "expired", "normal", "true", "true"),
        (subscribed("paused"), "expired", "normal", "true", "true"),
        (subscribed("something new"), "expired", "normal", "true", "true"),
        (subscribed("something new", gives_access=True), "active", "normal", "true", "true"),
        (subscribed("active", gives_access=False), "expired", "normal", "true", "true"),
    ],
)
def test_a_subscription_decides_status_and_kind(
    subscription: Subscription, status: str, period_type: str, will_renew: str, subscriber: str
) -> None:
    """An entitled customer's status, kind of period and renewal come from the subscription."""
    found = properties(Customer(entitlements=(PRO,), subscriptions=(subscription,)), NAMES)
    assert found["rc_status"] == status
    assert found["rc_period_type"] == period_type
    assert found["rc_will_renew"] == will_renew
    assert found["rc_subscriber"] == subscriber
    assert found["rc_product"] == "app.pro"


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (7, "weekly"), (9.9, "weekly"), (10, "two_weeks"), (19.9, "two_weeks"), (28, "monthly"), (31, "monthly"),
        (40, "two_months"), (70, "three_months"), (92, "three_months"), (100, "six_months"), (184, "six_months"),
        (200, "yearly"), (366, "yearly"),
        (400, "lifetime"), (None, "lifetime"),
    ],
)  # fmt: skip
def test_a_billing_period_is_named_by_its_length(days: float | None, name: str) -> None:
    """A billing period gets the name of the step that its length falls into; without an end it is a lifetime."""
    assert properties(Customer(subscriptions=(subscribed(days=days),)), NAMES)["rc_billing_period"] == name


def test_an_entitlement_alone_is_promotional() -> None:
    """Who is entitled without having bought anything is an active subscriber, promotional, without product or renewal."""
    assert properties(Customer(entitlements=(PRO,)), NAMES) == {
        "rc_subscriber": "true",
        "rc_status": "active",
        "rc_entitlements": "pro",
        "rc_period_type": "promotional",
        "rc_billing_period": "lifetime",
        "rc_will_renew": "false",
        "rc_total_revenue_usd": "0.00",
    }


def test_a_one_time_purchase_is_a_lifetime() -> None:
    """Who bought once and is entitled is a subscriber for life who will not renew."""
    bought = Purchase(product_id="p2", status="owned", revenue_in_usd=Money(149))
    assert properties(Customer(entitlements=(PRO,), purchases=(bought,)), NAMES) == {
        "rc_subscriber": "true",
        "rc_status": "active",
        "rc_entitlements": "pro",
        "rc_product": "app.coins",
        "rc_period_type": "lifetime",
        "rc_billing_period": "lifetime",
        "rc_will_renew": "false",
        "rc_total_revenue_usd": "149.00",
    }


def test_a_refunded_purchase_is_none() -> None:
    """A refunded one-time purchase makes nobody a lifetime customer."""
    assert "rc_product" not in properties(Customer(purchases=(Purchase("p2", "refunded"),)), NAMES)


def test_nothing_at_all_is_expired() -> None:
    """A customer without entitlement, subscription or purchase is no subscriber, and expired."""
    found = properties(Customer(), NAMES)
    assert found == {
        "rc_subscriber": "false",
        "rc_status": "expired",
        "rc_will_renew": "false",
        "rc_total_revenue_usd": "0.00",
    }


def test_a_lapsed_subscription_makes_no_subscriber() -> None:
    """Without an entitlement nobody is a subscriber, whatever the subscription says of renewal."""
    assert properties(Customer(subscriptions=(subscribed("expired"),)), NAMES)["rc_subscriber"] == "false"


def test_several_entitlements_are_joined_by_name() -> None:
    """All entitlements are listed, by lookup key where it is known and by id where it is not."""
    customer = Customer(entitlements=(Entitlement("e2"), Entitlement("e9"), PRO))
    assert properties(customer, NAMES)["rc_entitlements"] == "team,e9,pro"


def test_an_unknown_product_keeps_its_id() -> None:
    """A product whose store identifier is not known is written by its id."""
    assert properties(Customer(subscriptions=(subscribed(),)), Names())["rc_product"] == "p1"


@pytest.mark.parametrize(
    ("subscriptions", "chosen"),
    [
        ([("expired", 9, False), ("active", 1, True)], 1),
        ([("active", 1, None), ("trialing", 2, None), ("in_grace_period", 3, None)], 2),
        ([("paused", 1, True), ("active", 0, None)], 0),
        ([("expired", 1, False), ("expired", 2, False)], 1),
        ([("active", None, True), ("active", 1, True)], 1),
        ([("active", None, True)], 0),
    ],
)
def test_the_newest_running_subscription_stands_for_the_customer(
    subscriptions: list[tuple[str, float | None, bool | None]], chosen: int
) -> None:
    """Among subscriptions that run the newest is taken, and among all others when none runs."""
    every = [
        Subscription(status, f"p{n}", starts, None, None, access)
        for n, (status, starts, access) in enumerate(subscriptions)
    ]
    assert primary_subscription(every) is every[chosen]


def test_revenues_of_both_kinds_are_summed_exactly() -> None:
    """Subscription and one-time revenue are added in cents, without the drift of floats."""
    customer = Customer(
        subscriptions=(subscribed(total_revenue_in_usd=Money(9.99)), subscribed(total_revenue_in_usd=Money(0.1))),
        purchases=(Purchase(revenue_in_usd=Money(2.5)), Purchase()),
    )
    assert revenue_cents(customer) == 1259
    assert properties(customer, NAMES)["rc_total_revenue_usd"] == "12.59"


@pytest.mark.parametrize("money", NO_GOOD)
def test_an_amount_that_makes_no_sense_counts_as_nothing(money: Money) -> None:
    """A missing, non-finite or absurd amount counts as 0 and does not spoil the others."""
    assert revenue_cents(Customer(purchases=(Purchase(revenue_in_usd=money), Purchase(revenue_in_usd=Money(1))))) == 100


def test_unknown_revenue_is_left_alone() -> None:
    """When neither source of revenue could be read there is no amount to write."""
    customer = Customer(subscriptions=None, purchases=None)
    assert revenue_cents(customer) is None
    assert "rc_total_revenue_usd" not in properties(customer, NAMES)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, {"attribution_source": "none"}),
        ({"$mediaSource": " ", "$campaign": "x"}, {"attribution_source": "none"}),
        ({"$mediaSource": None}, {"attribution_source": "none"}),
        ({"$mediaSource": "Some Network", "$campaign": "x"}, {}),
        (
            {
                "$mediaSource": "Apple Search Ads",
                "$campaign": " Spring ",
                "$adGroup": "",
                "$ad": None,
                "$keyword": "owl\x00",
            },
            {"attribution_source": "apple_search_ads", "asa_campaign_name": "Spring", "asa_keyword": "owl"},
        ),
    ],
)
def test_attribution_is_ours_to_say_or_nothing(attributes: dict[str, str | None], expected: dict[str, str]) -> None:
    """No network is "none", Apple Search Ads is told with its trimmed details, and any other network is not ours to tell."""
    assert attribution([Attribute(name, value) for name, value in attributes.items()]) == expected


def test_attributes_that_could_not_be_read_say_nothing() -> None:
    """Attributes that could not be read do not make a customer organic."""
    assert attribution(None) == {}


def test_every_key_that_a_sync_decides_is_owned() -> None:
    """Each rc_ key but the revenue is among those that the next sync removes when it no longer applies."""
    customers = [Customer((PRO,), (subscribed(),)), Customer((PRO,), (), (Purchase("p2"),)), Customer((PRO,))]
    written = {key for customer in customers for key in properties(customer, NAMES)}
    assert written - {"rc_total_revenue_usd"} == set(OWNED_KEYS)
