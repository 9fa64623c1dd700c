"""Turn connection parameters into one set for each address to try, with every host name resolved.

psycopg would resolve the names itself, by a call that blocks and cannot be given up. Everything else about several hosts (ports,
their order, standbys) is left to psycopg.
"""

import os
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import psycopg
import trio
from psycopg.conninfo import conninfo_attempts

from owlrunner.name_resolution import RESOLVER, Addresses

_DEFAULT_PORT = "5432"
_TCP = (socket.AF_UNSPEC, socket.SOCK_STREAM, socket.IPPROTO_TCP, 0)


class _Places:
    """The places that the parameters, or libpq's environment variables, name."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._places = _paired(*(_values(params, name) for name in ("host", "hostaddr", "port")))
        self.names = [host for host, address, _ in self._places if not address and _is_name(host)]
        self.answers: dict[str, Addresses | Exception] = {}

    def attempts(self, seconds: float) -> list[dict[str, Any]]:
        """Return what to try. Raises psycopg.OperationalError when there is no address at all."""
        if not self.names:
            return conninfo_attempts(dict(self._params))
        found: list[tuple[str, str, str]] = []
        problems = []
        for host, address, port in self._places:
            answer = self.answers.get(host)
            if host not in self.names or address:
                found.append((host, address or ("" if _is_path(host) else host), port))
            elif answer is None:
                problems.append(f"the name {host} was not resolved within {seconds:g} seconds")
            elif isinstance(answer, Exception):
                problems.append(f"the name {host} cannot be resolved: {answer}")
            else:
                found += [(host, told[4][0], port) for told in answer]
        if not found:
            raise psycopg.OperationalError("; ".join(problems))
        hosts, addresses, ports = (",".join(texts) for texts in zip(*found, strict=True))
        return conninfo_attempts({**self._params, "host": hosts, "hostaddr": addresses, "port": ports})


def _values(params: Mapping[str, Any], name: str) -> list[str]:
    text = str(params.get(name) or os.environ.get(f"PG{name.upper()}") or "")
    return text.split(",") if text else []


def _paired(hosts: list[str], addresses: list[str], ports: list[str]) -> list[tuple[str, str, str]]:
    """Each host with its port and, if given, its address; nothing where the numbers do not match, of which psycopg complains."""
    if len(addresses or hosts) != len(hosts) or (len(ports) > 1 and len(ports) != len(hosts)):
        return []
    # Written out, because for psycopg an empty port among several is none.
    ports = [port or _DEFAULT_PORT for port in (ports if len(ports) > 1 else (ports or [""]) * len(hosts))]
    return list(zip(hosts, addresses or [""] * len(hosts), ports, strict=True))


async def attempts_for(params: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Return one set of parameters for each address to try. A name that is not resolved in time is left out.

    Raises psycopg.OperationalError when no name is resolved.
    """
    places = _Places(params)

    async def ask(host: str) -> None:
        try:
            places.answers[host] = await RESOLVER.getaddrinfo(host, None, *_TCP)
        except (OSError, UnicodeError) as error:
            places.answers[host] = error

    if places.names:
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for host in places.names:
                    nursery.start_soon(ask, host)
    return places.attempts(seconds)


def attempts_for_blocking(params: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Do the same from a thread that may block."""
    places = _Places(params)
    end = time.monotonic() + seconds
    for host in places.names:
        try:
            places.answers[host] = RESOLVER.getaddrinfo_blocking(host, None, *_TCP, timeout=end - time.monotonic())
        except TimeoutError:
            break
        except (OSError, UnicodeError) as error:
            places.answers[host] = error
    return places.attempts(seconds)


def _is_path(host: str) -> bool:
    return host.startswith(("/", "@"))


def _is_name(host: str) -> bool:
    if not host or _is_path(host):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
