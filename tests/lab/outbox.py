"""What is to be told of runs that have ended."""

from tests.lab.arena import Arena

# An alert about schedules waits for what others have missed, longer than a case may take.
_HURRY = "update notifications set due_at = now() where run_id is null and attempt = 0 and due_at > now() returning id"
SEND_TIMEOUT = 1.0
"""Seconds that one try to send may take."""


async def want_to_be_told(arena: Arena) -> None:
    """From now on the diary's notifier is to tell of system runs, unless somebody else is."""
    await arena.observer.rows(
        "update notification_rules set alert_email = 'owner@example.com', notifiers = '{diary}' where alert_email = ''"
    )


async def until_sent(arena: Arena) -> None:
    """Wait until each notification has been sent."""

    async def sent() -> bool:
        if await arena.observer.rows(_HURRY):
            await arena.observer.rows("select pg_notify('owlrunner_notifications', '')")
        return not await arena.observer.rows("select from notifications where status <> 'sent'")

    # A try that nobody knows the end of is made again after twice the time that it may take.
    await arena.until("every notification is sent", sent, nominal=2 * SEND_TIMEOUT)
