"""From where somebody asks to be signed in, and how often that is allowed.

Six digits are guessed in the end by whoever may guess often enough, and a mailbox is flooded by whoever may ask for enough codes.
Each limit that counts strangers together could be used up by one of them, who would lock everybody else out. So whoever asks from
where somebody has signed in with the address before, by the same browser or as a program from the same client, is counted apart.
"""

import attrs

from owlrunner.accounts.credentials import Caller, hashed
from owlrunner.decoding import storable_text
from owlrunner.storage.sign_ins import CodeLimits, Place

GUESSES = 5
"""Wrong guesses that a code takes; a program's takes as many from other clients than the one that asked for it."""
LIMITS = CodeLimits(own=5, of_address=10, of_day=30, of_client=30, of_all=1000)
"""Codes within an hour: for one address that one browser, or a program, asks for, that strangers ask for, within a day too; for all
addresses that one stranger's client asks for, and all of them."""
FAILURES_OF_CLIENT = 100
"""Sign-ins from one client that may fail within an hour."""
KNOWN_ORIGINS = 20
"""From how many places somebody may have signed in and be known there."""
LONGEST_USER_AGENT = 300


@attrs.frozen
class Origin:
    """From where a request comes."""

    client: str | None = None
    """The client's address; None where it is not known, because a proxy stands in between."""
    browser_key: str | None = attrs.field(default=None, repr=False)
    """What only the browser has that asks; None for a program."""
    user_agent: str = ""

    def __str__(self) -> str:
        return self.client or "an unknown client"

    def mark(self, caller: Caller) -> Caller:
        """Let a caller's acts tell from where they come."""
        _, client, user_agent = self.place
        return attrs.evolve(caller, actor=attrs.evolve(caller.actor, client=client, user_agent=user_agent))

    @property
    def place(self) -> Place:
        """It, as it is stored."""
        browser = None if self.browser_key is None else hashed(self.browser_key)
        return Place(browser, self.client, storable_text(self.user_agent)[:LONGEST_USER_AGENT])
