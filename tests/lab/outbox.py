"""Wait until the outbox is empty."""

from tests.lab.arena import Arena

SEND_TIMEOUT = 1.0
"""Seconds that one try to send may take."""


async def until_sent(arena: Arena) -> None:
    """Wait until each notification has been sent."""

    async def sent() -> bool:
        return not await arena.observer.rows("select from notifications where status <> 'sent'")

    # A try that nobody knows the end of is made again after twice the time that it may take.
    await arena.until("every notification is sent", sent, nominal=2 * SEND_TIMEOUT)
