"""Decide who may become a user by signing in; whoever is one already always may sign in."""

from typing import Self

import attrs

from owlrunner.config import WebConfig
from owlrunner.email_address import domain_in_ascii


@attrs.frozen
class SignUp:
    """Everybody, nobody, or whoever has an address of one of some domains."""

    is_open: bool = True
    domains: frozenset[str] = frozenset()
    """In ASCII and lower case; none for all domains."""

    @classmethod
    def of(cls, web: WebConfig) -> Self:
        """Read the configuration."""
        return cls(web.sign_up == "open", frozenset(domain_in_ascii(domain.lower()) for domain in web.sign_up_domains))

    def allows(self, address: str) -> bool:
        """Whether this address, as it is stored, may become a user's."""
        return self.is_open and (not self.domains or address.rpartition("@")[2] in self.domains)
