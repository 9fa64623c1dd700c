"""This is the room for posting: one request for each try, and what its answer means for the next."""

import logging
import ssl
import time

import attrs
import httpx
import msgspec
import trio

import owlrunner
from owlrunner_webhook.message import event, signed
from owlrunner_webhook.settings import WebhookSettings, key_of

GONE = 410
TELLTALES = ("httpx", "httpcore")
"""Loggers that write down addresses at INFO, and at DEBUG what came over the wire, which may be an echo of what we sent."""


_reading = trio.CapacityLimiter(1)
"""Not the handlers' limit on threads: those that block must not keep notifications from being sent."""


class NotAccepted(owlrunner.OwlRunnerError):
    """The receiver did not take it, this time. The message holds neither secret nor address, but for the host."""


@attrs.define(eq=False)
class WebhookNotifier:
    """Sends each notification as one request, to the one address that the owner set."""

    settings: WebhookSettings
    _proxy: str | None = attrs.field(init=False, repr=False)
    """Found out when the server starts, which a proxy that cannot be used stops. Its address may hold a password."""
    _certificates: ssl.SSLContext | None = attrs.field(default=None, init=False, repr=False)

    @_proxy.default
    def _find_proxy(self) -> str | None:
        return owlrunner.proxy_for(self.settings.url)

    async def send(self, notification: owlrunner.Notification) -> None:
        """Send it, and return when the receiver has answered with a status of 200 to 299.

        Raises Undeliverable where it says that it wants no more, NotAccepted for anything else: redirects are not followed.
        """
        body = msgspec.json.encode(event(notification))
        headers = {"content-type": "application/json", "user-agent": "OwlRunner"}
        status = await self._post(body, headers | signed(str(notification.id), int(time.time()), body, self._key))
        if status == GONE:
            raise owlrunner.Undeliverable(f"{self._receiver} answered {GONE}: it wants no more of these")
        if not 200 <= status < 300:
            raise NotAccepted(f"{self._receiver} answered {status}")

    @property
    def _key(self) -> bytes:
        return key_of(self.settings.secret)

    @property
    def _receiver(self) -> str:
        """Who it goes to, as errors name it."""
        return f"webhook receiver {httpx.URL(self.settings.url).netloc.decode()}"

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer."""
        try:
            # httpx's timeouts are per phase: an answer that trickles in would never end.
            with trio.fail_after(self.settings.timeout):
                async with (
                    await self._open() as http,
                    http.stream("POST", self.settings.url, content=body, headers=headers) as response,
                ):
                    # What else it says is not read: there may be much of it, and nobody needs it.
                    return response.status_code
        except (trio.TooSlowError, httpx.TimeoutException):
            raise NotAccepted(f"{self._receiver} did not answer within {self.settings.timeout:g} seconds") from None
        except httpx.ConnectError as error:
            raise NotAccepted(f"{self._receiver} cannot be reached: {_reason(error)}") from None
        except httpx.RequestError as error:
            # Its text may quote what came over the wire, and that may be an echo of what we sent.
            raise NotAccepted(f"{self._receiver} broke the connection off: {type(error).__name__}") from None

    async def _open(self) -> httpx.AsyncClient:
        """A client for one request: notifications are rare, and a kept connection would be dead by the next one."""
        for name in TELLTALES:
            # An owner who set a level of his own keeps it.
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.WARNING)
        if self._certificates is None:
            # Reading the machine's certificates takes a while, so it is done in a thread, and once.
            try:
                self._certificates = await trio.to_thread.run_sync(httpx.create_ssl_context, limiter=_reading)
            except OSError as error:
                raise NotAccepted(f"certificates (SSL_CERT_FILE, SSL_CERT_DIR) cannot be read: {error}") from None
        return httpx.AsyncClient(
            verify=self._certificates, timeout=self.settings.timeout, proxy=self._proxy, trust_env=False
        )


def _reason(error: BaseException) -> str:
    """What the first of its causes says that says anything: httpx has no words of its own for a failed TLS handshake."""
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__ if cause is None else str(cause)
