"""The mailer against a real mail server: plain, encrypted, with a login, and when the server is of no use."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from owlrunner.config import MailConfig
from owlrunner.mail import Mailer, MailUnavailable


class Mailbox:
    """What the server was given: (envelope sender, envelope recipients, message, whether encrypted)."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str], Message, bool]] = []
        self.refusal: str | None = None

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusal:
            return self.refusal
        self.got.append(
            (envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content), session.ssl is not None)
        )
        return "250 OK"


Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start mail servers on free ports of the loopback."""
    running = []

    def start(**options: Any) -> tuple[Mailbox, int]:
        mailbox = Mailbox()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        controller = Controller(mailbox, hostname="127.0.0.1", port=port, loop=asyncio.new_event_loop(), **options)
        controller.start()
        running.append(controller)
        return mailbox, port

    yield start
    for controller in running:
        controller.stop()
        controller.loop.close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate that is good for localhost, by an authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def config(port: int, **more: Any) -> MailConfig:
    options: dict[str, Any] = {"security": "none", "timeout": 10.0} | more
    return MailConfig(host="localhost", port=port, sender="Owl <owl@acme.test>", **options)


async def test_plain(serve: Serve) -> None:
    """A mail arrives with its subject, both bodies, a date, an id, and the one recipient."""
    mailbox, port = serve()
    await Mailer(config(port)).send("ann@acme.test", "Hé 🦉", "text ñ\n", "<b>html</b>")
    ((sender, recipients, message, encrypted),) = mailbox.got
    parts = message.get_payload()
    assert (sender, recipients, encrypted) == ("owl@acme.test", ["ann@acme.test"], False)
    assert (message["from"], message["to"]) == ("Owl <owl@acme.test>", "ann@acme.test")
    assert message["date"]
    assert message["message-id"].endswith("@acme.test>")
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts if isinstance(part, Message)] == ["text/plain", "text/html"]
    assert "text ñ" in parts[0].get_payload(decode=True).decode()  # type: ignore[union-attr]


async def test_starttls(serve: Serve, certificate: ssl.SSLContext) -> None:
    """With security starttls the mail travels encrypted, to a server whose certificate is good."""
    mailbox, port = serve(tls_context=certificate, require_starttls=True)
    await Mailer(config(port, security="starttls")).send("ann@acme.test", "s", "t")
    assert [encrypted for *_, encrypted in mailbox.got] == [True]


async def test_a_certificate_of_nobody_is_refused(
    serve: Serve, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose certificate nobody vouches for gets no mail."""
    mailbox, port = serve(tls_context=certificate)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(MailUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await Mailer(config(port, security="starttls")).send("ann@acme.test", "s", "t")
    assert mailbox.got == []


async def test_a_server_without_starttls_is_refused(serve: Serve) -> None:
    """When encryption is asked for and not to be had, nothing is sent."""
    mailbox, port = serve()
    with pytest.raises(MailUnavailable, match="STARTTLS"):
        await Mailer(config(port, security="starttls")).send("ann@acme.test", "s", "t")
    assert mailbox.got == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_login(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """User name and password open the server; a wrong password is told as such, and stands in no message or log."""

    def check(*args: Any) -> AuthResult:
        data = args[-1]
        return AuthResult(success=(data.login, data.password) == (b"owl", b"hunter2"), handled=False)

    mailbox, port = serve(authenticator=check, auth_required=True, auth_require_tls=False)
    caplog.set_level(logging.DEBUG, "owlrunner")
    await Mailer(config(port, username="owl", password="hunter2")).send("ann@acme.test", "s", "t")
    with pytest.raises(MailUnavailable, match="535") as refused:
        await Mailer(config(port, username="owl", password="hunter3")).send("ann@acme.test", "s", "t")
    assert len(mailbox.got) == 1
    assert "hunter" not in caplog.text + str(refused.value) + repr(Mailer(config(port, password="hunter3")))


async def test_headers_cannot_be_injected(serve: Serve) -> None:
    """Line breaks in a subject become spaces, and an address with more in it is refused."""
    mailbox, port = serve()
    mailer = Mailer(config(port))
    await mailer.send("ann@acme.test", "one\r\nBcc: eve@evil.test\x00\ud800", "a\x00b\ud800")
    ((_, recipients, message, _),) = mailbox.got
    assert (recipients, message["bcc"]) == (["ann@acme.test"], None)
    assert "\n" not in message["subject"].replace("\r\n ", "")
    for address in (
        "ann@acme.test\r\nBcc: eve@evil.test",
        "ann@acme.test, eve@evil.test",
        "ann",
        "",
        "Ann <ann@acme.test>",
        "änn@acme.test",
    ):
        with pytest.raises(MailUnavailable):
            await mailer.send(address, "s", "t")
    assert len(mailbox.got) == 1


async def test_a_refusal_is_told(serve: Serve) -> None:
    """What the server says when it refuses a mail is in the error."""
    mailbox, port = serve()
    mailbox.refusal = "554 no owls"
    with pytest.raises(MailUnavailable, match="no owls"):
        await Mailer(config(port)).send("ann@acme.test", "s", "t")


async def test_nobody_there() -> None:
    """A server that cannot be reached is an error with its name, not a crash."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(MailUnavailable, match=f"mail server localhost:{port}"):
            await Mailer(config(port)).send("ann@acme.test", "s", "t")


async def test_a_silent_server_is_given_up() -> None:
    """A server that accepts and then says nothing costs the timeout at most, and blocks nobody else meanwhile."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mailer = Mailer(config(silent.getsockname()[1], timeout=0.2))
        with trio.fail_after(5), pytest.raises(MailUnavailable):
            await mailer.send("ann@acme.test", "s", "t")


async def test_without_a_host_mail_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without a mail server the mail can be read in the log."""
    caplog.set_level(logging.INFO, "owlrunner.mail")
    await Mailer(MailConfig()).send("ann@acme.test", "Your code", "It is 123456.")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("owlrunner.mail", "INFO")
    assert record.getMessage() == "mail to ann@acme.test: Your code\nIt is 123456."
