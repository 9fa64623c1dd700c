"""E-mail for OwlRunner: the notifier ``email`` mails how a run has ended, through the mail server of the section ``[mail]``."""

import attrs

import owlrunner
from owlrunner_email.layout import html_part, shortened, text_part

__all__ = ["EmailNotifier", "EmailSettings"]

WHY_ALERT = "This address gets the alerts about system jobs and schedules (SYSTEM_JOBS_ALERT_EMAIL)."
WHY_ASKED = "You asked to be told when this run has ended."


@attrs.frozen
class EmailSettings:
    """What the mails look like. How they travel is the business of the section ``[mail]``."""

    subject_tag: str = "OwlRunner"
    """What stands in brackets before each subject; empty for nothing."""


@attrs.frozen
class EmailNotifier:
    """Sends each notification as one mail with a text and an HTML part."""

    mailer: owlrunner.MailSender = attrs.field(repr=False)
    settings: EmailSettings = EmailSettings()

    async def send(self, notification: owlrunner.Notification) -> None:
        """Send it, and return when the mail server has taken it. What the mailer raises is what the delivery needs to know."""
        tag = self.settings.subject_tag.strip()
        details = [(caption, shortened(value)) for caption, value in notification.details]
        # Only the owner hears of schedules, and of runs that belong to no team.
        run = notification.run
        why = WHY_ALERT if run is None or run.team_id is None else WHY_ASKED
        await self.mailer.send(
            notification.recipient,
            f"[{tag}] {notification.title}" if tag else notification.title,
            text_part(details, why),
            html_part(details, why),
            message_id=str(notification.id),
        )


@owlrunner.hookimpl
def owlrunner_notifiers(settings: owlrunner.Settings) -> dict[str, owlrunner.Notifier]:
    """Offer ``email``."""
    return {"email": EmailNotifier(settings.mailer, settings.load(EmailSettings))}
