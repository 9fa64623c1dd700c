"""Which addresses are tried, in which order, for the hosts that a connection string names."""

import socket
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from owlrunner.name_resolution import Resolver
from owlrunner.storage import addresses
from owlrunner.storage.addresses import attempts_for, attempts_for_blocking

KNOWN = {"one": ["192.0.2.1"], "two": ["192.0.2.2", "192.0.2.3"]}


def getaddrinfo(host: str, *_: Any) -> list[tuple[Any, ...]]:
    """Stand for the machine's resolver."""
    if host not in KNOWN:
        raise socket.gaierror(socket.EAI_NONAME, "not known")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in KNOWN[host]]


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """These names alone are known, and the environment names no place."""
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(addresses, "RESOLVER", Resolver())
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT"):
        monkeypatch.delenv(name, raising=False)


def places(attempts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Host, address and port of each."""
    return [(one.get("host"), one.get("hostaddr"), one.get("port")) for one in attempts]


@pytest.mark.parametrize(
    ("conninfo", "tried"),
    [
        ("host=one", [("one", "192.0.2.1", "5432")]),
        ("host=two port=1", [("two", "192.0.2.2", "1"), ("two", "192.0.2.3", "1")]),
        ("host=one,two port=1,2", [("one", "192.0.2.1", "1"), ("two", "192.0.2.2", "2"), ("two", "192.0.2.3", "2")]),
        ("host=one,two port=,2", [("one", "192.0.2.1", "5432"), ("two", "192.0.2.2", "2"), ("two", "192.0.2.3", "2")]),
        ("host=none,one", [("one", "192.0.2.1", "5432")]),
        (
            "host=/run/owl,one,192.0.2.9",
            [("/run/owl", "", "5432"), ("one", "192.0.2.1", "5432"), ("192.0.2.9", "192.0.2.9", "5432")],
        ),
        ("host=one hostaddr=192.0.2.8", [("one", "192.0.2.8", None)]),
        ("host=one,two hostaddr=,192.0.2.8", [("one", "192.0.2.1", "5432"), ("two", "192.0.2.8", "5432")]),
        ("host=/run/owl", [("/run/owl", None, None)]),
        ("dbname=x", [(None, None, None)]),
    ],
)
async def test_what_is_tried(conninfo: str, tried: list[tuple[Any, ...]]) -> None:
    """Each address of each name, with the port and the address that stand beside it; in a thread as on the event loop."""
    params = conninfo_to_dict(conninfo)
    assert places(await attempts_for(params, 9)) == tried
    assert places(attempts_for_blocking(params, 9)) == tried


@pytest.mark.parametrize(
    ("conninfo", "problem"),
    [
        ("host=none", "the name none cannot be resolved: .*not known"),
        ("host=none,gone", "the name none cannot be resolved: .*; the name gone cannot be resolved"),
        ("host=one,two port=1,2,3", "could not match 3 port numbers to 2 hosts"),
        ("host=one,two,one port=1,2", "could not match 2 port numbers to 3 hosts"),
        ("host=one,two hostaddr=192.0.2.1", "could not match 2 host names with 1 hostaddr"),
    ],
)
async def test_what_cannot_be_tried(conninfo: str, problem: str) -> None:
    """Each name that is not known is told; numbers that do not match are psycopg's complaint, and nothing is looked up."""
    params = conninfo_to_dict(conninfo)
    with pytest.raises(psycopg.OperationalError, match=problem):
        await attempts_for(params, 9)
    with pytest.raises(psycopg.OperationalError, match=problem):
        attempts_for_blocking(params, 9)


async def test_places_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for libpq, where the string does not name them."""
    monkeypatch.setenv("PGHOST", "one")
    monkeypatch.setenv("PGPORT", "7")
    assert places(await attempts_for({}, 9)) == [("one", "192.0.2.1", "7")]


def test_in_a_thread_all_names_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looking up the first names took is not there for the next ones; those that are not reached are told."""
    now = 1000.0
    limits: list[float] = []

    class Slow:
        """A resolver that takes four seconds for a name."""

        def getaddrinfo_blocking(self, *_: Any, timeout: float) -> Any:
            """Answer, or give up when the time is over."""
            nonlocal now
            limits.append(timeout)
            if timeout < 4.0:
                raise TimeoutError
            now += 4.0
            return getaddrinfo("one")

    monkeypatch.setattr(addresses, "RESOLVER", Slow())
    monkeypatch.setattr("owlrunner.storage.addresses.time.monotonic", lambda: now)
    tried = attempts_for_blocking(conninfo_to_dict("host=a,b,c,d"), 9.0)
    assert limits == [9.0, 5.0, 1.0]
    assert places(tried) == [(name, "192.0.2.1", "5432") for name in "ab"]
