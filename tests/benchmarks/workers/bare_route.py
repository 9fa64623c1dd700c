"""A Quart-Trio application on Hypercorn with one route that does nothing: what HTTP costs anyway."""

import socket

import hypercorn.trio
import trio
from quart import Response
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.post("/trigger")
async def trigger() -> tuple[Response, int]:
    """Do nothing."""
    return Response('{"job_run": {}}', content_type="application/json"), 201


def main() -> None:
    """Serve on a free port, which is printed."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        # Before the port is printed: whoever reads it connects at once.
        port.listen()
        settings = hypercorn.Config()
        settings.bind = [f"fd://{port.fileno()}"]
        settings.loglevel = "WARNING"
        print(port.getsockname()[1], flush=True)
        trio.run(hypercorn.trio.serve, app, settings)


if __name__ == "__main__":
    main()
