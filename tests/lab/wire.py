"""PostgreSQL's protocol, version 3, as far as a proxy needs it: where a message ends, and what a statement says."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import attrs

CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
REFUSED = b"N"
"""The answer to a request for encryption."""

QUERY, SYNC = b"Q", b"S"
READY_FOR_QUERY = b"Z"
BACKEND_KEY_DATA = b"K"

_PARSE, _BIND, _CLOSE = b"P", b"B", b"C"
_PART_OF_STATEMENT = frozenset((_PARSE, _BIND, _CLOSE, b"D", b"E"))
_LENGTH = struct.Struct("!I")


class Message(NamedTuple):
    """One message: its type (empty for the untyped ones of a startup) and all of its bytes."""

    kind: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows type and length."""
        return self.raw[len(self.kind) + _LENGTH.size :]


class Framing:
    """Cut a stream of bytes into messages."""

    def __init__(self, *, typed: bool = True) -> None:
        self.typed = typed
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are complete now. ``typed`` may change between two of them."""
        self._buffer += data
        while True:
            start = 1 if self.typed else 0
            if len(self._buffer) < start + _LENGTH.size:
                return
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if len(self._buffer) < start + length:
                return
            raw = bytes(self._buffer[: start + length])
            del self._buffer[: start + length]
            yield Message(raw[:start], raw)


def startup_code(message: Message) -> int:
    """The number that a startup message begins with: the protocol's version, or what else is requested."""
    return int(_LENGTH.unpack_from(message.body)[0])


def startup_parameters(message: Message) -> dict[str, str]:
    """The parameters of a startup message, such as ``application_name``."""
    words = message.body[_LENGTH.size :].rstrip(b"\0").split(b"\0")
    return {key.decode(): value.decode() for key, value in zip(words[::2], words[1::2], strict=False)}


def backend_pid(message: Message) -> int:
    """The process id in BackendKeyData."""
    return int(_LENGTH.unpack_from(message.body)[0])


@attrs.frozen
class Statement:
    """What a client sends before it waits for ReadyForQuery: one Query, or Parse, Bind, Execute and so on up to Sync."""

    text: str
    raw: bytes
    only_prepares: bool = False


@attrs.define
class Statements:
    """Put a client's messages together to statements. Knows the text of what has been prepared."""

    _raw: bytearray = attrs.field(factory=bytearray)
    _text: str = ""
    _binds: bool = False
    _prepared: dict[bytes, str] = attrs.field(factory=dict)

    def feed(self, message: Message) -> Statement | bytes:
        """The statement that the message completes; else bytes that need not wait for the rest of one (maybe none)."""
        self._raw += message.raw
        if message.kind == QUERY:
            self._text = message.body.rstrip(b"\0").decode(errors="replace")
            return self._complete()
        if message.kind == SYNC:
            return self._complete()
        if message.kind == _PARSE:
            name, text, _ = message.body.split(b"\0", 2)
            self._prepared[name] = self._text = text.decode(errors="replace")
        elif message.kind == _BIND:
            _, name, _ = message.body.split(b"\0", 2)
            self._text, self._binds = self._prepared.get(name, "unknown"), True
        elif message.kind == _CLOSE:
            self._text = self._text or "close"
        elif message.kind not in _PART_OF_STATEMENT:
            raw = bytes(self._raw)
            self._raw.clear()
            return raw
        return b""

    def _complete(self) -> Statement:
        is_query = self._raw[:1] == QUERY
        done = Statement(self._text, bytes(self._raw), only_prepares=not is_query and not self._binds)
        self._raw.clear()
        self._text, self._binds = "", False
        return done
