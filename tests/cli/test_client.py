"""The HTTP API as Python calls, against a server that answers as each test says."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from owlrunner.client import OUTAGE_PATIENCE, ApiError, Client, LostSight, Unreachable
from owlrunner.errors import ConfigError

Answer = httpx.Response | Exception


class Script:
    """Answers in turn, the last one for ever, and a clock that only sleeping moves on."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.now = 0.0
        self.slept: list[float] = []

    def client(self, endpoint: str = "http://owl.test") -> Client:
        return Client(
            endpoint,
            "owl_agent_x",
            transport=httpx.MockTransport(self._answer),
            sleep=self._sleep,
            clock=lambda: self.now,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def run(status: str, **fields: Any) -> httpx.Response:
    """The answer that holds a run."""
    return httpx.Response(200, json={"job_run": {"id": "r", "status": status, **fields}})


def test_requests_are_those_of_the_wire_format() -> None:
    """Path, query, body and credential are what the API's contract says; what was not given is not sent."""
    script = Script(run("pending"))
    with script.client() as client:
        client.trigger("t", "greet", project_id="p", params={"a": "1"}, notify=True)
        client.trigger("t", "greet")
    with_all, bare = script.requests
    assert (with_all.method, str(with_all.url)) == ("POST", "http://owl.test/v1/teams/t/jobs/trigger")
    assert with_all.headers["authorization"] == "Bearer owl_agent_x"
    assert with_all.content == b'{"job_type":"greet","project_id":"p","params":{"a":"1"},"notify":true}'
    assert bare.content == b'{"job_type":"greet"}'


def test_ids_cannot_change_the_path() -> None:
    """What stands for an id is encoded, and a path of the endpoint's own is kept."""
    script = Script(run("completed"))
    with script.client("http://owl.test/owls/") as client:
        client.view("../x?y")
    assert script.requests[0].url.raw_path == b"/owls/v1/jobs/..%2Fx%3Fy"


def test_refusal_carries_what_the_server_said() -> None:
    """An error answer becomes an ApiError with status, message, the run that holds the slot, and when to come back."""
    script = Script(
        httpx.Response(409, json={"error": "taken", "existing_run_id": "r"}),
        httpx.Response(429, headers={"retry-after": "7"}, json={}),
    )
    with script.client() as client:
        with pytest.raises(ApiError, match=r"^API error \(409\): taken$") as refused:
            client.trigger("t", "greet")
        assert (refused.value.status, refused.value.existing_run_id) == (409, "r")
        with pytest.raises(ApiError) as refused:
            client.view("r")
        assert refused.value.retry_after == 7


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="nginx"), httpx.Response(200, json={})]
)
def test_foreign_server_is_told_apart(answer: httpx.Response) -> None:
    """An answer that is none of OwlRunner's is an ApiError that says so."""
    with Script(answer).client() as client, pytest.raises(ApiError, match="OwlRunner server"):
        client.view("r")


@pytest.mark.parametrize(
    "endpoint", ["", "owl.test", "ftp://owl.test", "http://", "http://owl.test:x", "http://owl.test?x=1"]
)
def test_bad_endpoint_is_refused(endpoint: str) -> None:
    """An endpoint that is no http address is refused before anything is sent."""
    with pytest.raises(ConfigError, match="endpoint"):
        Client(endpoint, "owl_agent_x")


@pytest.mark.parametrize("key", ["", " ", "two words", "k\u00e9y", "a\nb"])
def test_bad_key_is_refused(key: str) -> None:
    """A key that no header can hold is refused, and not repeated in the message."""
    with pytest.raises(ConfigError) as refused:
        Client("http://owl.test", key)
    assert not key.strip() or key not in str(refused.value)


def test_watching_ends_with_the_run() -> None:
    """A watched run is yielded at every look, the looks get rarer, and the last one is the ended run."""
    script = Script(run("pending"), *[run("running")] * 20, run("completed"))
    with script.client() as client:
        seen = [one["status"] for one in client.watch("r")]
    assert seen == ["pending", *["running"] * 20, "completed"]
    assert script.slept[0] == 0.25
    assert script.slept == sorted(script.slept)
    assert script.slept[-1] == 2


def test_watching_survives_an_outage() -> None:
    """Connection errors and 503 are told and endured; Retry-After is honoured."""
    away = httpx.Response(503, headers={"retry-after": "3"}, json={"error": "later"})
    script = Script(run("running"), httpx.ConnectError("[Errno 111] Connection refused"), away, run("completed"))
    told: list[str] = []
    with script.client() as client:
        seen = [one["status"] for one in client.watch("r", lambda error: told.append(str(error)))]
    assert seen == ["running", "completed"]
    assert told == ["http://owl.test cannot be reached: Connection refused", "API error (503): later"]
    assert 3 in script.slept


def test_watching_gives_up_on_a_dead_server() -> None:
    """A server that stays away is given up after the patience is over, and not before."""
    script = Script(run("running"), httpx.ConnectError("gone"))
    with script.client() as client, pytest.raises(LostSight, match="gone"):
        list(client.watch("r"))
    assert OUTAGE_PATIENCE <= script.now < OUTAGE_PATIENCE + 10


def test_watching_does_not_endure_a_refusal() -> None:
    """What waiting cannot cure is raised at once."""
    script = Script(run("running"), httpx.Response(401, json={"error": "Invalid API key"}))
    with script.client() as client, pytest.raises(ApiError, match="Invalid API key"):
        list(client.watch("r"))


def test_only_looking_is_repeated() -> None:
    """A trigger whose answer was lost is not sent again: the run may be there already."""
    script = Script(httpx.ReadTimeout("slow"), run("pending"))
    with script.client() as client, pytest.raises(Unreachable, match="no answer within 30 seconds"):
        client.trigger("t", "greet")
    assert len(script.requests) == 1


def _pages(*pages: tuple[list[str], bool]) -> Iterator[httpx.Response]:
    number = 0
    for messages, more in pages:
        number += len(messages)
        lines = [{"message": message} for message in messages]
        yield httpx.Response(200, json={"logs": lines, "cursor": f"1.{number}" if number else None, "has_more": more})


def test_logs_come_from_all_pages() -> None:
    """A log of several pages is read to its end, each page after the last line of the one before."""
    script = Script(*_pages((["a", "b"], True), (["c"], False)))
    with script.client() as client:
        assert [line["message"] for line in client.all_logs("r")] == ["a", "b", "c"]
    assert [request.url.params.get("after") for request in script.requests] == [None, "1.2"]


def test_followed_logs_miss_nothing_at_the_end() -> None:
    """Following looks at the run before the lines, so that the last lines of an ended run are printed."""
    first, empty, last = _pages((["a"], False), ([], False), (["z"], False))
    script = Script(run("running"), first, run("running"), empty, run("completed"), last)
    with script.client() as client:
        assert [line["message"] for line in client.all_logs("r", follow=True)] == ["a", "z"]


def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not asked for servers on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    ask: Callable[[str], object] = lambda endpoint: Client(endpoint, "owl_agent_x").whoami()  # noqa: E731
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:2 cannot be reached"):
        ask("http://127.0.0.1:2")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HTTPS_PROXY", "http://proxy:hunter2", "environment variable HTTPS_PROXY: expected a proxy's address"),
        ("ALL_PROXY", "nonsense://hunter2", "environment variable ALL_PROXY: expected a proxy's address"),
        ("SSL_CERT_FILE", "/nonexistent.pem", "certificates .SSL_CERT_FILE, SSL_CERT_DIR. cannot be read"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    """A proxy or certificates of which no use can be made are told by their variable, and not quoted."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"^{told}") as refused:
        Client("https://owl.test", "owl_agent_x")
    assert "hunter2" not in str(refused.value)


def test_networks_in_no_proxy_harm_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that clusters put into NO_PROXY are understood, and the proxy is asked for everything else."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
    with Client("http://owl.invalid", "owl_agent_x") as client, pytest.raises(Unreachable, match="Connection refused"):
        client.whoami()


def stream(*events: str) -> httpx.Response:
    """The answer that tells events, and ends."""
    return httpx.Response(200, text="".join(events), headers={"content-type": "text/event-stream"})


def told(run_id: str, *, identity: str = "") -> str:
    """An event that a run has changed."""
    first = f"id: {identity}\n" if identity else ""
    return f'event: run\n{first}data: {{"job_run": {{"id": "{run_id}", "status": "running"}}}}\n\n'


def test_a_stream_that_ends_goes_on_where_it_was() -> None:
    """Following a team asks anew from the last event on, passes over what is no run, and endures an outage."""
    script = Script(
        stream("retry: 2000\n\n", told("a"), told("b", identity="x1"), ": nothing new\n\n"),
        httpx.ConnectError("refused"),
        httpx.Response(503, json={"error": "no database"}),
        stream(told("c", identity="x2"), "event: over\ndata:\n\n"),
        httpx.Response(403, json={"error": "Missing permission: jobs:read"}),
    )
    outages: list[str] = []
    with script.client() as client:
        runs = client.follow("t", lambda error: outages.append(str(error)), job_type="greet", project_id=None)
        assert [run["id"] for run in itertools.islice(runs, 3)] == ["a", "b", "c"]
        with pytest.raises(ApiError, match="jobs:read"):
            next(runs)
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "x1", "x1", "x1", "x2"]
    assert str(script.requests[0].url) == "http://owl.test/v1/teams/t/jobs/stream?job_type=greet"
    assert len(outages) == 2


def test_a_team_is_not_followed_for_ever_into_the_void() -> None:
    """When the server stays away for too long, following ends with a sentence."""
    script = Script(stream(told("a")), httpx.ConnectError("refused"))
    with script.client() as client, pytest.raises(LostSight):
        list(client.follow("t"))
    assert sum(script.slept) >= OUTAGE_PATIENCE
