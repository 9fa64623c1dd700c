"""A tenant who asks for as much as may be: long lists, log searches, streams, and large bodies that are slow to read.

It is a process of its own, at low priority: on a machine of two cores the client would otherwise be a part of what is measured.
"""

import itertools
import os
import sys

import msgspec
import trio

READ = 65536
MEBIBYTE = 1024 * 1024


class Plan(msgspec.Struct):
    """What to ask, and for whom."""

    port: int
    team: str
    project: str
    keys: list[str]
    token: str
    run: str
    """A run with a long log."""


def _repeated(text: bytes, size: int) -> bytes:
    return b"[" + b",".join([text] * (size // (len(text) + 1) - 2)) + b"]"


def bodies(plan: Plan) -> list[bytes]:
    """Triggers that take long to read: some are refused at the very end, some are stored."""
    start = b'{"job_type":"anything","project_id":"%s","params":{"value":' % plan.project.encode()
    parts = [b"1e308", b"[]", b"[" * 90 + b"]" * 90, b"{}", b"1", b'"\\u00e9"']
    sizes = [MEBIBYTE - 1000, 255 * 1024 - 1000]
    return [start + _repeated(part, size) + b"}}" for part, size in itertools.product(parts, sizes)]


def requests(plan: Plan) -> list[tuple[list[bytes], bool]]:
    """For each connection what it sends over and over, and whether the answer is a stream."""
    cookie = f"Cookie: token={plan.token}\r\n"

    def get(path: str, header: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n{header}\r\n".encode()

    def bearer(number: int) -> str:
        return f"Authorization: Bearer {plan.keys[number % len(plan.keys)]}\r\n"

    runs = f"/v1/teams/{plan.team}/jobs"
    asked: list[tuple[list[bytes], bool]] = []
    for number in range(30):
        asked.append(([get(f"{runs}?limit=200", bearer(number))], False))
        asked.append(([get(f"/dashboard/jobs/{plan.run}?q=nowhere{number}", cookie)], False))
        head = f"POST {runs}/trigger HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n{bearer(number)}Content-Type: application/json\r\n"
        posts = [head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies(plan)]
        asked.append((posts[number % len(posts) :] + posts[: number % len(posts)], False))
    asked += [([get(f"{runs}/stream?limit=200", bearer(number))], True) for number in range(100)]
    asked += [([get("/dashboard/jobs/live", cookie + "Accept: text/event-stream\r\n")], True) for _ in range(20)]
    return asked


async def keep_asking(port: int, sent: list[bytes], is_stream: bool) -> None:
    """Ask for ever, on a new connection whenever the server has had enough of the last."""
    for request in itertools.cycle(sent):
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(request)
                while is_stream and await stream.receive_some(READ):
                    pass
                if not is_stream:
                    await _answer(stream)
        except OSError:
            await trio.sleep(0.1)


async def _answer(stream: trio.SocketStream) -> None:
    answer = await stream.receive_some(READ)
    while answer and (end := answer.find(b"\r\n\r\n")) < 0:
        answer += await stream.receive_some(READ)
    head = answer[:end].lower()
    at = head.find(b"content-length:")
    missing = int(head[at + 15 :].split(b"\r\n", 1)[0]) - (len(answer) - end - 4) if at >= 0 else 0
    while missing > 0 and (part := await stream.receive_some(READ)):
        missing -= len(part)


async def main(plan: Plan) -> None:
    """Ask on all connections at once."""
    async with trio.open_nursery() as nursery:
        for sent, is_stream in requests(plan):
            nursery.start_soon(keep_asking, plan.port, sent, is_stream)


if __name__ == "__main__":
    os.nice(10)
    trio.run(main, msgspec.json.decode(sys.stdin.buffer.read(), type=Plan))
