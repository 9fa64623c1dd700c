"""The stand-in RevenueCat: a small server that speaks its v2 API as published, and misbehaves when told to."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import attrs
import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config
from quart import Response, request
from quart_trio import QuartTrio

from owlrunner.demo.customers import ENTITLEMENTS, PRODUCT_TYPES, PRODUCTS, PROJECT_ID, StandInCustomer, customers

WINDOW = 60.0
"""Seconds over which RevenueCat counts requests."""
_CONFIGURATION = ("projects", "entitlements", "products")
_KINDS = ("active_entitlements", "subscriptions", "purchases", "attributes")
DEFAULT_PAGE = 20
LARGEST_PAGE = 100
BLOCKED = frozenset({"", "0", "-1", "guest", "null", "undefined"})
"""Customer ids that RevenueCat refuses, because apps send them by mistake for many users."""


@attrs.define
class Fault:
    """One way to misbehave: for requests of ``kind`` about ``customer`` (None: any), ``times`` times (None: always).

    ``after`` such requests are let through first. A ``status`` is answered with RevenueCat's error body; ``body``
    replaces any body; ``delay`` seconds pass before whatever is answered.
    """

    kind: str | None = None
    customer: str | None = None
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    backoff_ms: int | None = None
    delay: float = 0.0
    times: int | None = None
    after: int = 0

    def strikes(self, kind: str, customer: str | None) -> bool:
        """Whether this request is one to spoil; counts it."""
        if self.kind not in (None, kind) or self.customer not in (None, customer) or self.times == 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@attrs.define
class StandIn:
    """The stand-in's knobs, and what it has seen. Knobs may be turned while it serves."""

    customers: dict[str, StandInCustomer] = attrs.field(factory=lambda: customers(340))
    api_key: str = attrs.field(default="sk_standin", repr=False)
    forbidden_key: str = attrs.field(default="sk_forbidden", repr=False)
    """A key that is known and may do nothing: 403."""
    latency: float = 0.0
    """Seconds that every answer takes."""
    customer_requests_per_minute: int | None = None
    """Above it 429 is answered; None for no limit."""
    configuration_requests_per_minute: int | None = None
    project_ids: tuple[str, ...] = (PROJECT_ID,)
    """The projects that the key sees; the customers are in PROJECT_ID."""
    page_size: int = LARGEST_PAGE
    """The most items that a page holds, however many were asked for."""
    offers_purchases: bool = True
    """Without them, their route answers 405."""
    heeds_environment: bool = True
    """Whether a list of one environment leaves the others out."""
    stuck_paging: bool = False
    """Every page names itself as the next one."""
    faults: list[Fault] = attrs.field(factory=list)

    requests: int = attrs.field(default=0, init=False)
    by_kind: Counter[str] = attrs.field(factory=Counter, init=False)
    """Requests by kind: projects, entitlements, products, customers, customer, active_entitlements, subscriptions, …"""
    by_status: Counter[int] = attrs.field(factory=Counter, init=False)
    most_at_once: int = attrs.field(default=0, init=False)
    """How many requests were under way at once at most."""
    paths: deque[str] = attrs.field(factory=lambda: deque(maxlen=10_000), init=False)
    """Paths as they came over the wire, still encoded."""
    queries: deque[dict[str, str]] = attrs.field(factory=lambda: deque(maxlen=10_000), init=False)
    """The query of each path."""
    at_once: int = attrs.field(default=0, init=False)
    _seen: dict[str, deque[float]] = attrs.field(
        factory=lambda: {"customer": deque(), "configuration": deque()}, init=False
    )

    async def answer(self, raw_path: str, query: Mapping[str, str], authorization: str) -> Response:
        """Answer one request."""
        self.requests += 1
        self.paths.append(raw_path)
        self.queries.append(dict(query))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.latency:
                await trio.sleep(self.latency)
            response = await self._answer(raw_path, query, authorization)
        finally:
            self.at_once -= 1
        self.by_status[response.status_code] += 1
        return response

    async def _answer(self, raw_path: str, query: Mapping[str, str], authorization: str) -> Response:
        parts = [unquote(part) for part in raw_path.removeprefix("/v2/").split("/")]
        kind, customer_id = _kind(parts)
        self.by_kind[kind] += 1
        for fault in self.faults:
            if fault.strikes(kind, customer_id):
                await trio.sleep(fault.delay)
                if fault.body is not None:
                    return Response(fault.body, fault.status, dict(fault.headers), content_type="application/json")
                if fault.status != 200:
                    return _error(fault.status, "made to fail", headers=fault.headers, backoff_ms=fault.backoff_ms)
        if authorization == f"Bearer {self.forbidden_key}":
            return _error(403, "The API key lacks the permission for this.")
        if authorization != f"Bearer {self.api_key}":
            return _error(401, "Invalid API key.")
        domain = "configuration" if kind in _CONFIGURATION else "customer"
        limit = getattr(self, f"{domain}_requests_per_minute")
        response = self._limited(domain, limit) or self._found(kind, parts, customer_id, raw_path, query)
        if limit is not None:
            response.headers["RevenueCat-Rate-Limit-Current-Usage"] = str(len(self._seen[domain]))
            response.headers["RevenueCat-Rate-Limit-Current-Limit"] = str(limit)
        return response

    def _limited(self, domain: str, limit: int | None) -> Response | None:
        """A 429 once the last minute was too full: the header is in seconds, the body in milliseconds."""
        now, seen = time.monotonic(), self._seen[domain]
        while seen and seen[0] <= now - WINDOW:
            seen.popleft()
        if limit is not None and len(seen) >= limit:
            wait = seen[0] + WINDOW - now
            headers = {"Retry-After": str(math.ceil(wait))}
            return _error(429, "Rate limit exceeded.", headers=headers, backoff_ms=math.ceil(wait * 1000))
        seen.append(now)
        return None

    def _found(
        self, kind: str, parts: list[str], customer_id: str | None, path: str, query: Mapping[str, str]
    ) -> Response:
        if kind == "projects":
            return self._page([{"object": "project", "id": one, "name": one} for one in self.project_ids], path, query)
        if kind == "unknown" or parts[1] != PROJECT_ID:
            return _error(404, "The path or the project does not exist.")
        if (items := self._listed(kind)) is not None:
            return self._page(items, path, query)
        if customer_id in BLOCKED:
            return _error(400, "The customer id is blocked.")
        customer = None if "/" in (customer_id or "") else self.customers.get(customer_id or "")
        return (
            _error(404, "The customer does not exist.")
            if customer is None
            else self._about(customer, kind, path, query)
        )

    def _listed(self, kind: str) -> list[dict[str, Any]] | None:
        """All items of a project's list, or None: it is no list of a project's."""
        match kind:
            case "entitlements":
                return [{"object": "entitlement", "id": key, "lookup_key": ENTITLEMENTS[key]} for key in ENTITLEMENTS]
            case "products":
                return [
                    {
                        "object": "product",
                        "id": key,
                        "store_identifier": PRODUCTS[key],
                        "type": PRODUCT_TYPES.get(key, "subscription"),
                    }
                    for key in PRODUCTS
                ]
            case "customers":
                return [{"object": "customer", "id": key} for key in self.customers]
        return None

    def _about(self, customer: StandInCustomer, kind: str, path: str, query: Mapping[str, str]) -> Response:
        if kind == "customer":
            told: dict[str, Any] = {"object": "customer", "id": customer.id, "project_id": PROJECT_ID}
            told["active_entitlements"] = self._list(customer.entitlements, f"{path}/active_entitlements", {})
            if query.get("expand") == "attributes":
                told["attributes"] = self._list(customer.attributes, f"{path}/attributes", {})
            return _json(told)
        if kind == "purchases" and not self.offers_purchases:
            return _error(405, "One-time purchases are not available for this project.")
        items = {
            "active_entitlements": customer.entitlements,
            "subscriptions": customer.subscriptions,
            "purchases": customer.purchases,
            "attributes": customer.attributes,
        }[kind]
        if kind in ("subscriptions", "purchases") and "environment" in query and self.heeds_environment:
            items = tuple(item for item in items if item["environment"] == query["environment"])
        return self._page(items, path, query)

    def _page(self, items: Iterable[dict[str, Any]], path: str, query: Mapping[str, str]) -> Response:
        if not 1 <= int(query.get("limit", "20")) <= LARGEST_PAGE:
            return _error(400, "limit must be between 1 and 100.")
        return _json(self._list(items, path, query))

    def _list(self, items: Iterable[dict[str, Any]], path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of a list; the cursor is what identifies the last item of the page before, and ``next_page`` is relative."""
        every = list(items)
        ids = [item.get("id") or item.get("entitlement_id") or item["name"] for item in every]
        after = query.get("starting_after")
        start = ids.index(after) + 1 if after in ids and not self.stuck_paging else 0
        size = min(int(query.get("limit", DEFAULT_PAGE)), self.page_size)
        part = every[start : start + size]
        more = self.stuck_paging or start + size < len(every)
        following = f"{path}?{urlencode({'starting_after': ids[start + len(part) - 1]})}" if more and part else None
        return {"object": "list", "items": part, "next_page": following, "url": path}


async def serve(
    standin: StandIn, *, port: int = 0, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the stand-in on loopback until cancelled: ``url = await nursery.start(serve, standin)``.

    The address that it starts with is what the plugin's ``api_url`` wants, such as ``http://127.0.0.1:43210/v2``.
    """
    app = QuartTrio(__name__)

    @app.route("/<path:anything>")
    async def everything(anything: str) -> Response:  # noqa: ARG001 - the path is read as it came, to see how ids are encoded
        raw = request.scope["raw_path"].decode("ascii").partition("?")[0]
        return await standin.answer(raw, request.args, request.headers.get("authorization", ""))

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = config.errorlog = None
    # Whoever cancels it wants it gone; clients of a stand-in have nothing to lose.
    config.graceful_timeout = 0.1

    async with trio.open_nursery() as nursery:
        binds = await nursery.start(hypercorn.trio.serve, app, config)
        task_status.started(f"{binds[0]}/v2")


def _kind(parts: list[str]) -> tuple[str, str | None]:
    """What a path asks for, and about which customer."""
    match parts:
        case ["projects"]:
            return "projects", None
        case ["projects", _, ("entitlements" | "products" | "customers") as kind]:
            return kind, None
        case ["projects", _, "customers", customer_id]:
            return "customer", customer_id
        case ["projects", _, "customers", customer_id, kind] if kind in _KINDS:
            return kind, customer_id
        case _:
            return "unknown", None


def _json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, dict(headers or {}), content_type="application/json")


def _error(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, backoff_ms: int | None = None
) -> Response:
    body: dict[str, object] = {
        "object": "error",
        "type": "rate_limit_error" if status == 429 else "error",
        "message": message,
    }
    body |= {"retryable": status == 429 or status >= 500, "doc_url": "https://errors.rev.cat"}
    if backoff_ms is not None:
        body["backoff_ms"] = backoff_ms
    return _json(body, status, headers)
