"""What RevenueCat's v2 API says of one customer, in its own words, with nothing computed.

Times are milliseconds since 1970. What is not listed here is ignored, what may be missing has a default.
"""

from collections.abc import Mapping
from typing import Any

import attrs

RUNNING = ("trialing", "active", "in_grace_period")
"""The statuses of a subscription that lasts."""

ANONYMOUS = "$RCAnonymousID:"
"""How ids begin that RevenueCat made up itself; they stand for nobody in particular."""


@attrs.frozen
class Money:
    """An amount in US dollars. ``gross`` is whatever was sent: only a finite number counts."""

    gross: Any = None


@attrs.frozen
class Entitlement:
    """An item of ``active_entitlements``; ``expires_at`` is None for ever."""

    entitlement_id: str
    expires_at: float | None = None


@attrs.frozen
class Subscription:
    """An item of ``subscriptions``, past ones included."""

    status: str = ""
    product_id: str | None = None
    current_period_starts_at: float | None = None
    current_period_ends_at: float | None = None
    auto_renewal_status: str | None = None
    gives_access: bool | None = None
    total_revenue_in_usd: Money | None = None
    environment: str | None = None
    store: str | None = None


@attrs.frozen
class Purchase:
    """An item of ``purchases``, which are the one-time ones."""

    product_id: str | None = None
    status: str | None = None
    revenue_in_usd: Money | None = None
    environment: str | None = None


def gives_access(bought: Subscription | Purchase) -> bool:
    """Whether an entitlement may come from it now."""
    if isinstance(bought, Purchase):
        return bought.status != "refunded"
    return bought.gives_access is True or (bought.gives_access is None and bought.status in RUNNING)


@attrs.frozen
class Attribute:
    """One attribute of a customer; RevenueCat's own names start with ``$``."""

    name: str
    value: str | None = None


@attrs.frozen
class Customer:
    """All that the sync asks about one customer. None means "could not be learned", an empty tuple "there is none"."""

    entitlements: tuple[Entitlement, ...] = ()
    subscriptions: tuple[Subscription, ...] | None = ()
    purchases: tuple[Purchase, ...] | None = ()
    attributes: tuple[Attribute, ...] | None = ()


@attrs.frozen
class Names:
    """What people call RevenueCat's ids; an id that is not listed stands for itself."""

    entitlements: Mapping[str, str] = attrs.field(factory=dict)
    """Entitlement id → lookup key."""
    products: Mapping[str, str] = attrs.field(factory=dict)
    """Product id → identifier in the store."""
    consumables: frozenset[str] = frozenset()
    """Ids of products that are used up, such as coins."""
