"""Clients that hold their connections and do nothing useful with them."""

import contextlib
import socket
from collections.abc import Iterator

CONNECT_WITHIN = 60.0

HEADS = [
    b"",
    b"GET /health HT",
    b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n",
    b"POST /v1/auth/verify-code HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\na",
    b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 300,
]
"""What each of them sends: nothing, half a head, bodies that do not come, and requests whose answers it does not read."""


@contextlib.contextmanager
def crowd(url: str, size: int) -> Iterator[list[socket.socket]]:
    """So many clients that hold their connections as long as the block lasts; every fourth has closed its own side."""
    host, port = url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as opened:
        clients = []
        for number in range(size):
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(CONNECT_WITHIN)
            client.connect((host, int(port)))
            client.setblocking(False)
            # The server may have taken its place already.
            with contextlib.suppress(OSError):
                client.send(HEADS[number % len(HEADS)])
                if number % 4 == 0:
                    client.shutdown(socket.SHUT_WR)
            clients.append(client)
        yield clients
