"""The table ``[plugins.revenuecat]``: what a server's owner may set, and what is refused."""

import math
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import attrs
from attrs.validators import and_, ge, in_, le

MOST_WORKERS = 64
MOST_TRIES = 20
MOST_USERS = 100
"""How many users one run of ``revenuecat_user_sync`` is about at most."""
LONGEST_USER_ID = 255
"""Characters that ``app_users.user_id`` holds."""


def can_be_user_id(text: str) -> bool:
    """Whether ``app_users.user_id`` can hold a text."""
    return 0 < len(text) <= LONGEST_USER_ID and "\0" not in text


def _web_address(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{attribute.name} must be an http or https address without a query, got {value!r}")


def _seconds(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of seconds above 0, got {value!r}")


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _between(least: int, most: int) -> Any:
    return and_(ge(least), le(most))


@attrs.frozen
class SyncSettings:
    """How RevenueCat is asked. The two limits are RevenueCat's own; lower them where others use the same key."""

    api_url: str = attrs.field(
        default="https://api.revenuecat.com/v2", converter=_without_slash, validator=_web_address
    )
    """The base of the v2 API."""
    environment: Literal["production", "sandbox", "all"] = attrs.field(
        default="production", validator=in_(("production", "sandbox", "all"))
    )
    """Which purchases and subscriptions count. Those of testers are ``sandbox``."""
    customer_requests_per_minute: int = attrs.field(default=480, validator=_between(1, 1_000_000))
    configuration_requests_per_minute: int = attrs.field(default=60, validator=_between(1, 1_000_000))
    concurrency: int = attrs.field(default=8, validator=_between(1, MOST_WORKERS))
    """How many users are asked for at once; each has one request under way at a time."""
    timeout: float = attrs.field(default=10.0, validator=_seconds)
    """Seconds that one request may take, connecting included."""
    max_tries: int = attrs.field(default=4, validator=_between(1, MOST_TRIES))
    """How often a request is sent that meets a timeout, a network error, a 5xx or an unreadable answer."""
    retry_delay: float = attrs.field(default=0.5, validator=_seconds)
    """Seconds before the second try; doubled for each further one."""


def _user_ids(_instance: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    if not 1 <= len(value) <= MOST_USERS or not all(1 <= len(one) <= LONGEST_USER_ID for one in value):
        raise ValueError(
            f"{attribute.name} must be 1 to {MOST_USERS} ids of 1 to {LONGEST_USER_ID} characters, got {len(value)}"
        )


@attrs.frozen
class UserSyncParams:
    """Whom a run is about."""

    user_ids: tuple[str, ...] = attrs.field(validator=_user_ids)
    """RevenueCat's ids of the users, which are the project's own."""


@attrs.frozen
class SyncParams:
    """What a run may be given. The run knows both already; clients of OwlMetry send them, so they are taken and checked."""

    project_id: UUID | None = None
    """The run's own project."""
    integration_id: UUID | None = None
    """The project's RevenueCat integration."""
