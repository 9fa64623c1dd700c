"""A database that cannot be reached, for tests of what waits for it in virtual time."""

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.connection import TrioConnection
from owlrunner.storage.postgres import Database
from owlrunner.storage.session_settings import SessionSettings

MOST_TRIES = 100
"""Whoever tries so often does not pause in between, and would go on for ever without any time passing."""


class Away(Database):
    """It refuses every connection, and counts them."""

    def __init__(self) -> None:
        super().__init__("")
        self.tries = 0

    async def connect(
        self,
        settings: SessionSettings | None = None,  # noqa: ARG002
        name: str | None = None,  # noqa: ARG002
    ) -> TrioConnection:
        """Not to be had."""
        self.tries += 1
        assert self.tries < MOST_TRIES
        raise DatabaseUnavailable("away")
