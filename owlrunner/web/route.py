"""What is declared of a route. Dispatch, the OpenAPI document and the tests' matrix are made from it."""

import enum
from collections.abc import Mapping

import attrs
from msgspec import Struct

from owlrunner.web import wire
from owlrunner.web.exchange import Handler


class Auth(enum.Enum):
    """Who may come in at all."""

    NONE = "none"
    """Anybody; a credential is looked at by the handler alone, if at all."""
    USER = "user"
    """Signed-in users, not API keys."""
    USER_OR_KEY = "user or key"


@attrs.frozen(kw_only=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    """Segments in braces are parameters."""
    summary: str
    handler: Handler
    auth: Auth = Auth.USER_OR_KEY
    permissions: tuple[str, ...] = ()
    """What an API key needs."""
    users_only: str = ""
    """What an API key is told where only users may go."""
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    streams: bool = False
    """Whether success is a stream of server-sent events, each with the shape as its data."""
    answers: Mapping[int, tuple[type[Struct], ...]]
    """The shapes that the handler may answer with; what is common to all routes stands in ``all_answers``."""

    @property
    def name(self) -> str:
        """The handler's name, which names the operation."""
        return str(getattr(self.handler, "__name__", ""))


def all_answers(route: Route) -> dict[int, tuple[type[Struct], ...]]:
    """Every status that a route may answer with, and the shapes of each, in order."""
    common: dict[int, tuple[type[Struct], ...]] = {500: (wire.CrashError,)}
    if route.query or "{" in route.path:
        common[400] = (wire.Error,)
    if route.method != "GET":
        common |= dict.fromkeys((408, 413, 415), (wire.ProtocolError,))
        common[400] = (wire.Error, wire.ProtocolError)
    if route.auth is not Auth.NONE:
        common |= {401: (wire.Error,), 403: (wire.Error,), 429: (wire.Error,)}
    if route.path.startswith("/v1/"):
        common[503] = (wire.Error,)
    both = [*route.answers.items(), *common.items()]
    return {
        status: tuple(dict.fromkeys(shape for key, shapes in both if key == status for shape in shapes))
        for status, _ in sorted(both, key=lambda pair: pair[0])
    }
