"""P9 with what is shipped: mail and webhook bring a notification to its end though nobody was there at first."""

import functools
import json
import logging
import socket

import pytest
import trio

import owlrunner_email
import owlrunner_webhook
from owlrunner.config import NotificationsConfig
from owlrunner.mail import Mailer
from owlrunner.plugins import build_catalog
from tests.mail_server import mail_config, mail_servers
from tests.plugins.receiver import Receiver
from tests.promises import promise_jobs
from tests.promises.serving import Door, LogEar, Serve

OWNER = "owner@example.com"
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


async def test_what_was_away_is_told_when_it_comes(
    door: Door, serve: Serve, log_ear: LogEar, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """With mail server and receiver dead a run ends as ever; once they are there, each gets its notification, once."""
    caplog.set_level(logging.INFO, "owlrunner")
    with socket.socket() as no_mail, socket.socket() as no_receiver:
        ports = []
        for closed in (no_mail, no_receiver):
            closed.bind(("127.0.0.1", 0))
            ports.append(closed.getsockname()[1])
        mail_port, receiver_port = ports
        settings = {"url": f"http://127.0.0.1:{receiver_port}/", "secret": SECRET}
        offered = build_catalog(
            {
                "promise_jobs": ("tests", promise_jobs, {}),
                "email": ("bundled", owlrunner_email, {}),
                "webhook": ("bundled", owlrunner_webhook, settings),
            },
            Mailer(mail_config(mail_port)),
        )
        await serve(offered, NotificationsConfig(alert_email=OWNER, retry_delay=0.05))
        run_id = await door.trigger("polite", params={"steps": 1})
        for name in ("email", "webhook"):
            await log_ear.heard(f"about run {run_id} to {OWNER} by {name}: try 1 failed")
    receiver = Receiver()
    with mail_servers() as start:
        await nursery.start(functools.partial(receiver.serve, port=receiver_port))
        mailbox, _ = start(port=mail_port)
        for name in ("email", "webhook"):
            await log_ear.heard(f"about run {run_id} to {OWNER} by {name}: sent")
    ((_, recipients, message, _),) = mailbox.got
    assert (recipients, message["subject"]) == ([OWNER], "[OwlRunner] ✅ Job completed: Polite")
    (request,) = receiver.got
    event = json.loads(request.body)
    assert (event["type"], event["recipient"], event["job_run"]["id"]) == ("job.completed", OWNER, str(run_id))
    rows = await door.sql("select notifier, id::text, status::text from notifications order by notifier")
    message_id = message["message-id"].strip("<>").partition("@")[0]
    assert rows == [("email", message_id, "sent"), ("webhook", request.headers["webhook-id"], "sent")]
