"""This is the room for the HTTP API as Python calls: one method per route, for the command line and for scripts.

Answers are the API's JSON as it came. It blocks, and knows neither Trio nor the database.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import httpx
from httpx_sse import connect_sse

from owlrunner.client.answers import ApiError, Json, object_of, run_of
from owlrunner.client.outages import Patience, Unreachable
from owlrunner.errors import ConfigError, OwlRunnerError
from owlrunner.proxies import proxy_for
from owlrunner.version import VERSION

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
"""Seconds between two looks at a run: short at first, because many runs are short."""
ENDED = frozenset({"completed", "failed", "cancelled"})

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


class Client:
    """One server's API, as the holder of one key. ``with Client(endpoint, api_key) as client``.

    Every method raises ApiError and Unreachable; the constructor ConfigError.
    """

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = _checked_endpoint(endpoint)
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        try:
            self._http = httpx.Client(
                headers={"authorization": f"Bearer {_checked_key(api_key)}", "user-agent": f"owlrunner/{VERSION}"},
                timeout=timeout,
                transport=transport,
                proxy=None if transport is not None else proxy_for(self._endpoint),
                verify=httpx.create_ssl_context(),
                trust_env=False,
            )
        except OSError as error:
            raise ConfigError(f"certificates (SSL_CERT_FILE, SSL_CERT_DIR) cannot be read: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def whoami(self) -> Json:
        """Who the key belongs to."""
        return self._ask("GET", "/v1/auth/whoami")

    def job_types(self) -> list[Json]:
        """The job types that a team can trigger."""
        return list(self._ask("GET", "/v1/job-types")["job_types"])

    def runs(self, team_id: str, **filters: str | int | None) -> Json:
        """One page of a team's runs: ``{job_runs, cursor, has_more}``.

        ``filters`` are the route's: job_type, status, project_id, since, until, cursor, limit.
        """
        query = {key: value for key, value in filters.items() if value is not None}
        return self._ask("GET", f"/v1/teams/{_part(team_id)}/jobs", query=query)

    def trigger(
        self,
        team_id: str,
        job_type: str,
        *,
        project_id: str | None = None,
        params: Json | None = None,
        notify: bool = False,
        run_at: str | None = None,
        priority: int | None = None,
    ) -> Json:
        """Create a pending run and return it."""
        optional = {"project_id": project_id, "params": params, "run_at": run_at, "priority": priority}
        body: Json = {"job_type": job_type} | {key: value for key, value in optional.items() if value is not None}
        if notify:
            body["notify"] = True
        return run_of(self._ask("POST", f"/v1/teams/{_part(team_id)}/jobs/trigger", body=body))

    def view(self, run_id: str) -> Json:
        """One run."""
        return run_of(self._ask("GET", f"/v1/jobs/{_part(run_id)}"))

    def cancel(self, run_id: str) -> None:
        """Ask for a run to be cancelled; its handler ends it."""
        self._ask("POST", f"/v1/jobs/{_part(run_id)}/cancel")

    def logs(self, run_id: str, *, after: str | None = None, limit: int | None = None) -> Json:
        """One page of a run's log: ``{logs, cursor, has_more}``; send ``cursor`` as ``after`` to go on, also later."""
        query = {key: value for key, value in (("after", after), ("limit", limit)) if value is not None}
        return self._ask("GET", f"/v1/jobs/{_part(run_id)}/logs", query=query)

    def watch(self, run_id: str, on_outage: Callable[[OwlRunnerError], None] = lambda _: None) -> Iterator[Json]:
        """Look at a run until it has ended, and yield it each time; the last one is the ended one.

        A server that goes away comes back, as a rule: that is told to ``on_outage``, and endured for OUTAGE_PATIENCE.

        Raises LostSight.
        """
        pause = FIRST_PAUSE
        while True:
            run = self._enduring(lambda: self.view(run_id), on_outage)
            yield run
            if run["status"] in ENDED:
                return
            self._sleep(pause)
            pause = min(pause * 1.25, LONGEST_PAUSE)

    def follow(
        self, team_id: str, on_outage: Callable[[OwlRunnerError], None] = lambda _: None, **filters: str | int | None
    ) -> Iterator[Json]:
        """Yield a team's newest runs, and from then on each one that has changed, for ever.

        ``filters`` are the route's: job_type, project_id, limit. A server that goes away comes back, as a rule: that is told
        to ``on_outage``, and endured for OUTAGE_PATIENCE.

        Raises LostSight.
        """
        url = f"{self._endpoint}/v1/teams/{_part(team_id)}/jobs/stream"
        query = {key: value for key, value in filters.items() if value is not None}
        patience = Patience(self._clock, self._sleep, on_outage)
        last_id = ""
        while True:
            headers = {"last-event-id": last_id} if last_id else {}
            try:
                with self._translated(), connect_sse(self._http, "GET", url, params=query, headers=headers) as source:
                    if not source.response.is_success:
                        source.response.read()
                        object_of(source.response)
                    for event in source.iter_sse():
                        patience.renew()
                        last_id = event.id
                        if event.event == "run":
                            yield run_of(event.json())
                # It ended in an orderly way: the server stops, or wants to be asked anew.
                self._sleep(FIRST_PAUSE)
            except (Unreachable, ApiError) as error:
                patience.endure(error)

    def all_logs(
        self, run_id: str, *, follow: bool = False, on_outage: Callable[[OwlRunnerError], None] = lambda _: None
    ) -> Iterator[Json]:
        """Yield a run's log lines in order; with ``follow`` until the run has ended. Raises LostSight."""
        after: str | None = None
        pause = FIRST_PAUSE
        while True:
            # Looked at before the lines are fetched: what an ended run has logged is all there.
            ended = not follow or self._enduring(lambda: self.view(run_id), on_outage)["status"] in ENDED
            more, came = True, False
            while more:
                page = self._enduring(lambda: self.logs(run_id, after=after, limit=1000), on_outage)  # noqa: B023
                yield from page["logs"]
                came = came or bool(page["logs"])
                after, more = page["cursor"], page["has_more"]
            if ended:
                return
            pause = FIRST_PAUSE if came else min(pause * 1.25, LONGEST_PAUSE)
            self._sleep(pause)

    def _enduring(self, ask: Callable[[], Json], on_outage: Callable[[OwlRunnerError], None]) -> Json:
        """Ask until there is an answer. Only for requests that change nothing."""
        patience = Patience(self._clock, self._sleep, on_outage)
        while True:
            try:
                return ask()
            except (Unreachable, ApiError) as error:
                patience.endure(error)

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Json | None = None
    ) -> Json:
        """Send one request and return the JSON object of a 2xx answer."""
        with self._translated():
            # Not merged by httpx's base_url, which would be one more way to lose the endpoint's own path.
            response = self._http.request(method, self._endpoint + path, params=query or None, json=body)
        return object_of(response)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Httpx's errors as ours."""
        try:
            yield
        except httpx.TimeoutException:
            raise Unreachable(f"{self._endpoint}: no answer within {self._timeout:g} seconds") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"endpoint {self._endpoint}: {error}") from None
        except httpx.HTTPError as error:
            why = _ERRNO.sub("", str(error)) or type(error).__name__
            raise Unreachable(f"{self._endpoint} cannot be reached: {why}") from None


def _part(text: str) -> str:
    """A value as one segment of a path."""
    return quote(text, safe="")


def _checked_endpoint(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
        sound = sound and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(f"endpoint: expected an address such as http://127.0.0.1:8321, got {text[:100]!r}")
    return text.strip().rstrip("/")


def _checked_key(text: str) -> str:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("API key: expected owl_agent_ and 48 hexadecimal digits, got something with other characters")
    return key
