"""Find the proxy that the environment names for an address, by the rules that curl and Go follow.

httpx has rules of its own: a network such as ``fd00::/8`` in NO_PROXY, which clusters put there, makes every client fail. So our
clients get their proxy from here and do not read these variables themselves.
"""

import importlib.util
import ipaddress
import os
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from owlrunner.errors import ConfigError

_SCHEMES = {"http", "https", "socks5", "socks5h"}


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy by which ``url`` is to be asked; None: directly.

    HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name proxies; NO_PROXY names what needs none, as do their lower-case forms, which
    go first. What runs on this machine is always asked directly.

    Raises ConfigError naming the variable, whose value may hold a password and is not quoted.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    proxies = {scheme: value.strip() for scheme, value in getproxies_environment().items()}
    key = next((key for key in (parts.scheme, "all") if proxies.get(key)), None)
    if key is None or is_loopback(host) or _needs_none(host, parts.port, proxies.get("no", "")):
        return None
    proxy = proxies[key] if "://" in proxies[key] else f"http://{proxies[key]}"
    problem = _problem(proxy)
    if problem:
        name = f"{key}_proxy"
        raise ConfigError(f"environment variable {name if os.environ.get(name) else name.upper()}: {problem}")
    return proxy


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _needs_none(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether NO_PROXY has an entry for the host. An entry that nobody understands is for no host."""
    return any(_is_for(entry.strip().lower(), host, port) for entry in no_proxy.split(",") if entry.strip())


def _is_for(entry: str, host: str, port: int | None) -> bool:
    """``*``, ``example.com`` (with all below it), ``.example.com``, an address, a network, each with or without a port."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of them is a name, or the entry has a port
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit():
        return port == int(wanted) and _is_for(name, host, None)
    domain = entry.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _problem(proxy: str) -> str:
    """Why this is no proxy's address, or ""."""
    try:
        parts = urlsplit(proxy)
        sound = bool(parts.hostname) and parts.scheme in _SCHEMES and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not proxy.isascii() or not proxy.isprintable() or " " in proxy:
        return "expected a proxy's address such as http://proxy.example.com:3128"
    if proxy.lower().startswith("socks") and importlib.util.find_spec("socksio") is None:
        return "a SOCKS proxy needs another package: pip install 'httpx[socks]'"
    return ""
