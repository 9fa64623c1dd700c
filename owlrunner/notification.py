"""This is the room for what is said to whom once a run has ended, and for what a plugin must be to say it."""

from typing import Protocol
from uuid import UUID

import attrs
import msgspec

from owlrunner.durations import format_duration
from owlrunner.job_run import JobRun, RunStatus

SIGNS = {RunStatus.COMPLETED: "✅", RunStatus.FAILED: "❌"}
OTHER_SIGN = "🚫"
WAITING_SIGN = "⏳"


@attrs.frozen
class Notification:
    """One message about one ended run to one recipient. The facts come apart, for notifiers that lay out their own message."""

    id: UUID
    """The same at every try, so that whoever receives a message twice can tell."""
    recipient: str
    """An e-mail address: of whoever asked to be notified, or of the owner who wants to hear about system jobs."""
    run: JobRun
    """The run as it ended."""
    label: str
    """What people call the job type."""
    attempt: int = 1
    """Counts the tries to send this."""
    project: str | None = None
    team: str | None = None
    link: str | None = None
    """Where the run can be looked at; None where that is nowhere, as for system jobs."""
    stranded: bool = False
    """The run has not ended: it waits, and no living server offers its job type or can read its params."""

    @property
    def title(self) -> str:
        """The message in one line, such as ``✅ Job completed: RevenueCat Sync``."""
        if self.stranded:
            return f"{WAITING_SIGN} No server can run: {self.label}"
        return f"{SIGNS.get(self.run.status, OTHER_SIGN)} Job {self.run.status}: {self.label}"

    @property
    def details(self) -> list[tuple[str, str]]:
        """What there is to say, as captions with values, in order. A value may have several lines."""
        run = self.run
        told = [("Job", self.label)]
        if self.stranded:
            told.append(
                ("Status", f"{run.status}: no living server offers the job type {run.job_type} or can read its params")
            )
        else:
            told += [("Status", str(run.status)), ("Duration", self._duration)]
        if run.error:
            told.append(("Error", run.error))
        if run.result is not None:
            told.append(("Result", msgspec.json.format(msgspec.json.encode(run.result), indent=2).decode()))
        if self.project:
            told.append(("Project", f"{self.project} ({self.team})" if self.team else self.project))
        told.append(("Run", str(run.id)))
        if self.link:
            told.append(("Link", self.link))
        return told

    @property
    def text(self) -> str:
        """The details as plain text."""
        return "".join(
            f"{caption}:\n{value}\n" if "\n" in value else f"{caption}: {value}\n" for caption, value in self.details
        )

    @property
    def _duration(self) -> str:
        run = self.run
        if run.started_at is None or run.completed_at is None:
            return "never started"
        return format_duration((run.completed_at - run.started_at).total_seconds())


class Notifier(Protocol):
    """What a plugin hands over to send notifications: anything with this one method.

    It may be called again for a notification that was sent already, after a crash; ``notification.id`` tells.
    """

    async def send(self, notification: Notification) -> None:
        """Send it. Raising Undeliverable means: never; raising anything else means: again later."""


class MailSender(Protocol):
    """What a server lends to plugins that send mail: ``settings.mailer``."""

    async def send(self, to: str, subject: str, text: str, html: str | None = None, *, message_id: str = "") -> None:
        """Send one mail to one address, and return when the mail server has taken it.

        ``message_id`` is what stands before the ``@`` in its Message-ID: given the same one, a mail that is sent twice is
        known to be one. Raises Undeliverable where this address will never take it, and MailUnavailable otherwise.
        """
