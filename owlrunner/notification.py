"""What a notification says about a run or about schedules, and what a plugin implements to send it."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import attrs
import msgspec

from owlrunner.durations import format_duration
from owlrunner.job_run import JobRun, RunStatus
from owlrunner.missed_fires import MissedFires

SIGNS = {RunStatus.COMPLETED: "✅", RunStatus.FAILED: "❌"}
OTHER_SIGN = "🚫"
WAITING_SIGN = "⏳"
MISSED_SIGN = "⏰"
MOST_SCHEDULES = 50
"""How many schedules an alert names one by one."""


@attrs.frozen
class Notification:
    """One message to one recipient: how a run ended, or which schedules missed fire times.

    The facts come apart, for notifiers that lay out their own message.
    """

    id: UUID
    """The same at every try, so that whoever receives a message twice can tell."""
    recipient: str
    """An e-mail address: of whoever asked to be notified, or of the owner who wants to hear about system jobs."""
    run: JobRun | None
    """The run as it ended. None in an alert about schedules, and there only."""
    label: str
    """What people call the job type; empty where there is no run."""
    attempt: int = 1
    """Counts the tries to send this."""
    project: str | None = None
    team: str | None = None
    link: str | None = None
    """Where the run can be looked at; None where that is nowhere, as for system jobs."""
    stranded: bool = False
    """The run has not ended: it waits, and no living server offers its job type or can read its params."""
    missed_fires: tuple[MissedFires, ...] = ()
    """One for each schedule that an alert is about, by name; empty where there is a run."""
    created_at: datetime | None = None
    """When it was put into the outbox: for an ended run the instant at which it ended."""

    @property
    def title(self) -> str:
        """The message in one line, such as ``✅ Job completed: RevenueCat Sync``."""
        if self.run is None:
            return f"{MISSED_SIGN} {self._what_was_missed}"
        if self.stranded:
            return f"{WAITING_SIGN} No server can run: {self.label}"
        return f"{SIGNS.get(self.run.status, OTHER_SIGN)} Job {self.run.status}: {self.label}"

    @property
    def details(self) -> list[tuple[str, str]]:
        """What there is to say, as captions with values, in order. A value may have several lines."""
        run = self.run
        if run is None:
            return self._schedules
        told = [("Job", self.label)]
        if self.stranded:
            told.append(
                ("Status", f"{run.status}: no living server offers the job type {run.job_type} or can read its params")
            )
        else:
            told += [("Status", str(run.status)), ("Duration", _duration(run))]
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
    def _what_was_missed(self) -> str:
        match self.missed_fires:
            case [only]:
                return f"Schedule missed: {only.schedule}"
            case several:
                return f"{len(several)} schedules missed fire times"

    @property
    def _schedules(self) -> list[tuple[str, str]]:
        told = [(f"{one.schedule} ({one.job_type})", str(one)) for one in self.missed_fires[:MOST_SCHEDULES]]
        if len(self.missed_fires) > MOST_SCHEDULES:
            told.append(("Further schedules", str(len(self.missed_fires) - MOST_SCHEDULES)))
        return [*told, ("Every fire time", "owlrunner system fires --outcome missed")]


def _duration(run: JobRun) -> str:
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
