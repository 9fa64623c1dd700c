"""What stands for the database in tests of the loops: its statements are methods of a test's own, and it can be away."""

import contextlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import attrs
import pytest
import trio

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage.postgres import Database


class _Session:
    """A session that sends nothing."""

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Hold together."""
        yield


@attrs.define(eq=False)
class StandIn(Database):
    """A database whose sessions cost no time and reach nothing."""

    sessions: list[float] = attrs.field(factory=list)
    """When one was asked for."""
    away: int = 0
    """How many more times it cannot be reached."""

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """Reach it."""
        self.sessions.append(trio.current_time())
        if self.away:
            self.away -= 1
            raise DatabaseUnavailable("away")
        yield _Session()

    def answer_for(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, *statements: str) -> None:
        """Take the place of these functions of a module: each is a method of the same name."""
        for name in statements:
            monkeypatch.setattr(module, name, getattr(self, name))
