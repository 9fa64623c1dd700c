"""The notifier ``webhook``: what arrives at a receiver, who can tell that it is genuine, and what its answers mean."""

import base64
import functools
import hashlib
import hmac
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import owlrunner
import owlrunner_webhook
from owlrunner.config import load_config
from owlrunner.errors import ConfigError, OwlRunnerError, PluginError, Undeliverable
from owlrunner.job_run import RunStatus
from owlrunner.plugins import build_catalog
from owlrunner_webhook.message import signed
from tests.mail_server import trusted_certificate
from tests.plugins.ended_run import (
    LINK,
    NOTIFICATION_ID,
    PROJECT_ID,
    RUN_ID,
    TEAM_ID,
    ended_run,
    missed_alert,
    notification,
)
from tests.plugins.receiver import Receiver, answer

KEY = bytes(range(32))
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def offered(**table: Any) -> dict[str, owlrunner.Notifier]:
    """The plugin's notifiers, as the server gets them."""
    return dict(build_catalog({"webhook": ("here", owlrunner_webhook, table)}).notifiers)


def notifier(url: str, **table: Any) -> owlrunner.Notifier:
    """The notifier for an address."""
    return offered(url=url, secret=SECRET, **table)["webhook"]


@pytest.fixture
def receiver() -> Receiver:
    """A receiver that takes everything."""
    return Receiver()


@pytest.fixture
async def port(receiver: Receiver, nursery: trio.Nursery) -> int:
    """Where it listens."""
    return int(await nursery.start(receiver.serve))


@pytest.fixture
def url(port: int) -> str:
    """Its address."""
    return f"http://127.0.0.1:{port}/hooks/owl"


async def test_the_event_says_how_the_run_ended(receiver: Receiver, url: str) -> None:
    """One POST of JSON with the run as the API shows it, in order, with the names of project and team; without its params."""
    await notifier(url).send(notification())
    (request,) = receiver.got
    assert (request.line, request.headers["content-type"]) == ("POST /hooks/owl HTTP/1.1", "application/json")
    wanted = {
        "id": str(NOTIFICATION_ID),
        "type": "job.completed",
        "attempt": 1,
        "created_at": "2026-03-28T20:04:03.123Z",
        "recipient": "ann@acme.test",
        "job_run": {
            "id": str(RUN_ID),
            "job_type": "revenuecat_sync",
            "label": "RevenueCat Sync",
            "status": "completed",
            "team_id": str(TEAM_ID),
            "team": "Acme",
            "project_id": str(PROJECT_ID),
            "project": "Shop",
            "triggered_by": "manual:user:01a20ae1-7777-7b2c-8fd7-6d3e0c1b7f10",
            "progress": {"processed": 3, "total": 3, "message": "Synced 3 users"},
            "result": {"synced": 3, "failed": 0},
            "error": None,
            "started_at": "2026-03-28T20:00:01.123Z",
            "completed_at": "2026-03-28T20:04:03.123Z",
            "created_at": "2026-03-28T20:00:00.123Z",
        },
        "link": LINK,
    }
    assert json.dumps(json.loads(request.body)) == json.dumps(wanted)
    assert b"sk_in_params" not in request.body


async def test_an_alert_about_schedules_is_an_event_of_its_own(receiver: Receiver, url: str) -> None:
    """It has no run and no link, and for each schedule the numbers, the span of time and the reasons."""
    await notifier(url).send(missed_alert("nightly"))
    wanted = {
        "id": str(NOTIFICATION_ID),
        "type": "schedules.missed",
        "attempt": 1,
        "created_at": "2026-03-28T20:00:00.123Z",
        "recipient": "ops@acme.test",
        "schedules": [
            {
                "schedule": "nightly",
                "job_type": "tidy",
                "missed": 1,
                "late": 1,
                "at_least": False,
                "first": "2026-03-28T20:00:00.123Z",
                "last": "2026-03-28T21:00:00.123Z",
                "reasons": ["no server was running"],
            }
        ],
    }
    assert json.dumps(json.loads(receiver.got[0].body)) == json.dumps(wanted)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED])
async def test_a_bad_end_is_an_event_of_its_own(receiver: Receiver, url: str, status: RunStatus) -> None:
    """Failed and cancelled runs have types of their own; what is not known is null."""
    run = ended_run(status=status, error='é "q" 🦉\n', result=None, started_at=None, team_id=None, project_id=None)
    await notifier(url).send(notification(run, project=None, team=None, link=None, attempt=4))
    told = json.loads(receiver.got[0].body)
    assert (told["type"], told["attempt"], told["link"]) == (f"job.{status.value}", 4, None)
    assert (told["job_run"]["error"], told["job_run"]["started_at"]) == ('é "q" 🦉\n', None)


async def test_a_receiver_can_tell_that_it_is_genuine(receiver: Receiver, url: str) -> None:
    """The signature is the HMAC-SHA256 of id, time and the very bytes of the body, as Standard Webhooks has it."""
    before = int(time.time())
    await notifier(url).send(notification())
    (request,) = receiver.got
    message_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert message_id == str(NOTIFICATION_ID)
    assert before <= int(timestamp) <= time.time()
    digest = hmac.digest(KEY, f"{message_id}.{timestamp}.".encode() + request.body, "sha256")
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert base64.b64decode(SECRET.removeprefix("whsec_")) == KEY


def test_the_signature_is_hmac_step_by_step() -> None:
    """It equals the construction of RFC 2104, written out with nothing but SHA-256."""
    block = KEY.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + b'msg_1.1674087231.{"a":1}').digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    assert signed("msg_1", 1674087231, b'{"a":1}', KEY) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1674087231",
        "webhook-signature": f"v1,{base64.b64encode(outer).decode()}",
    }


async def test_a_second_try_keeps_the_id(receiver: Receiver, url: str) -> None:
    """The id is the same at every try, so that a receiver can tell that it has the event; the body counts the tries."""
    sender = notifier(url)
    await sender.send(notification())
    await sender.send(notification(attempt=2))
    assert {request.headers["webhook-id"] for request in receiver.got} == {str(NOTIFICATION_ID)}
    assert [json.loads(request.body)["attempt"] for request in receiver.got] == [1, 2]


@pytest.mark.parametrize("status", [200, 202, 299])
async def test_a_status_of_success_is_delivered(receiver: Receiver, url: str, status: int) -> None:
    """Any status from 200 to 299 counts as delivered."""
    receiver.answer = answer(status)
    await notifier(url).send(notification())
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [300, 301, 307, 400, 401, 404, 429, 500, 502, 503])
async def test_any_other_status_is_worth_another_try(receiver: Receiver, port: int, url: str, status: int) -> None:
    """A redirect is not followed, and no status but 410 ends the trying."""
    receiver.answer = answer(status, f"location: http://127.0.0.1:{port}/elsewhere", "retry-after: 0")
    with pytest.raises(OwlRunnerError, match=f"webhook receiver 127.0.0.1:{port} answered {status}$") as refused:
        await notifier(url).send(notification())
    assert not isinstance(refused.value, Undeliverable)
    assert [request.line for request in receiver.got] == ["POST /hooks/owl HTTP/1.1"]


async def test_gone_ends_the_trying(receiver: Receiver, url: str) -> None:
    """A receiver that answers 410 wants no more of it."""
    receiver.answer = answer(410)
    with pytest.raises(Undeliverable, match="answered 410"):
        await notifier(url).send(notification())


async def test_a_silent_receiver_is_given_up(receiver: Receiver, url: str) -> None:
    """A receiver that does not answer costs the timeout at most, and is tried again."""
    receiver.silent = True
    with trio.fail_after(5), pytest.raises(OwlRunnerError, match=r"did not answer within 0\.1 seconds") as refused:
        await notifier(url, timeout=0.1).send(notification())
    assert not isinstance(refused.value, Undeliverable)


async def test_an_answer_that_trickles_in_is_given_up(receiver: Receiver, url: str) -> None:
    """A head without end costs the timeout at most, however often a little of it comes."""
    receiver.answer, receiver.endless = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"
    with trio.fail_after(5), pytest.raises(OwlRunnerError, match=r"did not answer within 0\.2 seconds"):
        await notifier(url, timeout=0.2).send(notification())


async def test_what_a_receiver_says_besides_is_not_read(receiver: Receiver, url: str) -> None:
    """A body without end is left where it is: the status is what counts, and the connection is closed."""
    receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"
    receiver.endless = b"x" * 65536
    with trio.fail_after(5):
        await notifier(url).send(notification())
        await receiver.hung_up.wait()


async def test_nobody_there() -> None:
    """An address at which nobody listens is told by host and port, and tried again."""
    with trio.socket.socket() as nobody:
        await nobody.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(OwlRunnerError, match=f"webhook receiver {where} cannot be reached: ") as refused:
            await notifier(f"http://{where}/").send(notification())
    assert not isinstance(refused.value, Undeliverable)


async def test_a_proxy_of_the_environment_is_used(
    receiver: Receiver, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event goes through the proxy, also where NO_PROXY names networks, and directly to a receiver that NO_PROXY names."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
    await notifier("http://receiver.invalid/hook").send(notification())
    assert [request.line for request in receiver.got] == ["POST http://receiver.invalid/hook HTTP/1.1"]
    monkeypatch.setenv("NO_PROXY", "invalid")
    with pytest.raises(OwlRunnerError, match=r"receiver\.invalid cannot be reached"):
        await notifier("http://receiver.invalid/hook").send(notification())


def test_a_proxy_that_cannot_be_used_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that could never be delivered is told when the server starts, by the variable's name."""
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:hunter2@proxy:port")
    with pytest.raises(ConfigError, match=r"^environment variable HTTPS_PROXY: expected a proxy's address") as refused:
        notifier("https://x.test/hook")
    assert "hunter2" not in str(refused.value)
    assert offered() == {}


async def test_certificates_that_cannot_be_read_are_told(
    receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of certificates that is not there is told by the variable, and the event is tried again."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with pytest.raises(OwlRunnerError, match="SSL_CERT_FILE") as refused:
        await notifier(url).send(notification())
    assert not isinstance(refused.value, Undeliverable)


async def test_only_good_certificates_are_trusted(
    receiver: Receiver, nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By https the event goes to a receiver whose certificate somebody vouches for, and to no other."""
    certificate, file = trusted_certificate(tmp_path)
    port = await nursery.start(functools.partial(receiver.serve, tls=certificate))
    with pytest.raises(OwlRunnerError, match="CERTIFICATE_VERIFY_FAILED"):
        await notifier(f"https://localhost:{port}/").send(notification())
    assert receiver.got == []
    monkeypatch.setenv("SSL_CERT_FILE", file)
    await notifier(f"https://localhost:{port}/").send(notification())
    assert len(receiver.got) == 1


async def test_user_name_and_query_are_sent_and_told_to_nobody(
    receiver: Receiver, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is secret in the address, and the secret itself, reach the receiver alone: no error, log line or repr has them."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.NOTSET, name)
    sender = notifier(f"http://bob:hunter2@127.0.0.1:{port}/T0KEN?key=qu3ry")
    told = [repr(sender)]
    await sender.send(notification())
    for receiver.echo in (False, True):
        receiver.answer = answer(500)
        with pytest.raises(OwlRunnerError) as refused:
            await sender.send(notification())
        told.append(f"{refused.value!r} {refused.value.__cause__!r}")
    assert [request.line for request in receiver.got] == ["POST /T0KEN?key=qu3ry HTTP/1.1"] * 3
    assert receiver.got[0].headers["authorization"] == "Basic " + base64.b64encode(b"bob:hunter2").decode()
    for secret in ("hunter2", "qu3ry", "T0KEN", SECRET, "AAECAwQF", receiver.got[0].headers["authorization"][6:]):
        assert secret not in "".join(told)
        assert secret not in caplog.text


def test_without_an_address_there_is_no_webhook() -> None:
    """Nothing is offered until a url is set, though a secret may be there already."""
    assert offered() == {}
    assert offered(secret=SECRET) == {}
    assert list(offered(url="http://x.test", secret=SECRET)) == ["webhook"]


def test_the_secret_may_come_from_the_environment(tmp_path: Path) -> None:
    """OWLRUNNER_PLUGINS__WEBHOOK__SECRET is the secret, and text is read as the number that timeout wants."""
    file = tmp_path / "owlrunner.toml"
    file.write_text('[plugins.webhook]\nurl = "https://x.test/hook"')
    variables = {"OWLRUNNER_PLUGINS__WEBHOOK__SECRET": SECRET, "OWLRUNNER_PLUGINS__WEBHOOK__TIMEOUT": "2.5"}
    assert list(offered(**load_config(file, variables).plugins["webhook"])) == ["webhook"]


@pytest.mark.parametrize("size", [24, 64])
def test_secrets_of_every_length_that_the_standard_has_are_taken(size: int) -> None:
    """24 to 64 bytes are enough and not too many."""
    assert offered(url="http://x.test", secret="whsec_" + base64.b64encode(bytes(size)).decode())


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"url": "https://x.test"}, "secret must be set where url is .OWLRUNNER_PLUGINS__WEBHOOK__SECRET."),
        ({"secret": "hunter2-hunter2-hunter2-hunter2"}, "secret must be whsec_ and then, in base64, 24 to 64 random"),
        ({"secret": "whsec_hunter2!" + "A" * 32}, "secret must be whsec_"),
        ({"secret": "whsec_hünter2" + "A" * 32}, "secret must be whsec_"),
        ({"secret": SECRET.removeprefix("whsec_")}, "secret must be whsec_"),
        ({"secret": "whsec_" + base64.b64encode(bytes(23)).decode()}, "secret must be whsec_"),
        ({"secret": "whsec_" + base64.b64encode(bytes(65)).decode()}, "secret must be whsec_"),
        ({"url": "x.test/hook"}, "url must be an http or https address"),
        ({"url": "ftp://x.test/hunter2"}, "url must be an http or https address"),
        ({"url": "https:///hook"}, "url must be an http or https address"),
        ({"url": "https://x.test:99999/hunter2"}, "url must be an http or https address"),
        ({"url": "https://x.test:hunter2/"}, "url must be an http or https address"),
        ({"url": "https://u:hunter2@x.test/a b"}, "url must be an http or https address"),
        ({"url": "https://x.test/\nhunter2"}, "url must be an http or https address"),
        ({"url": "https://x.test/#hunter2"}, "url must be an http or https address"),
        ({"timeout": 0}, "timeout must be a finite number of seconds above 0, got 0"),
        ({"timeout": float("inf")}, "timeout must be a finite number of seconds above 0"),
        ({"urls": []}, "urls: unknown key"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(table: dict[str, Any], complaint: str) -> None:
    """A setting that is missing, malformed or unknown is refused by name, and quoted only where it holds no secret."""
    with pytest.raises(PluginError, match=f"^plugins.webhook.*{complaint}") as refused:
        offered(**table)
    assert "hunter2" not in str(refused.value)
