"""This is the room for mail: the one place that sends any."""

import base64
import contextlib
import logging
import re
import smtplib
import socket
import ssl
import threading
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

import attrs
import trio

from owlrunner.config import MailConfig
from owlrunner.decoding import storable_text
from owlrunner.email_address import EmailAddress, parse_address
from owlrunner.errors import OwlRunnerError, Undeliverable
from owlrunner.name_resolution import RESOLVER, Addresses

MAX_THREADS = 20
"""How many threads one mailer uses at once. Its own: handlers that fill Trio's do not hold up mail."""
MAX_WAITING = 20
"""How many mails wait for one of them. More are refused at once: each would wait for those before it at a silent server."""
QUIT_TIMEOUT = 2.0
"""Seconds that a mail server gets to say goodbye, after it has taken the mail."""
NO_SUCH_ADDRESS = frozenset({501, 550, 551, 553})
"""SMTP codes that refuse a recipient for good, where no enhanced code (RFC 3463) says more."""
_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?!\d)")
_ENHANCED_NO_SUCH_ADDRESS = re.compile(rb"5\.(1\.(?![78]\b)\d+|2\.1)")
"""The address is wrong, or the mailbox was closed. 5.1.7 and 5.1.8 are about the sender, though said of the recipient."""
UNUSED_NAME = "localhost"
"""What smtplib is given as our name until there is a connection: the right one depends on it."""
LONGEST_REPLY = 500
"""How many characters of a mail server's words are told."""
REFUSED_WHAT: dict[type[smtplib.SMTPResponseException], str] = {
    smtplib.SMTPAuthenticationError: "refuses the login of mail.username",
    smtplib.SMTPSenderRefused: "refuses mail.sender",
    smtplib.SMTPDataError: "refuses the mail",
}

logger = logging.getLogger(__name__)


class MailUnavailable(OwlRunnerError):
    """The mail server did not take the mail, or cannot be reached; the message says why, and never a password."""


class MailRefused(MailUnavailable, Undeliverable):
    """This address will never take the mail: it is none, or the mail server refused it for good."""


@attrs.frozen
class Mailer:
    """Sends mail as the configuration says. Without ``config.host`` mail is written to the log instead."""

    config: MailConfig
    _threads: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(MAX_THREADS), init=False, repr=False, eq=False
    )

    async def send(self, to: str, subject: str, text: str, html: str | None = None, *, message_id: str = "") -> None:
        """Send one mail to one address, and return when the mail server has taken it.

        ``subject`` may hold anything: what could start another header becomes a space. Takes at most
        ``config.timeout`` seconds. ``message_id`` is what stands before the ``@`` in the Message-ID; without one it is made up.

        Raises MailRefused where this address will never take it, MailUnavailable otherwise.
        """
        name, address = parseaddr(self.config.sender)
        sender, recipient = parse_address(address), _recipient(to)
        message = _message(Address(name, sender.local_part, sender.domain), recipient, subject, text, html)
        _identify(message, message_id)
        if not self.config.host:
            logger.info("mail to %s: %s\n%s", message["To"], message["Subject"], text)
            return
        if self._threads.statistics().tasks_waiting >= MAX_WAITING:
            raise MailUnavailable(f"{self._server}: {MAX_THREADS + MAX_WAITING} other mails are on their way already")
        taken = threading.Event()
        try:
            with trio.fail_after(self.config.timeout):
                addresses = await RESOLVER.getaddrinfo(self.config.host, self.config.port, type=socket.SOCK_STREAM)
                # Abandoned: a thread that waits for a dead server ends by the timeout of its socket.
                await trio.to_thread.run_sync(
                    self._deliver,
                    addresses,
                    message,
                    sender,
                    recipient,
                    taken,
                    abandon_on_cancel=True,
                    limiter=self._threads,
                )
        except trio.TooSlowError:
            # The goodbye may outlast our patience; the mail is not sent again for that.
            if not taken.is_set():
                raise MailUnavailable(
                    f"{self._server}: the mail was not taken within {self.config.timeout:g} s"
                ) from None
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = error.recipients[str(recipient)]
            kind = MailRefused if _is_for_good(code, reply) else MailUnavailable
            raise kind(f"{self._server} refuses {to}: {code} {self._quoted(reply)}") from None
        except smtplib.SMTPResponseException as error:
            # Later, even where the server says never: it is about our login, our sender or its rules, which somebody can repair.
            what = REFUSED_WHAT.get(type(error), "answers")
            reply = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
            raise MailUnavailable(f"{self._server} {what}: {error.smtp_code} {self._quoted(reply)}") from None
        except UnicodeError:
            # Its text would quote the letter, which may be one of the password.
            raise MailUnavailable(
                f"{self._server}: mail.host, mail.username or mail.password holds a letter that cannot be sent"
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"{self._server}: {error}") from error

    @property
    def _server(self) -> str:
        return f"mail server {self.config.host}:{self.config.port}"

    def _quoted(self, reply: bytes) -> str:
        """What the mail server said, in one line, without the password: some repeat what they were sent."""
        words = " ".join(reply.decode("utf-8", "replace").split())
        username, password = self.config.username, self.config.password
        if password:
            encoded = (base64.b64encode(sent.encode()).decode() for sent in (f"\0{username}\0{password}", password))
            for secret in (*encoded, password):
                words = words.replace(secret, "****")
        return words[:LONGEST_REPLY]

    def _deliver(
        self,
        addresses: Addresses,
        message: EmailMessage,
        sender: EmailAddress,
        recipient: EmailAddress,
        taken: threading.Event,
    ) -> None:
        """Talk to the mail server, and set ``taken`` once it has answered for the mail; blocks."""
        config = self.config
        server = self._connected(addresses)
        # Not as a context manager: that one raises when the server's goodbye is odd, though the mail was taken.
        with contextlib.closing(server):
            if config.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if config.username:
                server.login(config.username, config.password)
            server.ehlo_or_helo_if_needed()
            if not server.has_extn("smtputf8"):
                self._require_ascii(sender, recipient)
            # The envelope is written out: what stands in the headers must not add recipients.
            server.send_message(message, from_addr=str(sender), to_addrs=[str(recipient)])
            taken.set()
            _say_goodbye(server)

    def _require_ascii(self, sender: EmailAddress, recipient: EmailAddress) -> None:
        """Raise where an address cannot be sent to a server without SMTPUTF8."""
        for address, whose, kind in (
            (sender, "mail.sender", MailUnavailable),
            (recipient, str(recipient), MailRefused),
        ):
            if address.needs_smtputf8:
                raise kind(
                    f"{self._server} cannot take {whose}: letters beyond ASCII before the @ need SMTPUTF8, which it does not offer"
                )

    def _connected(self, addresses: Addresses) -> smtplib.SMTP:
        config = self.config
        server = _TlsServer(addresses, config) if config.security == "tls" else _Server(addresses, config)
        if server.sock is not None:
            server.local_hostname = _name_for(server.sock)
        return server


class _Server(smtplib.SMTP):
    """A mail server whose name has been resolved already: a resolver that is silent would hold this thread, and the next mail's."""

    def __init__(self, addresses: Addresses, config: MailConfig) -> None:
        self._addresses = addresses
        super().__init__(config.host, config.port, UNUSED_NAME, config.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        """Connect to the first address that answers. smtplib has no public way; tests/test_mail.py fails when this one is gone."""
        problem: OSError | None = None
        for *_, address in self._addresses:
            try:
                return socket.create_connection(address[:2], timeout)
            except OSError as error:
                problem = problem or error
        raise problem or OSError("its name has no address")


class _TlsServer(smtplib.SMTP_SSL, _Server):
    """The same with TLS from the start. The certificate is checked against the name."""

    def __init__(self, addresses: Addresses, config: MailConfig) -> None:
        self._addresses = addresses
        smtplib.SMTP_SSL.__init__(
            self,
            config.host,
            config.port,
            UNUSED_NAME,
            timeout=config.timeout,
            context=ssl.create_default_context(),
        )


def _name_for(connection: socket.socket) -> str:
    """The name for EHLO: the host's if it is a full one, else the address that the connection comes from (RFC 5321, 4.1.4).

    Without a name of ours smtplib asks the resolver for the full one, in the thread.
    """
    name = socket.gethostname()
    if "." in name.strip("."):
        return name
    address = str(connection.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _is_for_good(code: int, reply: bytes) -> bool:
    """Whether a mail server that refuses a recipient means: never.

    Most refusals for good are not of the address: relaying is denied to us (5.7.1), the mailbox is full (5.2.2). Those can be
    repaired, and to try them again is cheap; a notification that is given up is lost.
    """
    enhanced = _ENHANCED.match(reply)
    if enhanced:
        return code >= 500 and _ENHANCED_NO_SUCH_ADDRESS.fullmatch(enhanced[0]) is not None
    return code in NO_SUCH_ADDRESS


def _say_goodbye(server: smtplib.SMTP) -> None:
    """Send QUIT. Whatever comes back, or nothing: the mail has been taken."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(QUIT_TIMEOUT)
        server.quit()


def _recipient(text: str) -> EmailAddress:
    try:
        return parse_address(text)
    except ValueError as problem:
        raise MailRefused(f"no mail can be sent to {text!r}: {problem}") from None


def _message(sender: Address, recipient: EmailAddress, subject: str, text: str, html: str | None) -> EmailMessage:
    """The mail, with every header made safe."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address("", recipient.local_part, recipient.domain)
    message["Subject"] = "".join(letter if letter.isprintable() else " " for letter in storable_text(subject))[:900]
    message["Date"] = format_datetime(datetime.now(UTC))
    # Not for people, so that no out-of-office reply comes back.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(storable_text(text))
    if html is not None:
        message.add_alternative(storable_text(html), subtype="html")
    return message


def _identify(message: EmailMessage, message_id: str) -> None:
    """Give the mail its Message-ID."""
    domain = message["From"].addresses[0].domain or "localhost"
    message["Message-ID"] = f"<{message_id}@{domain}>" if message_id else make_msgid(domain=domain)
