"""From which address a request comes: what trusted proxies say, and nobody else."""

from ipaddress import ip_network
from typing import Any

import pytest

from owlrunner.config import WebConfig
from owlrunner.web.client_address import client_of, origin_of

INNER = [ip_network("10.0.0.0/8"), ip_network("::1"), ip_network("127.0.0.1")]


def scope(peer: str | None, *forwarded: str, agent: bytes = b"") -> Any:
    """A request."""
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded] + [(b"user-agent", agent)]
    return {"client": None if peer is None else (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["203.0.113.9", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1:55000"], "198.51.100.1"),
        ("::1", ["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", [], "192.0.2.7"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["10.4.5.6"], "10.4.5.6"),
        ("10.1.2.3", ["unknown"], None),
        ("10.1.2.3", [""], None),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_client_behind_proxies(peer: str | None, forwarded: list[str], client: str | None) -> None:
    """The list is read from its end, as far as trusted proxies wrote it; of IPv6 addresses the half counts that a customer has."""
    assert client_of(scope(peer, *forwarded), INNER) == client


@pytest.mark.parametrize("forwarded", [[], ["198.51.100.1"]])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1"])
def test_without_configured_proxies_the_loopback_is_nobody(peer: str, forwarded: list[str]) -> None:
    """What comes from the same machine may come through a proxy, so it does not count as one client."""
    assert client_of(scope(peer, *forwarded), ()) is None


@pytest.mark.parametrize("network", ["proxy.example.com", "10.0.0.1/8", ""])
def test_proxies_are_checked_at_the_start(network: str) -> None:
    """What is no address and no network is told when the configuration is read."""
    with pytest.raises(ValueError, match=r"trusted_proxies must be addresses or networks like 10\.0\.0\.0/8: "):
        WebConfig(trusted_proxies=[network])


def test_an_origin_says_who_asks() -> None:
    """The client's address, the browser by the hash of its key, and what it calls itself, shortened and storable."""
    origin = origin_of(scope("192.0.2.7", agent=b"owl\x00" + b"x" * 400), (), "secret")
    browser, client, user_agent = origin.place
    assert (browser or "") not in {"", "secret"}
    assert (client, len(user_agent), user_agent[:5].replace("\x00", "")) == ("192.0.2.7", 300, user_agent[:5])
    assert "secret" not in repr(origin)
    assert origin_of(scope("192.0.2.7"), ()).place == (None, "192.0.2.7", "")
