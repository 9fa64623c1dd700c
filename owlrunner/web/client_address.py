"""Find out from which address a request comes, also behind proxies.

A proxy tells its client's address in ``X-Forwarded-For``, to which each proxy on the way adds at the end. So does anybody who wants
to be somebody else; therefore the list is read from its end, and only as far as it was written by proxies that are trusted.
"""

import ipaddress
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TypeAlias

from hypercorn.typing import HTTPScope

from owlrunner.accounts import Origin
from owlrunner.web.exchange import header

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX = 64
"""Bits of an IPv6 address that somebody else cannot have: providers give each customer all addresses behind them."""


def origin_of(scope: HTTPScope, proxies: Collection[Network], browser_key: str | None = None) -> Origin:
    """From where a request comes."""
    user_agent = (header(scope, b"user-agent") or b"").decode("latin-1")
    return Origin(client_of(scope, proxies), browser_key, user_agent)


def client_of(scope: HTTPScope, proxies: Collection[Network]) -> str | None:
    """The client's address, of IPv6 its first half; None where no proxy is configured and one may stand in between."""
    client = scope["client"]
    address = _read(client[0]) if client else None
    forwarded = _forwarded(scope)
    while address is not None and any(address in network for network in proxies):
        told = next(forwarded, None)
        if told is None:
            break
        address = _read(told)
    if address is None or (address.is_loopback and not proxies):
        return None
    return _as_text(address)


def _forwarded(scope: HTTPScope) -> Iterator[str]:
    """What X-Forwarded-For says, the nearest first."""
    for name, value in reversed(list(scope["headers"])):
        if name == b"x-forwarded-for":
            yield from reversed([one.strip() for one in value.decode("latin-1").split(",")])


@lru_cache(1000)
def _read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, with a port or without."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _as_text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address.packed, _PREFIX), strict=False))
