"""This is the room for one exchange over ASGI: the request as its handler sees it, its body, and the answer."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import attrs
import msgspec
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from owlrunner.accounts import Caller, Origin
from owlrunner.errors import InvalidRequest
from owlrunner.json_text import BadJson, NotJson, read_json
from owlrunner.web import streams

MAX_BODY = 1024 * 1024
MAX_STRANGERS_BODY = 16 * 1024
"""Where no credential is asked for: to read a large body takes the event loop a while."""
BODY_PATIENCE = 60.0
"""Seconds that a client gets to send its body."""

JSON_HEADERS = (
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)

STREAM_HEADERS = tuple((name.lower().encode(), value.encode()) for name, value in streams.HEADERS.items())

_CHARSET = re.compile(rb";\s*charset\s*=\s*\"?([^\s;\"]*)")
encode = msgspec.json.Encoder().encode

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """What goes back: a status, a JSON text, and headers besides the usual ones; or, after the status, a stream."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None
    """Server-sent events, until they end or the client has gone."""


@attrs.frozen
class Request:
    """What a handler gets: everything is decoded and checked as far as the route's declaration can tell."""

    path: Mapping[str, str]
    query: Any = None
    """An instance of the route's query class."""
    body: Any = None
    """An instance of the route's body class."""
    known: Caller | None = None
    origin: Origin = attrs.field(factory=Origin)
    credential: str | None = attrs.field(default=None, repr=False)
    """The raw token or key, for signing out."""

    last_event_id: str = ""
    """Where a stream that was lost had come."""

    @property
    def caller(self) -> Caller:
        """Who asks; every route that wants a credential has one by now."""
        assert self.known is not None  # noqa: S101 - the dispatcher has resolved it
        return self.known


class ProtocolRefusal(Exception):
    """The request is not what HTTP and JSON want it to be. ``code`` is the name that clients of the original know."""

    def __init__(self, status: int, code: str, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.error, self.message = status, code, error, message


class ClientGone(Exception):
    """The client hung up before it had sent its request: nobody waits for an answer."""


def invalid_json() -> ProtocolRefusal:
    """The body is no JSON."""
    return ProtocolRefusal(
        400,
        "FST_ERR_CTP_INVALID_JSON_BODY",
        "Bad Request",
        "Body is not valid JSON but content-type is set to 'application/json'",
    )


def empty_json() -> ProtocolRefusal:
    """A JSON body was announced and is not there."""
    return ProtocolRefusal(
        400,
        "FST_ERR_CTP_EMPTY_JSON_BODY",
        "Bad Request",
        "Body cannot be empty when content-type is set to 'application/json'",
    )


def unsupported_type() -> ProtocolRefusal:
    """The body is something else than plain JSON."""
    return ProtocolRefusal(415, "FST_ERR_CTP_INVALID_MEDIA_TYPE", "Unsupported Media Type", "Unsupported Media Type")


def too_large() -> ProtocolRefusal:
    """The body is larger than it may be."""
    return ProtocolRefusal(413, "FST_ERR_CTP_BODY_TOO_LARGE", "Payload Too Large", "Request body is too large")


def too_slow() -> ProtocolRefusal:
    """The body did not come in time."""
    return ProtocolRefusal(408, "FST_ERR_CTP_BODY_TIMEOUT", "Request Timeout", "Request body did not arrive in time")


def header(scope: HTTPScope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return None


async def read_body(scope: HTTPScope, receive: ASGIReceiveCallable, most: int = MAX_BODY) -> bytes:
    """The whole body, up to ``most`` bytes. Whoever lies about its length, or does not tell it, meets the same limit.

    Raises ProtocolRefusal and ClientGone.
    """
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > most:
        raise too_large()
    parts: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_PATIENCE):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            parts.append(message["body"])
            size += len(message["body"])
            if size > most:
                raise too_large()
            if not message["more_body"]:
                return b"".join(parts)
    raise too_slow()


async def send_answer(scope: HTTPScope, send: ASGISendCallable, answer: Answer) -> None:
    """Send the whole answer; a HEAD request gets its headers only."""
    headers = answer.headers
    if answer.status != 204:
        headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(answer.body)), *headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_stream(
    scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable, stream: AsyncGenerator[bytes, None]
) -> None:
    """Send events until the stream ends, or the client has hung up."""
    async with aclosing(stream) as events, trio.open_nursery() as nursery:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})

        async def cancel_when_gone() -> None:
            while (await receive())["type"] == "http.request":
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_when_gone)
        if scope["method"] != "HEAD":
            async for part in events:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        nursery.cancel_scope.cancel()


def require_json(scope: HTTPScope, raw: bytes) -> None:
    """Raise ProtocolRefusal for a body that does not say that it is plain JSON, and for one that says so and is not there."""
    content_type = (header(scope, b"content-type") or b"").lower()
    is_json = content_type.partition(b";")[0].strip() == b"application/json"
    if not raw:
        if is_json:
            raise empty_json()
        return
    charset = _CHARSET.search(content_type)
    if charset is not None and charset[1] not in (b"utf-8", b"utf8", b"us-ascii"):
        # JSON is UTF-8 (RFC 8259); text in another encoding would be read as something else.
        raise unsupported_type()
    if not is_json or (header(scope, b"content-encoding") or b"identity").lower() != b"identity":
        raise unsupported_type()


def json_body(raw: bytes) -> Any:
    """The body as decoded JSON. Raises ProtocolRefusal and InvalidRequest."""
    try:
        return read_json(raw)
    except NotJson:
        raise invalid_json() from None
    except BadJson as problem:
        raise InvalidRequest(f"body: {problem}") from None


Handler = Callable[[Any, Request], Awaitable[Answer]]
