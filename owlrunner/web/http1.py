"""Speak HTTP/1.1 as Hypercorn does, but nothing else, and nothing ambiguous."""

import dataclasses

import h11
from hypercorn.events import Closed
from hypercorn.protocol.events import Event, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

LONGEST_HEAD = 16 * 1024
"""Bytes of a request line and headers."""


class Http1(H11Protocol):
    """HTTP/1.1 as we speak it: no upgrades, nothing ambiguous, and no next request after a body that was not read."""

    _has_body = False

    async def stream_send(self, event: Event) -> None:
        """Send a part of an answer."""
        if isinstance(event, Response) and self._has_body and self.connection.their_state is h11.SEND_BODY:
            event = dataclasses.replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def go_on(self) -> None:
        """Turn to the next request, where an application was cancelled after its answer but before that."""
        if self.connection.our_state in {h11.DONE, h11.MUST_CLOSE}:
            await self._maybe_recycle()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Whoever asks for another protocol gets an answer in this one, which is what HTTP expects of a server without it."""

    async def _create_stream(self, request: h11.Request) -> None:
        headers = dict(request.headers)
        self._has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        if request.method == b"PRI" or request.http_version not in {b"1.0", b"1.1"}:
            await self._refuse(505)
        elif _size_of_head(request) > LONGEST_HEAD:
            # h11 bounds a head that comes bit by bit.
            await self._refuse(431)
        elif b"content-length" in headers and b"transfer-encoding" in headers:
            # Proxies differ in which of the two they believe.
            await self._refuse(400)
        else:
            stream = HTTPStream(
                self.app,
                self.config,
                self.context,
                self.task_group,
                self.ssl,
                self.client,
                self.server,
                self.stream_send,
                STREAM_ID,
            )
            self.stream = stream
            await stream.handle(
                Request(
                    stream_id=STREAM_ID,
                    headers=list(request.headers),
                    http_version=request.http_version.decode(),
                    method=request.method.decode("ascii").upper(),
                    raw_path=request.target,
                    state=self.connection_state,
                )
            )
            self.keep_alive_requests += 1

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())


def _size_of_head(request: h11.Request) -> int:
    return len(request.target) + sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers)
