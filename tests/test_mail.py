"""The mailer against a real mail server: plain, encrypted, with a login, and when the server is of no use."""

import base64
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from owlrunner import mail
from owlrunner.config import MailConfig
from owlrunner.errors import Undeliverable
from owlrunner.mail import Mailer, MailUnavailable
from owlrunner.name_resolution import RESOLVER, Addresses
from tests.mail_server import Serve, mail_config, mail_servers, only_owl, trusted_certificate


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start mail servers."""
    with mail_servers() as start:
        yield start


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate, by an authority that this process trusts."""
    context, file = trusted_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    return context


async def test_plain(serve: Serve) -> None:
    """A mail arrives with its subject, both bodies, a date, an id, and the one recipient."""
    mailbox, port = serve()
    await Mailer(mail_config(port)).send("ann@acme.test", "Hé 🦉", "text ñ\n", "<b>html</b>")
    ((sender, recipients, message, encrypted),) = mailbox.got
    assert (sender, recipients, encrypted) == ("owl@acme.test", ["ann@acme.test"], False)
    assert (message["from"], message["to"], message["subject"]) == ("Owl <owl@acme.test>", "ann@acme.test", "Hé 🦉")
    assert (message["auto-submitted"], message.get_content_type()) == ("auto-generated", "multipart/alternative")
    assert message["date"].datetime.tzinfo is not None
    assert message["message-id"].endswith("@acme.test>")
    text, html = (part for part in message.iter_parts() if isinstance(part, EmailMessage))
    assert (text.get_content_type(), text.get_content()) == ("text/plain", "text ñ\r\n")
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", "<b>html</b>")


async def test_a_given_message_id_is_kept(serve: Serve) -> None:
    """The same id gives the same Message-ID each time, at the sender's domain; without one no two mails share theirs."""
    mailbox, port = serve()
    mailer = Mailer(mail_config(port))
    for message_id in ("01a20ae1", "01a20ae1", "", ""):
        await mailer.send("ann@acme.test", "s", "t", message_id=message_id)
    first, again, other, another = (received.message["message-id"] for received in mailbox.got)
    assert first == again == "<01a20ae1@acme.test>"
    assert len({first, other, another}) == 3


async def test_starttls(serve: Serve, certificate: ssl.SSLContext) -> None:
    """With security starttls the mail travels encrypted, to a server whose certificate is good."""
    mailbox, port = serve(tls_context=certificate, require_starttls=True)
    await Mailer(mail_config(port, security="starttls")).send("ann@acme.test", "s", "t")
    assert [received.encrypted for received in mailbox.got] == [True]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_tls(serve: Serve, certificate: ssl.SSLContext) -> None:
    """With security tls the connection is encrypted from its first byte, and the login goes through it."""
    mailbox, port = serve(ssl_context=certificate, authenticator=only_owl, auth_required=True, auth_require_tls=False)
    await Mailer(mail_config(port, security="tls", username="owl", password="hunter2")).send("ann@acme.test", "s", "t")
    assert [received.encrypted for received in mailbox.got] == [True]


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_the_thread_that_sends_asks_no_resolver(
    serve: Serve, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    """The server was looked up before, the first of its addresses that answers is taken, and our own name is not looked up."""
    mailbox, port = serve(**({"ssl_context": certificate} if security == "tls" else {}))
    asked: list[object] = []

    async def addresses_of(*_: object, **__: object) -> Addresses:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        asked.append(host)
        return real(host, *arguments, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(type(RESOLVER), "getaddrinfo", addresses_of)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for lookup in ("getfqdn", "gethostbyname", "gethostbyaddr"):
        monkeypatch.setattr(socket, lookup, asked.append)
    await Mailer(mail_config(port, security=security)).send("ann@acme.test", "s", "t")
    assert len(mailbox.got) == 1
    assert asked == ["127.0.0.9", "127.0.0.1"]


@pytest.mark.parametrize(
    ("host_name", "greeting"),
    [("mail-7.acme.test", "mail-7.acme.test"), ("7c1d2f", "[127.0.0.1]"), (".", "[127.0.0.1]")],
)
async def test_the_greeting(serve: Serve, monkeypatch: pytest.MonkeyPatch, host_name: str, greeting: str) -> None:
    """The mail server is greeted with the host's full name, or with its address where the host has none."""
    mailbox, port = serve()
    monkeypatch.setattr(socket, "gethostname", lambda: host_name)
    await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")
    assert mailbox.greeted_as == [greeting]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_nobody_is_refused(
    serve: Serve, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    """A server whose certificate nobody vouches for gets no mail."""
    mailbox, port = serve(**{"tls_context" if security == "starttls" else "ssl_context": certificate})
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(MailUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await Mailer(mail_config(port, security=security)).send("ann@acme.test", "s", "t")
    assert mailbox.got == []


async def test_a_server_without_starttls_is_refused(serve: Serve) -> None:
    """When encryption is asked for and not to be had, nothing is sent."""
    mailbox, port = serve()
    with pytest.raises(MailUnavailable, match="STARTTLS"):
        await Mailer(mail_config(port, security="starttls")).send("ann@acme.test", "s", "t")
    assert mailbox.got == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_login(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """User name and password open the server; a wrong password is told as such, and stands in no message or log."""
    mailbox, port = serve(authenticator=only_owl, auth_required=True, auth_require_tls=False)
    caplog.set_level(logging.DEBUG, "owlrunner")
    await Mailer(mail_config(port, username="owl", password="hunter2")).send("ann@acme.test", "s", "t")
    with pytest.raises(MailUnavailable, match=r"refuses the login of mail\.username: 535") as refused:
        await Mailer(mail_config(port, username="owl", password="hunter3")).send("ann@acme.test", "s", "t")
    assert not isinstance(refused.value, Undeliverable)
    assert len(mailbox.got) == 1
    assert "hunter" not in caplog.text + str(refused.value) + repr(Mailer(mail_config(port, password="hunter3")))


async def test_a_password_that_cannot_be_sent_is_not_quoted(serve: Serve) -> None:
    """A password with letters beyond ASCII, which SMTP cannot carry, is told without a letter of it."""
    _, port = serve(authenticator=only_owl, auth_require_tls=False)
    with pytest.raises(MailUnavailable, match=r"mail\.password") as refused:
        await Mailer(mail_config(port, username="owl", password="hünter")).send("ann@acme.test", "s", "t")
    assert "ü" not in str(refused.value)
    assert "xfc" not in str(refused.value)


@pytest.mark.parametrize("shown", ["hunter2", "aHVudGVyMg==", base64.b64encode(b"\0owl\0hunter2").decode()])
async def test_a_server_that_repeats_the_password_is_not_quoted(serve: Serve, shown: str) -> None:
    """What a server says is told, but for the password in any form in which it was sent."""
    mailbox, port = serve(authenticator=only_owl, auth_require_tls=False)
    mailbox.refusals["MAIL"] = f"550 I know {shown} of you"
    with pytest.raises(MailUnavailable, match=r"I know \*\*\*\* of you"):
        await Mailer(mail_config(port, username="owl", password="hunter2")).send("ann@acme.test", "s", "t")


async def test_headers_cannot_be_injected(serve: Serve) -> None:
    """Line breaks in a subject become spaces, and an address with more in it is refused."""
    mailbox, port = serve()
    mailer = Mailer(mail_config(port))
    await mailer.send("ann@acme.test", "one\r\nBcc: eve@evil.test\x00\ud800", "a\x00b\ud800")
    ((_, recipients, message, _),) = mailbox.got
    assert (recipients, message["bcc"]) == (["ann@acme.test"], None)
    assert message["subject"].startswith("one  Bcc: eve@evil.test")
    for address in (
        "ann@acme.test\r\nBcc: eve@evil.test",
        "ann@acme.test, eve@evil.test",
        "ann",
        "",
        "Ann <ann@acme.test>",
    ):
        with pytest.raises(Undeliverable):
            await mailer.send(address, "s", "t")
    assert len(mailbox.got) == 1


@pytest.mark.parametrize(
    "address", ["ops@bücher.example", "ops@BÜCHER.example", "ops@xn--bcher-kva.example", "ops@bu\u0308cher.example"]
)
async def test_an_internationalised_domain_travels_in_ascii(serve: Serve, address: str) -> None:
    """Any mail server can take a domain in the form that DNS knows, in the envelope and in the headers."""
    mailbox, port = serve(enable_SMTPUTF8=False)
    config = attrs.evolve(mail_config(port), sender="Bücher <jobs@bücher.example>")
    await Mailer(config).send(address, "s", "t")
    ((sender, recipients, message, _),) = mailbox.got
    assert (sender, recipients) == ("jobs@xn--bcher-kva.example", ["ops@xn--bcher-kva.example"])
    assert (message["from"], message["to"]) == ("Bücher <jobs@xn--bcher-kva.example>", "ops@xn--bcher-kva.example")
    assert message["message-id"].endswith("@xn--bcher-kva.example>")


async def test_letters_before_the_at_sign_travel_where_the_server_takes_them(serve: Serve) -> None:
    """A mail server that offers SMTPUTF8 is given the address as it is."""
    mailbox, port = serve(enable_SMTPUTF8=True)
    await Mailer(mail_config(port)).send("jörg@bücher.example", "Grüße", "ü")
    ((_, recipients, message, _),) = mailbox.got
    assert recipients == ["jörg@xn--bcher-kva.example"]
    assert (message["to"], message["subject"]) == ("jörg@xn--bcher-kva.example", "Grüße")


async def test_letters_before_the_at_sign_are_refused_for_good_elsewhere(serve: Serve) -> None:
    """Without SMTPUTF8 no try would bring the mail to such a recipient; such a sender is the operator's to correct."""
    mailbox, port = serve(enable_SMTPUTF8=False)
    with pytest.raises(Undeliverable, match=r"cannot take jörg@acme\.test: .* SMTPUTF8, which it does not offer"):
        await Mailer(mail_config(port)).send("jörg@acme.test", "s", "t")
    mailer = Mailer(attrs.evolve(mail_config(port), sender="jörg@acme.test"))
    with pytest.raises(MailUnavailable, match=r"cannot take mail\.sender") as refused:
        await mailer.send("ann@acme.test", "s", "t")
    assert not isinstance(refused.value, Undeliverable)
    assert mailbox.got == []


@pytest.mark.parametrize("goodbye", ["250 OK", "421 closing", "500 what", "", None])
async def test_a_mail_that_was_taken_counts_as_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, goodbye: str | None
) -> None:
    """Whatever the mail server does at QUIT, odd answers, hanging up or silence: after 250 for the mail it is not sent again."""
    monkeypatch.setattr(mail, "QUIT_TIMEOUT", 0.2)
    mailbox, port = serve()
    mailbox.goodbye = goodbye
    await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")
    assert len(mailbox.got) == 1


async def test_a_goodbye_may_outlast_the_timeout(serve: Serve) -> None:
    """When the time for the mail is over while the server keeps silent at QUIT, the mail has been sent all the same."""
    mailbox, port = serve()
    mailbox.goodbye = None
    mailer = Mailer(mail_config(port, timeout=1.0))
    with trio.fail_after(10):
        await mailer.send("ann@acme.test", "s", "t")
    assert len(mailbox.got) == 1


async def test_handlers_that_fill_all_threads_do_not_hold_up_mail(serve: Serve) -> None:
    """Mail leaves, its server's name looked up, while every thread that Trio lends to handlers is blocked."""
    mailbox, port = serve()
    release = threading.Event()
    shared = trio.to_thread.current_default_thread_limiter()
    async with trio.open_nursery() as nursery:
        for _ in range(int(shared.total_tokens)):
            nursery.start_soon(lambda: trio.to_thread.run_sync(release.wait))
        try:
            await trio.testing.wait_all_tasks_blocked()
            assert shared.available_tokens == 0
            await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")
        finally:
            release.set()
    assert len(mailbox.got) == 1


async def test_a_silent_server_is_not_waited_for_by_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where as many mails are under way as may be, one more is refused at once."""
    monkeypatch.setattr(mail, "MAX_WAITING", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = mail_config(silent.getsockname()[1], timeout=5.0)
        mailer = Mailer(config)
        with trio.fail_after(4):
            async with trio.open_nursery() as nursery:
                for _ in range(mail.MAX_THREADS + 2):
                    nursery.start_soon(mailer.send, "ann@acme.test", "s", "t")
                while mailer._threads.statistics().tasks_waiting < 2:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                with pytest.raises(MailUnavailable, match="22 other mails are on their way already"):
                    await mailer.send("ann@acme.test", "s", "t")
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RCPT", "550 no such user here"),
        ("RCPT", "553 mailbox name not allowed"),
        ("RCPT", "550 5.1.1 user unknown"),
        ("RCPT", "554 5.1.1 user unknown"),
        ("RCPT", "550 5.2.1 mailbox disabled"),
    ],
)
async def test_an_address_that_is_refused_for_good_is_told_apart(serve: Serve, command: str, reply: str) -> None:
    """Where the mail server says that there is no such address, no further try is worth it."""
    mailbox, port = serve()
    mailbox.refusals[command] = reply
    with pytest.raises(Undeliverable, match=f"refuses ann@acme.test: {reply}"):
        await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")
    assert mailbox.got == []


@pytest.mark.parametrize(
    ("command", "reply", "told"),
    [
        ("RCPT", "450 try again later", "refuses ann@acme.test"),
        ("RCPT", "451 4.1.1 greylisted", "refuses ann@acme.test"),
        ("RCPT", "552 mailbox full", "refuses ann@acme.test"),
        ("RCPT", "550 5.2.2 mailbox full", "refuses ann@acme.test"),
        ("RCPT", "554 5.7.1 relay access denied", "refuses ann@acme.test"),
        ("RCPT", "550 5.1.8 sender's domain not found", "refuses ann@acme.test"),
        ("RCPT", "530 authentication required", "refuses ann@acme.test"),
        ("MAIL", "550 5.1.8 who are you", r"refuses mail\.sender"),
        ("MAIL", "452 disk full", r"refuses mail\.sender"),
        ("DATA", "554 no owls", "refuses the mail"),
        ("DATA", "451 later", "refuses the mail"),
    ],
)
async def test_any_other_refusal_is_worth_another_try(serve: Serve, command: str, reply: str, told: str) -> None:
    """A refusal that is not of the address can be repaired by somebody, and what the server says is in the error."""
    mailbox, port = serve()
    mailbox.refusals[command] = reply
    with pytest.raises(MailUnavailable, match=f"mail server localhost:{port} {told}: {reply}") as refused:
        await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")
    assert not isinstance(refused.value, Undeliverable)


async def test_nobody_there() -> None:
    """A server that cannot be reached is an error with its name, not a crash."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(MailUnavailable, match=f"mail server localhost:{port}"):
            await Mailer(mail_config(port)).send("ann@acme.test", "s", "t")


async def test_a_silent_server_is_given_up() -> None:
    """A server that accepts and then says nothing costs the timeout at most, and blocks nobody else meanwhile."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mailer = Mailer(mail_config(silent.getsockname()[1], timeout=0.2))
        with trio.fail_after(5), pytest.raises(MailUnavailable):
            await mailer.send("ann@acme.test", "s", "t")


async def test_without_a_host_mail_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without a mail server the mail can be read in the log."""
    caplog.set_level(logging.INFO, "owlrunner.mail")
    await Mailer(MailConfig()).send("ann@acme.test", "Your code", "It is 123456.")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("owlrunner.mail", "INFO")
    assert record.getMessage() == "mail to ann@acme.test: Your code\nIt is 123456."
