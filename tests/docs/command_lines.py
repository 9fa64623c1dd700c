"""Reading command lines in the pages: each must be a real command with real options, none is run here."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

import attrs
import click
import msgspec
import pytest

from owlrunner.cli.entry import TRACEBACK, cli
from owlrunner.config import load_config
from owlrunner.web.dispatch import Router
from owlrunner.web.route import Auth, Route
from owlrunner.web.routes import ROUTES
from tests.docs.pages import ROOT

ENDPOINT = "$OWLRUNNER_ENDPOINT"
VARIABLES = {
    "DATABASE_URL",
    "MAX_DATABASE_SIZE_GB",
    "PATH",
    "OWLRUNNER_API_KEY",
    "OWLRUNNER_CONFIG",
    "OWLRUNNER_ENDPOINT",
    "OWLRUNNER_PROJECT_ID",
    "OWLRUNNER_TEAM_ID",
    "SYSTEM_JOBS_ALERT_EMAIL",
    TRACEBACK,
}


def command_lines(block: str) -> Iterator[list[str]]:
    """The words of each command of a block."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def check(words: list[str]) -> None:
    """Fail unless the command is one that exists, with options that exist."""
    match words:
        case ["owlrunner", *arguments]:
            check_owlrunner(arguments)
        case ["make", target, *settings]:
            _check_make(target, settings)
        case ["curl", *arguments]:
            read_curl(arguments)
        case ["export", *assignments]:
            for assignment in assignments:
                _check_variable(*assignment.partition("=")[::2])
        case ["kill", *_]:
            pass
        case _:
            raise AssertionError(f"not a command that these pages may use: {shlex.join(words)}")


def check_owlrunner(arguments: list[str]) -> None:
    """Fail unless ``owlrunner`` takes these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Command, "invoke", lambda _command, _ctx: None)
        try:
            cli.main(arguments, prog_name="owlrunner", standalone_mode=False)
        except click.ClickException as error:
            raise AssertionError(f"owlrunner {shlex.join(arguments)}: {error.format_message()}") from None


def _check_make(target: str, settings: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"make {target}: no such target"
    for setting in settings:
        name, _, value = setting.partition("=")
        assert name == "ARGS", f"make {target} {setting}: only ARGS is known"
        if target == "demo":
            check_owlrunner(["demo", *shlex.split(value)])
        else:
            for word in shlex.split(value):
                assert word.startswith("-") or (ROOT / word).exists(), f"make {target}: there is no {word}"


def _check_variable(name: str, value: str) -> None:
    if name not in VARIABLES:
        load_config(Path("/dev/null"), {name: value})
        assert re.fullmatch(r"OWLRUNNER_[A-Z]+__[A-Z_]+", name), f"{name}: nobody reads it"


@attrs.frozen
class Curl:
    """A request that a page shows."""

    route: Route
    query: frozenset[str]
    body: str | None


class _Strict(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AssertionError(f"curl: {message}")


def read_curl(arguments: list[str]) -> Curl:
    """The request, checked against the table of routes."""
    parser = _Strict(prog="curl", add_help=False, allow_abbrev=False)
    parser.add_argument("-N", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("url")
    told = parser.parse_args(arguments)
    assert told.url.startswith(ENDPOINT), f"{told.url}: an address begins with {ENDPOINT}"
    address = urlsplit(re.sub(r"\$\w+", "00000000-0000-0000-0000-000000000000", told.url.removeprefix(ENDPOINT)))
    found = Router(ROUTES).find(address.path.encode())
    method = told.method or "GET"
    assert found is not None, f"{told.url}: no route"
    assert method in found.routes, f"{method} {address.path}: no route"
    route = found.routes[method]
    query = frozenset(name for name, _ in parse_qsl(address.query, strict_parsing=bool(address.query)))
    assert query <= set(route.query.__struct_fields__ if route.query else ()), f"{told.url}: unknown parameter"
    _check_headers(route, told.headers, has_body=told.body is not None)
    if told.body is not None:
        assert route.body is not None, f"{told.url}: takes no body"
        msgspec.json.decode(told.body, type=route.body)
    return Curl(route, query, told.body)


def _check_headers(route: Route, headers: list[str], *, has_body: bool) -> None:
    has_credential = any(header.startswith("Authorization: Bearer $") for header in headers)
    assert has_credential == (route.auth is not Auth.NONE) or route.name in {"logout", "receive_webhook"}, (
        f"{route.path}: {headers}"
    )
    assert has_body == (route.body is not None), f"{route.path}: body"
    assert ("Content-Type: application/json" in headers) == has_body, f"{route.path}: {headers}"
