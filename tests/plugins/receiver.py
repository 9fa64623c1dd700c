"""A receiver of webhooks on the loopback: it keeps every request byte for byte, and answers whatever a test wants."""

import functools
import ssl
from collections.abc import Callable
from typing import Any

import attrs
import trio

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, *headers: str) -> bytes:
    """A whole answer with a status."""
    return "\r\n".join([f"HTTP/1.1 {status} Told", *headers, "content-length: 0", "", ""]).encode()


@attrs.frozen
class Request:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@attrs.define
class Receiver:
    """Knobs and what it has got."""

    answer: bytes = OK
    endless: bytes = b""
    """Sent after the answer again and again, until the other side has enough."""
    silent: bool = False
    """It never answers."""
    echo: bool = False
    """It answers with the head of the request, which is no HTTP answer."""
    got: list[Request] = attrs.field(factory=list, init=False)
    hung_up: trio.Event = attrs.field(factory=trio.Event, init=False)
    """The other side has closed a connection."""

    async def serve(
        self,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve for ever, and tell the port, by default one that is free."""
        listen: Callable[..., Any] = trio.serve_tcp
        if tls is not None:
            listen = functools.partial(trio.serve_ssl_over_tcp, ssl_context=tls, https_compatible=True)
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(listen, self._talk, port, host="127.0.0.1"))
            listener = getattr(listeners[0], "transport_listener", listeners[0])
            task_status.started(listener.socket.getsockname()[1])

    async def _talk(self, stream: trio.abc.Stream) -> None:
        try:
            await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.hung_up.set()

    async def _answer(self, stream: trio.abc.Stream) -> None:
        head, _, body = (await _until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")
        line, *lines = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some()
        self.got.append(Request(line, headers, body))
        if self.silent:
            await trio.sleep_forever()
        await stream.send_all(head + b"\r\n\r\n" if self.echo else self.answer)
        while self.endless:
            await stream.send_all(self.endless)


async def _until(stream: trio.abc.Stream, end: bytes) -> bytes:
    got = b""
    while end not in got:
        more = await stream.receive_some()
        if not more:
            raise trio.BrokenResourceError
        got += more
    return got
