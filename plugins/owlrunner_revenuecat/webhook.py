"""What an event of RevenueCat's webhooks is about: users, who are then asked about like all others."""

from collections.abc import Iterator, Mapping
from typing import Any

from owlrunner_revenuecat.customer import ANONYMOUS
from owlrunner_revenuecat.settings import MOST_USERS, can_be_user_id

_ONE = ("app_user_id", "original_app_user_id")
_MANY = ("aliases", "transferred_from", "transferred_to")


def users_of(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the params of ``revenuecat_user_sync`` for an event, or None: it is a test, or about nobody whom a project knows.

    An event is taken for news about its users, whatever it says of them: events may come late, twice and out of order, and
    RevenueCat knows best what holds now.

    Raises ValueError where no user is named.
    """
    if event.get("type") == "TEST":
        return None
    named = list(_ids(event))
    if not named:
        raise ValueError("no user ID")
    own = [one for one in named if not one.startswith(ANONYMOUS) and can_be_user_id(one)]
    return {"user_ids": list(dict.fromkeys(own))[:MOST_USERS]} if own else None


def _ids(event: Mapping[str, Any]) -> Iterator[str]:
    """All ids that the event names, the current one first."""
    lists = [event.get(name) for name in _MANY]
    for one in [
        *(event.get(name) for name in _ONE),
        *(one for many in lists if isinstance(many, list) for one in many),
    ]:
        if isinstance(one, str) and one:
            yield one
