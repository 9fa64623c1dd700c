"""The rate limit of an API key, shared by all runs and servers on one database."""

import hashlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import trio

import owlrunner
from owlrunner_revenuecat.storage import pause_requests, reserve_requests

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that the database may take. A sync does not stand still because its database is slow."""
ASK_AGAIN_AFTER = 10.0
"""Seconds for which a database that did not answer is left alone."""

logger = logging.getLogger(__name__)


class SharedLimit:
    """The book of one key and one kind of requests. Every statement opens a connection of its own, as in ``saving``."""

    def __init__(self, ctx: owlrunner.JobContext, api_key: str, kind: str) -> None:
        self._ctx = ctx
        self._key_hash = hashlib.sha256(api_key.encode()).hexdigest()
        self._kind = kind
        self._ask_again_at = -math.inf

    async def reserve(self, length: float, made_up_for: float) -> float | None:
        """See ``rate_limit.Shared``."""
        return await self._ask(
            lambda connection: reserve_requests(
                connection, self._key_hash, self._kind, length=length, made_up_for=made_up_for
            )
        )

    async def pause(self, seconds: float) -> None:
        """See ``rate_limit.Shared``."""
        await self._ask(lambda connection: pause_requests(connection, self._key_hash, self._kind, seconds))

    async def _ask(self, statement: Callable[[owlrunner.Connection], Awaitable[T]]) -> T | None:
        if trio.current_time() < self._ask_again_at:
            return None
        try:
            with trio.fail_after(PATIENCE):
                async with self._ctx.connect() as connection:
                    return await statement(connection)
        except (trio.TooSlowError, psycopg.Error, owlrunner.OwlRunnerError) as error:
            why = error if str(error) else f"no answer within {PATIENCE:g} seconds"
            logger.warning("the rate limit cannot be shared for %g seconds: %s", ASK_AGAIN_AFTER, why)
            self._ask_again_at = trio.current_time() + ASK_AGAIN_AFTER
            return None
