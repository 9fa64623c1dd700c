"""Requests made up by chance: to every route, page and form, sound in part, so that they get past the first check."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

import trio

from owlrunner.web.app import Application
from owlrunner.web.route import Route
from owlrunner.web.routes import ROUTES

TEXTS: Sequence[str] = (
    "",
    " ",
    "0",
    "-1",
    "null",
    "true",
    "7d",
    "-7d",
    "999999999999d",
    "2026-03-28T20:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01",
    "2026-03-28T20:00:00.123Z|00000000-0000-0000-0000-000000000000",
    "1.1",
    "99999999999999999999.1",
    "completed",
    "crowd",
    "acme_sync",
    "a@acme.test",
    "a..b@x.test",
    "owner@acme.test",
    "'; drop table job_runs; --",
    "<script>alert(1)</script>",
    "\u202e\u200b\ufeff",
    "🦉" * 50,
    "\x00",
    "\x7f\x1b[31m",
    "\ud800",
    "x" * 70_000,
    "../../etc/passwd",
    "%00",
    "00000000-0000-0000-0000-000000000000",
)
VALUES: Sequence[Any] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**40,
    0.5,
    -0.0,
    1e308,
    [],
    {},
    [[]],
    {"a": {"b": []}},
    [None] * 500,
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get")
TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
)
ON_PAGES = ("team", "status", "type", "cursor", "span", "q", "level", "next", "seen")
IN_FORMS = (
    "form_key",
    "email",
    "code",
    "next",
    "job_type",
    "project",
    "team",
    "params.pages",
    "params.label",
    "notify",
)


class Asked(NamedTuple):
    """One request."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Fuzzer:
    """Makes requests up. ``known`` are values that exist: ids, tokens, keys, form keys, by what they stand for."""

    def __init__(self, app: Application, seed: int, known: Mapping[str, Sequence[str]]) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._known = known
        self._pages = [
            (rule.rule, method)
            for rule in app.url_map.iter_rules()
            for method in sorted(rule.methods or ())
            if not rule.rule.endswith("/<path:rest>")
        ]

    def request(self) -> Asked:
        """Make one up."""
        chance = self._random
        if chance.random() < 0.6:
            route = chance.choice(ROUTES)
            method, path, query, body = (
                route.method,
                self._path(route.path),
                self._query(_fields(route.query)),
                self._json(route),
            )
        else:
            rule, method = chance.choice(self._pages)
            path, query, body = (
                self._path(rule),
                self._query(ON_PAGES),
                self._form(),
            )
        if chance.random() < 0.05:
            method = chance.choice(METHODS)
        if chance.random() < 0.05:
            body = self._spoilt(body)
        return Asked(method, path, query, self._headers(body), body)

    def _path(self, pattern: str) -> bytes:
        parts = []
        for part in pattern.split("/"):
            name = part.strip("{}<>").rpartition(":")[2]
            parts.append(quote_from_bytes(self._text(name)).encode() if part[:1] in {"{", "<"} else part.encode())
        return b"/".join(parts)

    def _query(self, names: Iterable[str]) -> bytes:
        chosen = [name for name in names if self._random.random() < 0.4] + (
            ["other"] if self._random.random() < 0.02 else []
        )
        return b"&".join(name.encode() + b"=" + quote_from_bytes(self._text(name)).encode() for name in chosen)

    def _json(self, route: Route) -> bytes:
        if route.body is None:
            return b"" if self._random.random() < 0.9 else b"{}"
        value: Any = {name: self._value(name) for name in _fields(route.body) if self._random.random() < 0.8}
        if route.name == "trigger_batch":
            value = {
                "runs": [
                    {"job_type": self._value("job_type"), "project_id": self._value("project_id")} for _ in range(3)
                ]
            }
        return json.dumps(value if self._random.random() < 0.95 else self._value("")).encode("utf-8", "surrogatepass")

    def _form(self) -> bytes:
        return self._query(IN_FORMS)

    def _text(self, name: str) -> bytes:
        known = self._known.get(name)
        if known and self._random.random() < 0.7:
            return self._random.choice(known).encode()
        return self._random.choice(TEXTS).encode("utf-8", "surrogatepass")

    def _value(self, name: str) -> Any:
        if self._random.random() < 0.6:
            return self._text(name).decode("utf-8", "surrogatepass")
        return self._random.choice(VALUES)

    def _spoilt(self, body: bytes) -> bytes:
        spoilt = bytearray(body or b"{}")
        for _ in range(self._random.randrange(1, 4)):
            spoilt[self._random.randrange(len(spoilt))] = self._random.randrange(256)
        return bytes(spoilt)

    def _headers(self, body: bytes) -> list[tuple[bytes, bytes]]:
        chance = self._random
        kind = "application/json" if body[:1] in b"{[" else "application/x-www-form-urlencoded"
        headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", (kind if chance.random() < 0.95 else chance.choice(TYPES)).encode()),
            (b"accept", chance.choice((b"*/*", b"text/event-stream"))),
            (b"user-agent", self._text("")[:200]),
            (b"x-forwarded-for", self._text("")[:200]),
        ]
        if chance.random() < 0.6:
            headers.append((b"authorization", b"Bearer " + self._text("token")[:200]))
        if chance.random() < 0.6:
            headers.append((b"cookie", b"token=" + self._text("token")[:200] + b"; browser=" + self._text("")[:200]))
        if chance.random() < 0.1:
            headers.append((b"last-event-id", self._text("")[:500]))
        return headers


async def answer_to(app: Application, asked: Asked) -> tuple[int, bytes]:
    """Ask, and return status and body; of a stream what comes first."""
    status, parts, ended = 0, [], trio.Event()
    requests = [{"type": "http.request", "body": asked.body, "more_body": False}]

    async def receive() -> dict[str, object]:
        if requests:
            return requests.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            if (b"content-type", b"text/event-stream") in [(name.lower(), value) for name, value in message["headers"]]:
                ended.set()
        else:
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                ended.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path.decode("latin-1"),
        "raw_path": asked.path,
        "query_string": asked.query,
        "root_path": "",
        "headers": asked.headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {},
        "state": {},
    }
    with trio.fail_after(30):
        await app(scope, receive, send)  # type: ignore[arg-type]
    return status, b"".join(parts)


def _fields(shape: type[Any] | None) -> tuple[str, ...]:
    return tuple(shape.__struct_fields__) if shape is not None else ()
