"""This is the room for the way of a request: find its route, know its caller, check its permission, decode it, answer it.

The order is a promise: who may not do a thing is told so before anything is said about what was sent.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from owlrunner.accounts import Caller, Origin
from owlrunner.actor import UserActor, require_permissions
from owlrunner.errors import InvalidRequest, PermissionDenied, Refused, Unauthenticated
from owlrunner.large_input import LARGE, decoded
from owlrunner.web.api import Api
from owlrunner.web.auth import credential_of
from owlrunner.web.client_address import origin_of
from owlrunner.web.errors import error_answer
from owlrunner.web.exchange import (
    MAX_BODY,
    MAX_STRANGERS_BODY,
    Answer,
    ClientGone,
    Request,
    header,
    json_body,
    read_body,
    require_json,
    send_answer,
    send_stream,
)
from owlrunner.web.inputs import query_texts, typed, unquoted
from owlrunner.web.route import Auth, Route
from owlrunner.web.shares import party_of


@attrs.define
class _Node:
    """What lies behind one segment of a path."""

    fixed: dict[bytes, "_Node"] = attrs.field(factory=dict)
    parameter: "_Node | None" = None
    routes: dict[str, Route] = attrs.field(factory=dict)
    names: tuple[str, ...] = ()
    """The parameters on the way here."""


@attrs.frozen
class Found:
    """The routes of one path, by method, and the path's parameters, still percent-encoded."""

    routes: dict[str, Route]
    names: tuple[str, ...]
    values: tuple[bytes, ...]


class Router:
    """The table of routes as a tree of segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            names: list[str] = []
            for segment in route.path.split("/")[1:]:
                if segment.startswith("{"):
                    names.append(segment[1:-1])
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.fixed.setdefault(segment.encode(), _Node())
            node.names = tuple(names)
            node.routes[route.method] = route
            if route.method == "GET":
                node.routes["HEAD"] = route

    def find(self, raw_path: bytes) -> Found | None:
        """The routes of a path as it was sent, or None: it is not one of ours. A trailing slash makes it another path."""
        node = self._root
        values: list[bytes] = []
        for segment in raw_path.split(b"/")[1:]:
            fixed = node.fixed.get(segment)
            if fixed is not None:
                node = fixed
            elif segment and node.parameter is not None:
                values.append(segment)
                node = node.parameter
            else:
                return None
        return Found(node.routes, node.names, tuple(values)) if node.routes else None


class Dispatcher:
    """Answers the requests that have a route in the table."""

    def __init__(self, api: Api, routes: Iterable[Route]) -> None:
        self._api = api
        self._router = Router(routes)

    def asks_credential(self, scope: HTTPScope) -> bool:
        """Whether the request goes to a route that answers nobody without a credential. Pages have rules of their own."""
        found = self._router.find(scope["raw_path"])
        route = found.routes.get(scope["method"]) if found is not None else None
        return route is not None and route.auth is not Auth.NONE

    async def serve(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> bool:
        """Answer the request and return True, or return False and leave it untouched: it is not one of ours."""
        found = self._router.find(scope["raw_path"])
        method = scope["method"]
        if found is None or method not in {*found.routes, "OPTIONS"}:
            return False
        try:
            route = found.routes.get(method)
            answer = await self._answer(route, found, scope, receive) if route is not None else _options(found)
        except ClientGone:
            return True
        except Exception as error:  # noqa: BLE001 - the table knows what is expected, and logs the rest
            answer = error_answer(error, f"{method} {_pattern(found, method)}")
        if answer.stream is not None:
            await send_stream(scope, receive, send, answer.stream)
        else:
            await send_answer(scope, send, answer)
        return True

    async def _answer(self, route: Route, found: Found, scope: HTTPScope, receive: ASGIReceiveCallable) -> Answer:
        """The answer of a route to a request; its body is read, into memory, for nobody who may not send it."""
        caller, credential = await self._allowed(route, scope)
        # Also where no body is wanted: the next request on the connection begins behind it.
        raw_body = await read_body(scope, receive, MAX_STRANGERS_BODY if route.auth is Auth.NONE else MAX_BODY)
        path = {name: unquoted(value, name) for name, value in zip(found.names, found.values, strict=True)}
        query, body, origin = _query(route, scope["query_string"]), None, Origin()
        async with self._admitted(caller, receive, is_large=len(raw_body) > LARGE):
            if route.method != "GET":
                # Decoding is work like any other, and takes a share. Who only reads leaves nothing on record.
                body = await _body(route, scope, raw_body)
                origin = origin_of(scope, self._api.site.proxies)
            if caller is not None:
                # What was a good credential may have ended while the body came, or a share was waited for.
                caller, _ = await self._allowed(route, scope)
            request = Request(
                path=path,
                query=query,
                body=body,
                known=origin.mark(caller) if caller is not None and route.method != "GET" else caller,
                credential=credential,
                origin=origin,
                last_event_id=_last_event_id(scope) if route.streams else "",
            )
            return await route.handler(self._api, request)

    @asynccontextmanager
    async def _admitted(
        self, caller: Caller | None, receive: ASGIReceiveCallable, *, is_large: bool
    ) -> AsyncIterator[None]:
        """Let the request be worked on as long as the block lasts, once its turn has come. Raises ClientGone.

        Whoever hangs up meanwhile leaves: else a crowd that comes and goes would keep connections, bodies and turns.
        """
        if caller is None:
            yield
            return
        async with AsyncExitStack() as held:
            # Raised from inside a nursery it would come in a group.
            outcome: Exception | None = ClientGone()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
                try:
                    await held.enter_async_context(self._api.admission.of(party_of(caller.actor), is_large=is_large))
                    outcome = None
                except Refused as refusal:
                    outcome = refusal
                nursery.cancel_scope.cancel()
            if outcome is not None:
                raise outcome
            yield

    async def _allowed(self, route: Route, scope: HTTPScope) -> tuple[Caller | None, str | None]:
        """Who asks, with what the route wants of them. Raises Unauthenticated and PermissionDenied."""
        caller, credential = await self._known(route, scope)
        if caller is not None:
            require_permissions(caller.actor, route.permissions)
        return caller, credential

    async def _known(self, route: Route, scope: HTTPScope) -> tuple[Caller | None, str | None]:
        """Who asks, as far as the route wants to know. Raises Unauthenticated and PermissionDenied."""
        if route.auth is Auth.NONE:
            try:
                return None, credential_of(scope, self._api.site.cookie)
            except Unauthenticated:
                return None, None
        credential = credential_of(scope, self._api.site.cookie)
        caller = await self._api.accounts.resolve(credential)
        if route.auth is Auth.USER and not isinstance(caller.actor, UserActor):
            raise PermissionDenied(route.users_only)
        return caller, credential


async def _cancel_when_gone(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _last_event_id(scope: HTTPScope) -> str:
    return (header(scope, b"last-event-id") or b"").decode("latin-1")


def _query(route: Route, query_string: bytes) -> object:
    """The query as the route's class; its texts stand for numbers where those are wanted."""
    if route.query is None:
        return None
    texts = query_texts(query_string, route.query.__struct_fields__) if query_string else {}
    return typed(texts, route.query, "query", strict=False)


async def _body(route: Route, scope: HTTPScope, raw: bytes) -> object:
    """The body as the route's class. A body that the route does not want must be JSON all the same."""
    require_json(scope, raw)
    if not raw:
        if route.body is not None:
            raise InvalidRequest("body: expected a JSON object, got nothing")
        return None
    wanted = route.body

    def body() -> object:
        value = json_body(raw)
        return typed(value, wanted, "body") if wanted is not None else None

    return await decoded(body, len(raw))


def _pattern(found: Found, method: str) -> str:
    """The path as the table has it, for the log."""
    route = found.routes.get(method)
    return route.path if route is not None else ""


def _options(found: Found) -> Answer:
    return Answer(204, b"", ((b"allow", ", ".join(sorted({*found.routes, "OPTIONS"})).encode()),))
