"""A real mail server on the loopback, for whoever sends mail in a test."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from owlrunner.config import MailConfig


class Received(NamedTuple):
    """One mail as it came: envelope, parsed message, whether it travelled encrypted."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool


class Mailbox:
    """What the server was given, and what it refuses: by the command, the answer that it gets."""

    def __init__(self) -> None:
        self.got: list[Received] = []
        self.greeted_as: list[str] = []
        """The name by which each sender of a mail introduced itself."""
        self.refusals: dict[str, str] = {}
        self.goodbye: str | None = "221 Bye"
        """What it answers to QUIT: nothing at all when it is None, and when it is empty it just hangs up."""

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        """Take the sender or refuse it."""
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.refusals.get("MAIL", "250 OK")

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        """Take the recipient or refuse it."""
        if "RCPT" not in self.refusals:
            envelope.rcpt_tos.append(address)
        return self.refusals.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Take the mail or refuse it."""
        if "DATA" not in self.refusals:
            message = message_from_bytes(envelope.content, policy=policy.default)
            encrypted = server.transport.get_extra_info("ssl_object") is not None
            self.greeted_as.append(session.host_name)
            self.got.append(Received(envelope.mail_from, envelope.rcpt_tos, message, encrypted))
        return self.refusals.get("DATA", "250 OK")

    async def handle_QUIT(self, server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        """Say goodbye, in whichever way."""
        if self.goodbye is None:
            await asyncio.Event().wait()
        if not self.goodbye:
            server.transport.abort()
        return self.goodbye or "221 Bye"


Serve = Callable[..., tuple[Mailbox, int]]


@contextlib.contextmanager
def mail_servers() -> Iterator[Serve]:
    """A function that starts mail servers on ports of the loopback, by default free ones, with options of aiosmtpd's."""
    running = []

    def start(mailbox: Mailbox | None = None, port: int = 0, **options: Any) -> tuple[Mailbox, int]:
        mailbox = mailbox or Mailbox()
        with socket.socket() as probe:
            # The port that a test names has had connections a moment ago.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            port = int(probe.getsockname()[1])
        # Its own name is given, or it would look it up for each connection.
        controller = Controller(
            mailbox,
            hostname="127.0.0.1",
            port=port,
            loop=asyncio.new_event_loop(),
            server_hostname="mail.acme.test",
            **options,
        )
        controller.start()
        running.append(controller)
        return mailbox, port

    try:
        yield start
    finally:
        for controller in running:
            controller.stop()
            controller.loop.close()


def trusted_certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's certificate that is good for localhost, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    file = str(folder / "ca.pem")
    authority.cert_pem.write_to_path(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context, file


def only_owl(*arguments: Any) -> AuthResult:
    """An authenticator that lets in ``owl`` with the password ``hunter2``."""
    told = arguments[-1]
    return AuthResult(success=(told.login, told.password) == (b"owl", b"hunter2"), handled=False)


def mail_config(port: int, **more: Any) -> MailConfig:
    """A configuration that leads to a server on this port."""
    options: dict[str, Any] = {"security": "none", "timeout": 10.0} | more
    return MailConfig(host="localhost", port=port, sender="Owl <owl@acme.test>", **options)
