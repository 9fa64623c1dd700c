"""The table of the reference that compares RevenueCat, OwlMetry and this mapping: each row is so."""

import re

import pytest

from owlrunner_revenuecat.customer import Customer, Entitlement, Money, Names, Purchase, Subscription
from owlrunner_revenuecat.properties import DAY, properties
from owlrunner_revenuecat.rate_limit import Pace
from tests.docs.pages import reference, rows

PAGE = reference("revenuecat")
NAMES = Names({"e1": "pro"}, {"p1": "app.pro", "p2": "app.coins"}, frozenset({"p2"}))
PRO = (Entitlement("e1"),)
COINS = Purchase("p2", "owned", Money(2.5))
FOR_LIFE = Purchase("p3", "owned", Money(99))


def subscribed(status: str, *, access: bool, renews: str = "will_renew", ends: float | None = 30 * DAY) -> Subscription:
    """A subscription whose period began long ago."""
    return Subscription(status, "p1", 0, ends, renews, access, store="app_store")


GRANT = Subscription("active", None, 5 * DAY, 35 * DAY, "will_not_renew", True, store="promotional")
EXPIRED = subscribed("expired", access=False, renews="will_not_renew")
CUSTOMERS = {
    "`status: unknown`, `gives_access: true`": Customer(PRO, (subscribed("unknown", access=True),)),
    "`status: active`, `gives_access: false`": Customer((), (subscribed("active", access=False),)),
    "`status: active`, `auto_renewal_status: will_not_renew`": Customer(
        PRO, (subscribed("active", access=True, renews="will_not_renew"),)
    ),
    "`store: promotional`, `product_id: null`": Customer(PRO, (GRANT,)),
    "a paid subscription and a newer grant": Customer(PRO, (GRANT, subscribed("active", access=True))),
    "an active entitlement and nothing else": Customer(PRO),
    "a purchase of a `consumable`": Customer((), (), (COINS,)),
    "an expired subscription and a purchase for life": Customer(PRO, (EXPIRED,), (COINS, FOR_LIFE)),
    "a period that ends as it starts": Customer((), (subscribed("expired", access=False, ends=0),)),
    "expired or paused, without an end": Customer((), (subscribed("paused", access=False, ends=None),)),
    "revenue below zero": Customer((), (), (Purchase("p3", "refunded", Money(-4.99)),)),
    "nothing at all": Customer(),
}
TABLE = {row[0]: row[3] for row in rows(PAGE, "input")}


def test_the_table_is_complete() -> None:
    """Each row of the table is tried out, and each case that is tried out has its row."""
    assert list(TABLE) == list(CUSTOMERS)


@pytest.mark.parametrize("case", CUSTOMERS)
def test_each_row_of_the_table_is_so(case: str) -> None:
    """The customer of the row gets the properties that the row says, and lacks those that it says are not there."""
    found = properties(CUSTOMERS[case], NAMES)
    told = TABLE[case]
    absent = re.findall(r"no `(\w+)`", told)
    present = dict(re.findall(r"`(\w+)=([^`]+)`", told))
    assert len(absent) + len(present) == told.count("`") / 2 > 0
    assert {key: found.get(key) for key in present} == present
    assert found.keys().isdisjoint(absent)


def test_the_times_of_the_table_are_so() -> None:
    """The hours that the page tells follow from the limit, three requests a user, the own pace, and six hours a run."""
    a_minute = 60 / Pace(480)._gap
    for users, at_best, as_asked, runs in rows(PAGE, "users"):
        count = int(users.replace(",", ""))
        hours = count * 3 / a_minute / 60
        assert (at_best, as_asked) == (f"{count * 3 / 480 / 60:.1f}", f"{hours:.1f}")
        assert int(runs) == -(-hours // 6)
