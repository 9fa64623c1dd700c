"""This is the room for what is said to whom once a run has ended, and for what a plugin must be to say it."""

from typing import Protocol
from uuid import UUID

import attrs


@attrs.frozen
class Notification:
    """One message about an ended run to one recipient."""

    id: UUID
    recipient: str
    """An e-mail address."""
    subject: str
    text: str
    """The message for people, plain text."""


class Notifier(Protocol):
    """What a plugin hands over to send notifications: anything with this one method."""

    async def send(self, notification: Notification) -> None:
        """Send it. Raising means: try again later."""
