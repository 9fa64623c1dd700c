"""Check single values of the configuration; each check raises ValueError with a sentence that names the key."""

import ipaddress
import re
from email.utils import getaddresses
from typing import Any

import attrs

from owlrunner.connection_string import check_connection_string
from owlrunner.email_address import domain_in_ascii, parse_address

LONGEST = 1e9
"""Seconds, about 31 years: nearly "never", and short enough for every clock and calendar that such a time meets."""


def above_zero(_instance: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    """Want a time above zero that is not endless; None is one that is not set."""
    if value is not None and not 0 < value <= LONGEST:
        raise ValueError(f"{attribute.name} must be above 0 and at most {LONGEST:g}, got {value}")


def checked_url(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Want an address of the web, or nothing."""
    if value and not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
        raise ValueError(f"{attribute.name} must be like https://jobs.example.com, got {value!r}")


def checked_domains(_instance: object, attribute: "attrs.Attribute[Any]", value: list[str]) -> None:
    """Want domain names."""
    for domain in value:
        try:
            domain_in_ascii(domain)
        except ValueError as problem:
            raise ValueError(f"{attribute.name} must be domains like example.com: {problem}") from None


def checked_networks(_instance: object, attribute: "attrs.Attribute[Any]", value: list[str]) -> None:
    """Want addresses or networks."""
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError as problem:
            raise ValueError(f"{attribute.name} must be addresses or networks like 10.0.0.0/8: {problem}") from None


def checked_email(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Want one address, or nothing."""
    if value:
        try:
            parse_address(value)
        except ValueError as problem:
            raise ValueError(
                f"{attribute.name} must be one address like ops@example.com, got {value!r}: {problem}"
            ) from None


def checked_sender(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Want one address, with a name or without."""
    addresses = [address for _, address in getaddresses([value])]
    try:
        parse_address(addresses[0] if len(addresses) == 1 else "")
    except ValueError as problem:
        raise ValueError(f"{attribute.name} must be like Jobs <jobs@example.com>, got {value!r}: {problem}") from None


def checked_connection_string(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Want a connection string of PostgreSQL, or nothing."""
    if value:
        try:
            check_connection_string(value)
        except ValueError as problem:
            raise ValueError(f"{attribute.name} {problem}") from None


def checked_host(_instance: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Want something to listen on."""
    # An empty one would listen on every address of the machine.
    if not value or any(letter.isspace() for letter in value):
        raise ValueError(f"{attribute.name} must be an address such as 127.0.0.1 or 0.0.0.0, got {value!r}")


def checked_port(_instance: object, attribute: "attrs.Attribute[Any]", value: int) -> None:
    """Want a port, or 0 for any that is free."""
    if not 0 <= value <= 65535:
        raise ValueError(f"{attribute.name} must be between 0 and 65535, got {value}")
