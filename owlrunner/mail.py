"""This is the room for mail: the one place that sends any."""

import logging
import smtplib
import ssl
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

import attrs
import trio

from owlrunner.config import MailConfig
from owlrunner.decoding import storable_text
from owlrunner.errors import OwlRunnerError, Undeliverable

NOT_AN_ADDRESS = (ValueError, IndexError, HeaderParseError)
"""What the standard library raises for a text that is no address."""
PERMANENT = 500
"""SMTP answers from here on mean: do not try again."""

logger = logging.getLogger(__name__)


class MailUnavailable(OwlRunnerError):
    """The mail server did not take the mail, or cannot be reached; the message says why, and never a password."""


class MailRefused(MailUnavailable, Undeliverable):
    """This address will never take the mail: it is none, or the mail server refused it for good."""


@attrs.frozen
class Mailer:
    """Sends mail as the configuration says. Without ``config.host`` mail is written to the log instead."""

    config: MailConfig

    async def send(self, to: str, subject: str, text: str, html: str | None = None, *, message_id: str = "") -> None:
        """Send one mail to one address, and return when the mail server has taken it.

        ``subject`` may hold anything: what could start another header becomes a space. Takes at most
        ``config.timeout`` seconds. ``message_id`` is what stands before the ``@`` in the Message-ID; without one it is made up.

        Raises MailRefused where this address will never take it, MailUnavailable otherwise.
        """
        message = _message(self.config.sender, to, subject, text, html)
        _identify(message, message_id)
        if not self.config.host:
            logger.info("mail to %s: %s\n%s", message["To"], message["Subject"], text)
            return
        try:
            with trio.fail_after(self.config.timeout):
                # Abandoned: a thread that waits for a dead server ends by the timeout of its socket.
                await trio.to_thread.run_sync(self._deliver, message, to, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise MailUnavailable(f"{self._server}: the mail was not taken within {self.config.timeout:g} s") from None
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = error.recipients[to]
            kind = MailRefused if code >= PERMANENT else MailUnavailable
            raise kind(f"{self._server}: {code} {reply.decode('utf-8', 'replace')}") from error
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise MailUnavailable(f"{self._server}: {error}") from error

    @property
    def _server(self) -> str:
        return f"mail server {self.config.host}:{self.config.port}"

    def _deliver(self, message: EmailMessage, to: str) -> None:
        """Talk to the mail server; blocks."""
        config = self.config
        with self._connected() as server:
            if config.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if config.username:
                server.login(config.username, config.password)
            # The envelope is written out: what stands in the headers must not add recipients.
            server.send_message(message, from_addr=parseaddr(config.sender)[1], to_addrs=[to])

    def _connected(self) -> smtplib.SMTP:
        config = self.config
        if config.security == "tls":
            return smtplib.SMTP_SSL(
                config.host, config.port, timeout=config.timeout, context=ssl.create_default_context()
            )
        return smtplib.SMTP(config.host, config.port, timeout=config.timeout)


def _message(sender: str, to: str, subject: str, text: str, html: str | None) -> EmailMessage:
    """The mail, with every header made safe."""
    message = EmailMessage(policy=SMTP)
    name, address = parseaddr(sender)
    try:
        message["From"] = Address(name, addr_spec=address)
    except NOT_AN_ADDRESS as error:
        raise MailUnavailable(f"mail.sender {sender!r} is not an address: {error}") from None
    try:
        message["To"] = Address(addr_spec=to)
    except NOT_AN_ADDRESS as error:
        raise MailRefused(f"{to!r} is not an address: {error}") from None
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
