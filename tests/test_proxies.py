"""Which proxy the environment names for an address."""

import pytest

from owlrunner.errors import ConfigError
from owlrunner.proxies import proxy_for

VARIABLES = [name for plain in ("http", "https", "all", "no") for name in (f"{plain}_proxy", f"{plain}_PROXY".upper())]
PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not count."""
    for name in [*VARIABLES, "REQUEST_METHOD"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://acme.test/x", None),
        ({"HTTPS_PROXY": PROXY}, "https://acme.test/x", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://acme.test/x", None),
        (
            {"HTTP_PROXY": "http://a", "https_proxy": "http://b", "ALL_PROXY": "http://c"},
            "https://acme.test",
            "http://b",
        ),
        ({"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, "https://acme.test", "http://b"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://c"}, "https://acme.test", "http://c"),
        ({"ALL_PROXY": "proxy.test:3128"}, "https://acme.test", PROXY),
        ({"ALL_PROXY": "http://u:p@[fd00::1]:3128"}, "https://acme.test", "http://u:p@[fd00::1]:3128"),
    ],
)
def test_variables_name_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    """The variable of the scheme goes before ALL_PROXY, lower case before upper case, and an empty one is unset."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("url", "no_proxy", "directly"),
    [
        ("https://acme.test", "*", True),
        ("https://acme.test", "acme.test", True),
        ("https://api.Acme.test", " other.test , ACME.test ", True),
        ("https://api.acme.test", ".acme.test", True),
        ("https://api.acme.test", "*.acme.test", True),
        ("https://notacme.test", "acme.test", False),
        ("https://acme.test:8443", "acme.test:8443", True),
        ("https://acme.test:8443", "acme.test:443", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://[fd00::7]", "localhost,fd00::/8", True),
        ("https://[fe80::7]", "localhost,fd00::/8", False),
        ("https://[fd00::7]:8443", "[fd00::7]:8443", True),
        ("https://acme.test", "fd00::/8,10.0.0.0/8,[::1],a:b,b\u00fc cher,http://,/,:,.", False),
        ("https://127.0.0.2", "", True),
        ("https://[::1]:8443", "", True),
        ("http://localhost:8321", "", True),
    ],
)
def test_no_proxy_names_what_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, directly: bool
) -> None:
    """Domains, addresses and networks, with or without a port, need no proxy, nor does this machine; odd entries harm nobody."""
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == (None if directly else PROXY)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("http://u:hunter2@proxy:port", "expected a proxy's address"),
        ("ftp://u:hunter2@proxy", "expected a proxy's address"),
        ("http://[::1", "expected a proxy's address"),
        ("http://", "expected a proxy's address"),
        ("http://a b", "expected a proxy's address"),
        ("socks5://u:hunter2@proxy:1080", r"a SOCKS proxy needs another package: pip install 'httpx\[socks\]'"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    """The error names the variable and does not quote it: there may be a password in it."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"^environment variable {variable}: {complaint}") as told:
        proxy_for("https://acme.test")
    assert "hunter2" not in str(told.value)
