"""Asking RevenueCat's v2 API: paths, paging, retries, and the limits that all workers share."""

import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

import attrs
import httpx
import msgspec
import trio

import owlrunner
from owlrunner_revenuecat.answers import PAUSE_UNTOLD, KeyRefused, RateLimited, RevenueCatError, Unknown, refusal
from owlrunner_revenuecat.customer import Attribute, Customer, Entitlement, Names, Purchase, Subscription, gives_access
from owlrunner_revenuecat.paging import LARGEST_PAGE, MOST_PAGES, Page, next_cursor
from owlrunner_revenuecat.rate_limit import Pace, Shared
from owlrunner_revenuecat.settings import SyncSettings

T = TypeVar("T")
Bought = TypeVar("Bought", Subscription, Purchase)

MOST_429 = 10
"""How often one request is sent again after a 429. Those do not count as tries: they say nothing about the request."""
NAMED_AT_MOST = 10
"""How many projects an error names."""
_CURRENT = "revenuecat-rate-limit-current"
_NOT_OFFERED = frozenset({"405", "410", "501"})

logger = logging.getLogger(__name__)


@attrs.frozen
class _Project:
    id: str


@attrs.frozen
class _Listed:
    id: str


@attrs.frozen
class _NamedEntitlement:
    id: str
    lookup_key: str | None = None


@attrs.frozen
class _NamedProduct:
    id: str
    store_identifier: str | None = None
    type: str | None = None


@attrs.frozen
class _Expanded:
    active_entitlements: Page[Entitlement] | None = None
    attributes: Page[Attribute] | None = None


class RevenueCat:
    """RevenueCat as one API key sees it.

    Every method raises RevenueCatError; KeyRefused means that there is no use in going on.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: SyncSettings,
        api_key: str,
        shared: Callable[[str], Shared | None] = lambda _: None,
    ) -> None:
        self._http = http
        self._settings = settings
        self._secret = api_key
        self._customers = Pace(settings.customer_requests_per_minute, shared("customer"))
        self._configuration = Pace(settings.configuration_requests_per_minute, shared("configuration"))
        self._offers_purchases = True

    async def project_id(self, wanted: str = "") -> str:
        """The id of the RevenueCat project to read: the one that is wanted, else the only one that the key sees."""
        seen = [one.id for one in await self._list(self._configuration, "projects", _Project)]
        if not seen:
            raise RevenueCatError("404", "RevenueCat project cannot be resolved: the API key sees no project")
        if wanted:
            if wanted not in seen:
                message = f"the API key does not see the RevenueCat project {wanted!r} that the integration names as project_id"
                raise RevenueCatError("404", f"{message}; it sees {_listed(seen)}")
            return wanted
        if len(seen) > 1:
            message = f"the API key sees {len(seen)} RevenueCat projects ({_listed(seen)})"
            raise RevenueCatError("404", f"{message}: name the one to read as project_id in the integration's config")
        return seen[0]

    async def names(self, project_id: str) -> Names:
        """What the project calls its entitlements and products; raw ids stand in for a list that cannot be read.

        A key may lack the permission for a list (403) and still serve for customers; 401 is no key at all, and raises.
        """
        path = f"projects/{_in_path(project_id)}"
        entitlements = await self._names(f"{path}/entitlements", _NamedEntitlement)
        products = await self._names(f"{path}/products", _NamedProduct)
        return Names(
            {one.id: one.lookup_key or one.id for one in entitlements},
            {one.id: one.store_identifier or one.id for one in products},
            frozenset(one.id for one in products if one.type == "consumable"),
        )

    async def customer_ids(self, project_id: str, after: str | None = None) -> tuple[list[str], str | None]:
        """A page of the ids of a project's customers, and the cursor of the next one, None at the end."""
        params = {"limit": str(LARGEST_PAGE)} | ({"starting_after": after} if after is not None else {})
        page = await self._get(self._customers, f"projects/{_in_path(project_id)}/customers", Page[_Listed], params)
        return [one.id for one in page.items], next_cursor(page.next_page)

    async def customer(self, project_id: str, user_id: str) -> Customer:
        """All that the sync wants to know of one user, in three requests as a rule, one after the other.

        Raises Unknown, and RevenueCatError when any part but the attributes cannot be learned: a customer known by half
        would be written down wrong.
        """
        if user_id in ("", ".", ".."):
            raise Unknown("404", "RevenueCat has no customer of that id")  # no path can name it
        path = f"projects/{_in_path(project_id)}/customers/{_in_path(user_id)}"
        told = await self._get(self._customers, path, _Expanded, {"expand": "attributes"})
        entitlements = await self._whole(told.active_entitlements, f"{path}/active_entitlements", Entitlement)
        wanted = self._settings.environment
        subscriptions = await self._subscriptions(path, wanted)
        purchases = await self._purchases(path, wanted)
        bought: list[Subscription | Purchase] = [*subscriptions, *purchases]
        if entitlements and wanted != "all" and not any(map(gives_access, bought)):
            # Entitlements do not say what gave them. Asked only now, because few users have what this is about.
            bought = [*await self._subscriptions(path, "all"), *await self._purchases(path, "all")]
            if any(gives_access(one) and one.environment not in (None, wanted) for one in bought):
                entitlements = ()
        return Customer(entitlements, subscriptions, purchases, await self._attributes(path, told.attributes))

    async def _subscriptions(self, path: str, environment: str) -> tuple[Subscription, ...]:
        return await self._bought(f"{path}/subscriptions", Subscription, environment)

    async def _bought(self, path: str, item: type[Bought], environment: str) -> tuple[Bought, ...]:
        """What was bought in an environment, which RevenueCat is asked for, but may not heed."""
        if environment == "all":
            return await self._list(self._customers, path, item)
        found = await self._list(self._customers, path, item, {"environment": environment})
        return tuple(one for one in found if one.environment in (None, environment))

    async def _names(self, path: str, item: type[T]) -> tuple[T, ...]:
        try:
            return await self._list(self._configuration, path, item)
        except RevenueCatError as error:
            if error.code == "401":
                raise
            what = path.rpartition("/")[2]
            logger.warning("RevenueCat's list of %s could not be read, so ids stand in for names: %s", what, error)
            return ()

    async def _purchases(self, path: str, environment: str) -> tuple[Purchase, ...]:
        if not self._offers_purchases:
            return ()
        try:
            return await self._bought(f"{path}/purchases", Purchase, environment)
        except RevenueCatError as error:
            if error.code not in _NOT_OFFERED:
                raise
            # Said of the feature, not of this customer: no need to ask for every other one too.
            self._offers_purchases = False
            return ()

    async def _attributes(self, path: str, first: Page[Attribute] | None) -> tuple[Attribute, ...] | None:
        try:
            return await self._whole(first, f"{path}/attributes", Attribute)
        except (KeyRefused, Unknown):
            raise
        except RevenueCatError as error:
            # Attribution only fills what is unset, so the next sync makes good for it.
            logger.warning("attributes could not be read: %s", error)
            return None

    async def _whole(self, first: Page[T] | None, path: str, item: type[T]) -> tuple[T, ...]:
        """All items of a list about a customer whose first page came with the customer, or did not come."""
        if first is None:
            return await self._list(self._customers, path, item)
        cursor = next_cursor(first.next_page)
        if cursor is None:
            return first.items
        return first.items + await self._list(self._customers, path, item, {"starting_after": cursor})

    async def _list(
        self, pace: Pace, path: str, item: type[T], params: Mapping[str, str] | None = None
    ) -> tuple[T, ...]:
        """All items of a paged list. A cursor that was there before ends it, or it would never end."""
        items: list[T] = []
        params = {"limit": str(LARGEST_PAGE), **(params or {})}
        seen: set[str] = set()
        cursor = params.get("starting_after")
        for _ in range(MOST_PAGES):
            if cursor is not None:
                seen.add(cursor)
                params["starting_after"] = cursor
            page: Page[T] = await self._get(pace, path, Page[item], params)  # type: ignore[valid-type]
            items.extend(page.items)
            cursor = next_cursor(page.next_page)
            if cursor is None:
                break
            if cursor in seen:
                logger.warning("RevenueCat's list %s goes round in circles: read no further", path.rpartition("/")[2])
                break
        return tuple(items)

    async def _get(self, pace: Pace, path: str, wanted: type[T], params: Mapping[str, str] | None = None) -> T:
        """One answer, decoded; asked for again as long as that has a chance."""
        tries = limited = 0
        while True:
            await pace.acquire()
            try:
                return await self._try(pace, path, wanted, params or {})
            except RateLimited as error:
                limited += 1
                if limited > MOST_429:
                    raise
                logger.info("RevenueCat asks for a pause of %.1f seconds", error.pause)
                # All who use the key wait.
                await pace.pause(error.pause)
            except RevenueCatError as error:
                tries += 1
                if not error.worth_retrying or tries >= self._settings.max_tries:
                    raise
                # Up to a quarter less, so that requests that failed together do not come back together.
                await trio.sleep(self._settings.retry_delay * 2 ** (tries - 1) * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load

    async def _try(self, pace: Pace, path: str, wanted: type[T], params: Mapping[str, str]) -> T:
        try:
            # httpx's timeouts are per phase: an answer that trickles in would never end.
            with trio.fail_after(self._settings.timeout):
                response = await self._http.get(f"{self._settings.api_url}/{path}", params=params or None)
        except (trio.TooSlowError, httpx.TimeoutException):
            message = f"RevenueCat did not answer within {self._settings.timeout:g} seconds"
            raise RevenueCatError("timeout", message, worth_retrying=True) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            message = f"RevenueCat cannot be reached: {type(error).__name__}: {error}"
            raise RevenueCatError("network", message, worth_retrying=True) from None
        told = response.headers
        await pace.heed(told.get(f"{_CURRENT}-limit"), told.get(f"{_CURRENT}-usage"), PAUSE_UNTOLD)
        if not response.is_success:
            raise refusal(response.status_code, response.headers, response.content, secret=self._secret)
        try:
            return msgspec.json.decode(response.content, type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"RevenueCat's answer cannot be read: {error}"
            raise RevenueCatError("malformed", message, worth_retrying=True) from None


@contextlib.asynccontextmanager
async def open_revenuecat(
    settings: SyncSettings, api_key: str, shared: Callable[[str], Shared | None] = lambda _: None
) -> AsyncIterator[RevenueCat]:
    """RevenueCat over one set of kept-alive connections, which are closed at the end.

    ``shared`` gives the book that the requests of a kind are booked in, together with those of others who use the key.
    Raises RevenueCatError when the key cannot be sent at all, and OwlRunnerError when the environment names a proxy that
    cannot be used.
    """
    # Checked here, because the complaint of whoever finds it out later would quote the key.
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise KeyRefused(
            "401", "RevenueCat's API key holds characters that no key has: set it again in the integration"
        )
    headers = {"authorization": f"Bearer {api_key}", "content-type": "application/json", "accept": "application/json"}
    # One line for each request at INFO would fill a run's log. An owner who set a level of his own keeps it.
    if logging.getLogger("httpx").level == logging.NOTSET:
        logging.getLogger("httpx").setLevel(logging.WARNING)
    proxy = owlrunner.proxy_for(settings.api_url)
    # Reading the machine's certificates takes a while, so it is done in a thread.
    certificates = await trio.to_thread.run_sync(httpx.create_ssl_context)
    limits = httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
    async with httpx.AsyncClient(
        headers=headers, timeout=settings.timeout, limits=limits, verify=certificates, proxy=proxy, trust_env=False
    ) as http:
        yield RevenueCat(http, settings, api_key, shared)


def _listed(ids: list[str]) -> str:
    """The first few ids, for a sentence."""
    return ", ".join(ids[:NAMED_AT_MOST]) + (", …" if len(ids) > NAMED_AT_MOST else "")


def _in_path(part: str) -> str:
    """An id as one segment of a path. ``$`` and ``:`` are encoded too, as RevenueCat wants them, and once only."""
    return quote(part, safe="")
