"""This is the room for the table ``[plugins.webhook]``: where notifications are posted, and what they are signed with."""

import base64
import math
from typing import Any

import attrs
import httpx

SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, not one of them
KEY_BYTES = range(24, 65)
"""How long a key may be, as Standard Webhooks has it."""


def _address(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    if value and not _can_be_posted_to(value):
        # Not quoted: the path, the query and the user name may be secret.
        raise ValueError(f"{attribute.name} must be an http or https address without spaces and without a fragment")


def _can_be_posted_to(value: str) -> bool:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        return False
    port_is_good = url.port is None or 0 < url.port < 65536
    return url.scheme in ("http", "https") and bool(url.host) and port_is_good and not url.fragment and " " not in value


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises ValueError.

    Only ``whsec_`` with base64 is taken: of any other text some libraries take the letters and some what they decode to.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) not in KEY_BYTES:
        raise ValueError(
            f"secret must be {SECRET_PREFIX} and then, in base64, {KEY_BYTES[0]} to {KEY_BYTES[-1]} random bytes"
        )
    return key


def _secret(_instance: object, _attribute: "attrs.Attribute[Any]", value: str) -> None:
    if value:
        key_of(value)


def _seconds(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of seconds above 0, got {value!r}")


@attrs.frozen
class WebhookSettings:
    """Where to, and with which signature."""

    url: str = attrs.field(default="", repr=False, validator=_address)
    """Empty: there is no webhook."""
    secret: str = attrs.field(default="", repr=False, validator=_secret)
    """Better set as OWLRUNNER_PLUGINS__WEBHOOK__SECRET."""
    timeout: float = attrs.field(default=10.0, validator=_seconds)
    """Seconds that one request may take, connecting included."""

    def __attrs_post_init__(self) -> None:
        if self.url and not self.secret:
            raise ValueError(
                "secret must be set where url is (OWLRUNNER_PLUGINS__WEBHOOK__SECRET): a receiver must be able to tell who sends"
            )
