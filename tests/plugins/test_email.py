"""The notifier ``email``: what arrives at a real mail server, and what does not."""

import logging
import re
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import owlrunner
import owlrunner_email
from owlrunner.config import MailConfig
from owlrunner.errors import PluginError, Undeliverable
from owlrunner.job_run import RunStatus
from owlrunner.mail import Mailer, MailUnavailable
from owlrunner.plugins import build_catalog
from owlrunner_email.layout import LONGEST_VALUE
from tests.mail_server import Serve, mail_config, mail_servers, only_owl, trusted_certificate
from tests.plugins.ended_run import LINK, NOTIFICATION_ID, RUN_ID, ended_run, missed_alert, notification

ASKED = "You asked to be told when this run has ended."


class Shown(HTMLParser):
    """What a reader sees of an HTML part, and all that it is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.bold: list[str] = []
        self.blocks: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every element must be closed."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.words += data
        if self._open[-1:] == ["b"]:
            self.bold.append(data)
        if self._open[-1:] == ["pre"]:
            self.blocks.append(data)


def offered(mailer: Mailer, **table: Any) -> owlrunner.Notifier:
    """The notifier, as the server gets it."""
    return build_catalog({"email": ("here", owlrunner_email, table)}, mailer).notifiers["email"]


def parts(message: EmailMessage) -> tuple[str, str]:
    """Text and HTML of a mail, which has these two parts and no others, the text first."""
    assert message.get_content_type() == "multipart/alternative"
    text, html = (part for part in message.iter_parts() if isinstance(part, EmailMessage))
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


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


async def sent(serve: Serve, about: owlrunner.Notification, **table: Any) -> EmailMessage:
    """The mail that arrives."""
    mailbox, port = serve()
    await offered(Mailer(mail_config(port)), **table).send(about)
    (received,) = mailbox.got
    assert received.recipients == [about.recipient]
    return received.message


async def test_a_mail_tells_how_a_run_ended(serve: Serve) -> None:
    """Subject and captions are the original's, with run, project, team and link besides, in text and in HTML."""
    message = await sent(serve, notification())
    assert message["subject"] == "[OwlRunner] ✅ Job completed: RevenueCat Sync"
    assert (message["to"], message["from"]) == ("ann@acme.test", "Owl <owl@acme.test>")
    text, html = parts(message)
    assert text == (
        "Job: RevenueCat Sync\nStatus: completed\nDuration: 4m 2s\n"
        'Result:\n{\n  "synced": 3,\n  "failed": 0\n}\n'
        f"Project: Shop (Acme)\nRun: {RUN_ID}\nLink: {LINK}\n\n{ASKED}\n"
    )
    shown = Shown(html)
    assert shown.bold == ["Job:", "Status:", "Duration:", "Result:", "Project:", "Run:", "Link:"]
    assert shown.blocks == ['{\n  "synced": 3,\n  "failed": 0\n}']
    assert ("href", LINK) in shown.attributes
    assert ASKED in shown.words


@pytest.mark.parametrize(
    ("status", "error", "subject"),
    [
        (RunStatus.FAILED, "ValueError: no", "❌ Job failed: RevenueCat Sync"),
        (RunStatus.CANCELLED, None, "🚫 Job cancelled: RevenueCat Sync"),
    ],
)
async def test_a_bad_end_is_told(serve: Serve, status: RunStatus, error: str | None, subject: str) -> None:
    """Failed and cancelled runs have subjects of their own, and a failed one its error."""
    message = await sent(serve, notification(ended_run(status=status, error=error, result=None)))
    text, html = parts(message)
    assert message["subject"] == f"[OwlRunner] {subject}"
    assert ("Error: ValueError: no\n" in text) == ("ValueError: no" in Shown(html).words) == (error is not None)
    assert "Result:" not in text + html


async def test_an_alert_says_why_it_comes(serve: Serve) -> None:
    """A mail about a system run says that the owner has set this address, and has no project and no link."""
    run = ended_run(team_id=None, project_id=None, notify=False, triggered_by="schedule")
    text, html = parts(await sent(serve, notification(run, project=None, team=None, link=None)))
    assert text.endswith(
        "\n\nThis address gets the alerts about system jobs and schedules (SYSTEM_JOBS_ALERT_EMAIL).\n"
    )
    assert "SYSTEM_JOBS_ALERT_EMAIL" in html
    assert ASKED not in text + html
    assert "href" not in html


async def test_an_alert_about_schedules_lists_them(serve: Serve) -> None:
    """One line for each schedule says what it has missed, and the mail says why it comes and where the record is."""
    message = await sent(serve, missed_alert("nightly", "hourly"))
    text, html = parts(message)
    assert message["subject"] == "[OwlRunner] ⏰ 2 schedules missed fire times"
    what = "2 fire times missed, from 2026-03-28 20:00 UTC to 2026-03-28 21:00 UTC. Late runs were started for 1, none for 1."
    assert text == (
        f"nightly (tidy): {what} Reason: no server was running.\n"
        f"hourly (tidy): {what} Reason: no server was running.\n"
        "Every fire time: owlrunner system fires --outcome missed\n\n"
        "This address gets the alerts about system jobs and schedules (SYSTEM_JOBS_ALERT_EMAIL).\n"
    )
    assert Shown(html).bold == ["nightly (tidy):", "hourly (tidy):", "Every fire time:"]


async def test_an_alert_about_very_many_schedules_names_the_first(serve: Serve) -> None:
    """Fifty are listed, and how many further ones there are is told."""
    text, _ = parts(await sent(serve, missed_alert(*(f"s{number}" for number in range(53)))))
    assert ("s49 (tidy)" in text, "s50 (tidy)" in text) == (True, False)
    assert "\nFurther schedules: 3\n" in text


@pytest.mark.parametrize(
    ("tag", "subject"), [("OwlMetry", "[OwlMetry] ✅ Job completed: X"), ("", "✅ Job completed: X")]
)
async def test_the_tag_of_subjects_can_be_set(serve: Serve, tag: str, subject: str) -> None:
    """subject_tag stands in the brackets, and without one there are none."""
    message = await sent(serve, notification(label="X"), subject_tag=tag)
    assert message["subject"] == subject


async def test_nothing_in_a_value_is_markup(serve: Serve) -> None:
    """Line breaks, HTML and emoji of label, project, error and result arrive as the text that they are, and as nothing else."""
    nasty = "<img src=x onerror='a()'> & \"q\" 🦉"
    run = ended_run(status=RunStatus.FAILED, error=f"one {nasty}\ntwo </pre><script>", result={"<b>": nasty})
    message = await sent(
        serve, notification(run, label=f"La\r\nBcc: eve@evil.test\n{nasty}", project=nasty, team="</p>")
    )
    assert message["bcc"] is None
    assert re.fullmatch(r"\[OwlRunner\] ❌ Job failed: La\s+Bcc: eve@evil\.test <img .* 🦉", message["subject"])
    text, html = parts(message)
    shown = Shown(html)
    assert shown.tags == {"html", "head", "meta", "body", "p", "b", "pre", "a", "small"}
    assert {name for name, _ in shown.attributes} == {"lang", "charset", "name", "content", "style", "href"}
    assert f"one {nasty}\ntwo </pre><script>" in shown.blocks
    for value in (f"Project: {nasty} (</p>)", f"one {nasty}\ntwo </pre><script>"):
        assert value in text
        assert value in shown.words


async def test_html_fetches_nothing_and_fits_light_and_dark(serve: Serve) -> None:
    """The HTML names no address but the link's, and leaves the colours of text and ground to the reader."""
    _, html = parts(await sent(serve, notification()))
    assert re.findall(r"[a-z]+://[^\s\"<]+", html) == [LINK, LINK]
    assert ("content", "light dark") in Shown(html).attributes
    assert not re.search(r"(?<!-)color:|background|url\(|@import", html)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "https://x.test/a b", " https://x.test"])
async def test_only_web_addresses_are_links(serve: Serve, link: str) -> None:
    """Anything but http and https is shown, and leads nowhere."""
    _, html = parts(await sent(serve, notification(link=link)))
    assert link.strip() in Shown(html).words
    assert "href" not in html


async def test_a_link_cannot_break_out_of_its_attribute(serve: Serve) -> None:
    """A quotation mark in a link stays in the link."""
    link = 'https://x.test/"onclick="a()'
    _, html = parts(await sent(serve, notification(link=link)))
    assert ("href", link) in Shown(html).attributes
    assert "onclick" not in {name for name, _ in Shown(html).attributes}


async def test_what_is_too_long_is_cut_and_says_so(serve: Serve) -> None:
    """A result of megabytes makes a mail of bounded size, in which run and link still stand."""
    text, html = parts(await sent(serve, notification(ended_run(result={"rows": "x" * 3_000_000}))))
    assert "x" * (LONGEST_VALUE - 100) in text
    assert "… cut here: 2,98" in text
    assert "… cut here: 2,98" in html
    assert (len(text) < LONGEST_VALUE + 1000, len(html) < LONGEST_VALUE + 3000) == (True, True)
    assert f"Run: {RUN_ID}\nLink: {LINK}\n" in text


async def test_a_second_try_is_known_by_its_id(serve: Serve) -> None:
    """A mail that is sent again has the Message-ID of the first, made from the notification's id."""
    mailbox, port = serve()
    notifier = offered(Mailer(mail_config(port)))
    await notifier.send(notification())
    await notifier.send(notification(attempt=2))
    assert [one.message["message-id"] for one in mailbox.got] == [f"<{NOTIFICATION_ID}@acme.test>"] * 2


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(("security", "option"), [("starttls", "tls_context"), ("tls", "ssl_context")])
async def test_mails_travel_encrypted_after_a_login(
    serve: Serve, certificate: ssl.SSLContext, security: str, option: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By STARTTLS and by TLS from the first byte, with user name and password, which stand in no log."""
    caplog.set_level(logging.DEBUG, "owlrunner")
    login = {"authenticator": only_owl, "auth_required": True, "auth_require_tls": security == "starttls"}
    mailbox, port = serve(**{option: certificate}, **login)
    mailer = Mailer(mail_config(port, security=security, username="owl", password="hunter2"))
    await offered(mailer).send(notification())
    assert [one.encrypted for one in mailbox.got] == [True]
    assert "hunter2" not in caplog.text + repr(offered(mailer))


@pytest.mark.parametrize(
    ("refusals", "is_for_good"),
    [
        ({"RCPT": "550 5.1.1 user unknown"}, True),
        ({"RCPT": "450 mailbox busy"}, False),
        ({"MAIL": "550 sender unknown"}, False),
        ({"DATA": "554 looks like spam"}, False),
    ],
)
async def test_a_refusal_says_whether_to_try_again(serve: Serve, refusals: dict[str, str], is_for_good: bool) -> None:
    """An address that is refused for good is undeliverable; all else may be better the next time."""
    mailbox, port = serve()
    mailbox.refusals = refusals
    with pytest.raises(MailUnavailable) as refused:
        await offered(Mailer(mail_config(port))).send(notification())
    assert isinstance(refused.value, Undeliverable) == is_for_good


async def test_without_a_mail_server_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    """Without SMTP settings subject and text stand in the log, and no password does."""
    caplog.set_level(logging.INFO, "owlrunner")
    await offered(Mailer(MailConfig(username="owl", password="hunter2"))).send(notification())
    (record,) = caplog.records
    told = record.getMessage()
    assert told.startswith(
        "mail to ann@acme.test: [OwlRunner] ✅ Job completed: RevenueCat Sync\nJob: RevenueCat Sync\n"
    )
    assert f"Run: {RUN_ID}\n" in told
    assert "hunter2" not in caplog.text


def test_settings_that_are_unknown_stop_the_start() -> None:
    """A misspelt key is refused by name."""
    with pytest.raises(PluginError, match=r"plugins\.email\.subject: unknown key"):
        offered(Mailer(MailConfig()), subject="x")
