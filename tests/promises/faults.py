"""Faults of the network for tests: a connection that breaks at the very moment when a commit is answered."""

import contextlib
import functools
from collections.abc import AsyncIterator

import attrs
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMITTED = b"COMMIT\x00"


@attrs.define
class LostAnswer:
    """A way to PostgreSQL. Once armed, it cuts the connection on which the next commit is answered, before the answer arrives."""

    url: str = ""
    is_armed: bool = False
    lost: int = 0

    async def _carry(self, client: trio.SocketStream, target: dict[str, str]) -> None:
        async with client, await _connect(target) as server, trio.open_nursery() as nursery:

            async def forth() -> None:
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    async for data in client:
                        await server.send_all(data)
                nursery.cancel_scope.cancel()

            async def back() -> None:
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    async for data in server:
                        if self.is_armed and COMMITTED in data:
                            self.is_armed = False
                            self.lost += 1
                            break
                        await client.send_all(data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(forth)
            nursery.start_soon(back)


async def _connect(target: dict[str, str]) -> trio.SocketStream:
    host, port = target.get("host", "localhost"), target.get("port", "5432")
    if host.startswith("/"):
        return await trio.open_unix_socket(f"{host}/.s.PGSQL.{port}")
    return await trio.open_tcp_stream(host, int(port))


@contextlib.asynccontextmanager
async def lost_answers(url: str) -> AsyncIterator[LostAnswer]:
    """A way to the database of this connection string."""
    target = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    async with trio.open_nursery() as nursery:
        fault = LostAnswer()

        async def carry(client: trio.SocketStream) -> None:
            await fault._carry(client, target)

        listeners = await nursery.start(functools.partial(trio.serve_tcp, carry, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        rest = {key: value for key, value in target.items() if key not in ("host", "port")}
        fault.url = make_conninfo("", **rest, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        yield fault
        nursery.cancel_scope.cancel()
