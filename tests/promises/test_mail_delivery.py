"""P9 with a real mail server and real processes: no mail is lost to a crash, nor to a mail server that is away."""

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import trio

from owlrunner.job_run import RunStatus
from tests.mail_server import Mailbox, Received, Serve, mail_servers, only_owl, trusted_certificate
from tests.promises.serving import PATIENCE, Door, ServerProcess, StartProcess

OWNER = "owner@example.com"


@pytest.fixture
def mail_server() -> Iterator[Serve]:
    """Start mail servers."""
    with mail_servers() as start:
        yield start


def mailing(port: int, **mail: str) -> Mapping[str, str]:
    """The environment of a server that mails the owner of every end of a system job."""
    settings = {"HOST": "localhost", "PORT": str(port), "SECURITY": "none", "SENDER": "Owl <owl@acme.test>"} | mail
    return {
        "SYSTEM_JOBS_ALERT_EMAIL": OWNER,
        "OWLRUNNER_NOTIFICATIONS__RETRY_DELAY": "0.2",
        **{f"OWLRUNNER_MAIL__{key}": value for key, value in settings.items()},
    }


def body(mail: Received, kind: str) -> str:
    """The text of one of a mail's bodies."""
    part = mail.message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


async def sent(process: ServerProcess) -> None:
    """Wait until the process says that it has sent a mail."""
    await process.logged("by email: sent")


async def test_encrypted_and_signed_in(
    door: Door, server_process: StartProcess, mail_server: Serve, tmp_path: Path
) -> None:
    """The end of a system job reaches the owner by STARTTLS and with a login, in text and HTML, with the run's id."""
    context, authority = trusted_certificate(tmp_path)
    mailbox, port = mail_server(tls_context=context, authenticator=only_owl, auth_required=True)
    environ = mailing(port, SECURITY="starttls", USERNAME="owl", PASSWORD="hunter2")
    process = server_process("a", environ={**environ, ssl.get_default_verify_paths().openssl_cafile_env: authority})
    await process.ready()
    run_id = await door.trigger("polite", params={"steps": 1})
    await sent(process)
    (mail,) = mailbox.got
    assert (mail.recipients, mail.encrypted) == ([OWNER], True)
    assert mail.message["Subject"] == "[OwlRunner] ✅ Job completed: Polite"
    for kind in ("plain", "html"):
        assert str(run_id) in body(mail, kind)


async def test_a_mail_server_that_is_away(door: Door, server_process: StartProcess, mail_server: Serve) -> None:
    """A mail waits until the mail server is back, and the run does not wait for it."""
    mailbox, port = mail_server()
    mailbox.refusals["MAIL"] = "421 closing for the night"
    process = server_process("a", environ=mailing(port))
    await process.ready()
    await door.until(await door.trigger("polite", params={"steps": 1}), RunStatus.COMPLETED)
    await process.logged("try 2 failed, to be tried again")
    assert mailbox.got == []
    mailbox.refusals.clear()
    await sent(process)
    assert len(mailbox.got) == 1


async def test_nobody_listens_at_the_mail_servers_port(door: Door, server_process: StartProcess) -> None:
    """A connection that is refused is a reason to try again, told without a traceback."""
    process = server_process("a", environ=mailing(9))
    await process.ready()
    await door.trigger("polite", params={"steps": 1})
    line = await process.logged("try 2 failed, to be tried again")
    assert "mail server localhost:9: " in line
    assert "localhost:9" in line


async def test_a_recipient_refused_for_good(door: Door, server_process: StartProcess, mail_server: Serve) -> None:
    """A recipient that the mail server does not know is given up at once, and the outbox says why."""
    mailbox, port = mail_server()
    mailbox.refusals["RCPT"] = "550 5.1.1 no such owl"
    process = server_process("a", environ=mailing(port))
    await process.ready()
    run_id = await door.trigger("polite", params={"steps": 1})
    await process.logged("given up at try 1")
    ((status, error),) = await door.sql("select status::text, last_error from notifications where run_id = %s", run_id)
    assert status == "given_up"
    assert "no such owl" in error


class Slow(Mailbox):
    """A mail server that keeps the first mail's sender waiting for the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.message_ids: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take the mail; say so at once only from the second one on."""
        self.message_ids.append(message_from_bytes(envelope.content)["Message-ID"])
        if not self.arrived.is_set():
            self.arrived.set()
            await asyncio.sleep(2 * PATIENCE)
        return await super().handle_DATA(server, session, envelope)


async def test_killed_while_sending(door: Door, server_process: StartProcess) -> None:
    """A server that is killed between the end of a run and the mail server's answer: the next one sends, under the same id."""
    slow = Slow()
    with mail_servers() as start:
        _, port = start(mailbox=slow)
        first = server_process("a", environ=mailing(port))
        await first.ready()
        run_id = await door.trigger("polite", params={"steps": 1})
        with trio.fail_after(PATIENCE):
            await trio.to_thread.run_sync(slow.arrived.wait, abandon_on_cancel=True)
        first.kill()
        assert (await door.view(run_id)).status is RunStatus.COMPLETED
        second = server_process("a", environ=mailing(port))
        await sent(second)
    assert len(slow.message_ids) == 2
    assert len(set(slow.message_ids)) == 1


async def test_a_recovered_run_is_told(door: Door, server_process: StartProcess, mail_server: Serve) -> None:
    """The owner hears of a run that its server took into the grave."""
    mailbox, port = mail_server()
    first = server_process("a", environ=mailing(port))
    await first.ready()
    await door.until_told(await door.trigger("deaf"), "sleeping")
    first.kill()
    second = server_process("a", environ=mailing(port))
    await sent(second)
    (mail,) = mailbox.got
    assert mail.message["Subject"] == "[OwlRunner] ❌ Job failed: Deaf"
    assert "Server restarted during execution" in body(mail, "plain")


async def test_a_server_without_mail_says_where_codes_go(server_process: StartProcess) -> None:
    """Who starts a server without a mail server learns that login codes stand in its log."""
    server = server_process("a")
    await server.logged("mail.host is not set: login codes, and whatever is mailed besides, are written to this log")
    await server.ready()
