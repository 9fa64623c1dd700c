"""Webhooks for OwlRunner: the notifier ``webhook`` posts how a run has ended, as signed JSON, to an address of the owner's.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com), for which receivers have libraries.
"""

import owlrunner
from owlrunner_webhook.message import signed
from owlrunner_webhook.notifier import NotAccepted, WebhookNotifier
from owlrunner_webhook.settings import WebhookSettings

__all__ = ["NotAccepted", "WebhookNotifier", "WebhookSettings", "signed"]


@owlrunner.hookimpl
def owlrunner_notifiers(settings: owlrunner.Settings) -> dict[str, owlrunner.Notifier]:
    """Offer ``webhook`` where an address is set."""
    wanted = settings.load(WebhookSettings)
    return {"webhook": WebhookNotifier(wanted)} if wanted.url else {}
