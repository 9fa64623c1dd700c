"""Know the names under which a server is reached, and refuse what a browser sends on behalf of somebody else's page.

Two attacks use the browser of somebody who is signed in, or just near. Another site's page sends a form or a request here, to
which the browser adds our cookie: it names that site in ``Origin``. And by DNS rebinding the name of the attacker's page comes
to mean our address, so that to the browser page and server are one origin: but it puts that name into ``Host``. Neither knows a
credential, so a request that is answered by the one in its Authorization header is nobody's misuse. The header alone proves
nothing: a page of a name that means us may set any.
"""

import ipaddress
from collections.abc import Iterable
from typing import Self
from urllib.parse import urlsplit

import attrs
from hypercorn.typing import HTTPScope

from owlrunner.config import WebConfig
from owlrunner.errors import PermissionDenied
from owlrunner.web.client_address import Network
from owlrunner.web.exchange import ProtocolRefusal, header

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FOR_ANYBODY = frozenset({"/health", "/ready"})
"""What load balancers and orchestrators ask, under whatever name they know."""
PREFIX = "__Host-"
"""Browsers take a cookie of such a name only over TLS, from the very host, and for all of it: no neighbour can plant one."""


@attrs.frozen
class Site:
    """Where people reach the server, as far as the configuration says."""

    hosts: frozenset[str]
    """Names, in lower case, besides addresses and localhost."""
    public_origin: str | None = None
    tls: bool = False
    """Whether browsers reach it through TLS."""
    proxies: tuple[Network, ...] = ()
    """Who may say from where a request comes."""

    @classmethod
    def of(cls, web: WebConfig) -> Self:
        """Read the configuration."""
        public = urlsplit(web.public_url)
        names = [web.host, *web.hosts, *([public.hostname] if public.hostname else [])]
        return cls(
            frozenset(map(_normal, names)),
            _origin(public.scheme, public.netloc) if web.public_url else None,
            web.secure_cookies or public.scheme == "https",
            tuple(map(ipaddress.ip_network, web.trusted_proxies)),
        )

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds a token."""
        return self._cookie("token")

    @property
    def browser_cookie(self) -> str:
        """The name of the cookie by which a browser is known again when it signs in."""
        return self._cookie("browser")

    def _cookie(self, name: str) -> str:
        return f"{PREFIX}{name}" if self.tls else name

    def check(self, scope: HTTPScope, *, asks_credential: bool) -> None:
        """Raise ProtocolRefusal (421) for a name that is not ours, and PermissionDenied for a change that another page asks for.

        ``asks_credential`` says that nothing is done before the request's credential is found to be good, and that an
        Authorization header goes before a cookie.
        """
        if (asks_credential and header(scope, b"authorization") is not None) or scope["path"] in FOR_ANYBODY:
            return
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        name = _name(host)
        # HTTP/1.0 has requests without one; no browser sends them.
        if host and not (name in self.hosts or _is_local(name)):
            raise ProtocolRefusal(
                421,
                "ERR_MISDIRECTED_REQUEST",
                "Misdirected Request",
                "Host: this server is not known under that name; its owner can set web.public_url or web.hosts",
            )
        if scope["method"] not in SAFE and not self._is_own(scope, host, name):
            raise PermissionDenied("This was sent from another site")

    def _is_own(self, scope: HTTPScope, host: str, name: str) -> bool:
        origin = header(scope, b"origin")
        if origin is None:
            # Browsers send one or the other with whatever changes something; who sends neither has no cookies to be misused.
            return header(scope, b"sec-fetch-site") in {None, b"same-origin", b"none"}
        return origin.decode("latin-1").lower() in self._origins(host, name)

    def _origins(self, host: str, name: str) -> Iterable[str]:
        """The origins of our own pages, to somebody who calls us by this name."""
        if self.public_origin is not None:
            yield self.public_origin
            if _is_local(name):
                yield _origin("http", host)
        else:
            yield _origin("https" if self.tls else "http", host)


def _is_local(name: str) -> bool:
    """Whether a name cannot be somebody else's: an address, or this machine's own."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return _normal(host.partition(":")[0])


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")


def _origin(scheme: str, netloc: str) -> str:
    """As browsers write it: without the port that the scheme has anyway."""
    default = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{netloc.rpartition('@')[2].lower().removesuffix(default)}"
