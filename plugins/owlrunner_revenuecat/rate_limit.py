"""This is the room for not asking faster than allowed: a token bucket that all workers draw from, and may pause."""

import math

import trio

MOST_AT_ONCE = 10
"""How many requests may go out together after a silence."""


class TokenBucket:
    """Lets through at most ``per_minute`` calls in any sixty seconds, in the order in which they came.

    A bucket that refilled at the full rate would let through its content on top in its first minute, so the content is
    taken off the rate, and is small.
    """

    def __init__(self, per_minute: int) -> None:
        self._content = max(1, min(MOST_AT_ONCE, per_minute // 6))
        self._per_second = max(per_minute - self._content, 1) / 60
        self._tokens = float(self._content)
        self._counted_at = -math.inf
        self._paused_until = -math.inf
        # Whoever holds it waits for the next token; the others queue behind it, first come, first served.
        self._turn = trio.Lock()

    async def acquire(self) -> None:
        """Wait until one more call is allowed."""
        async with self._turn:
            # Looked at anew after each sleep, because a pause may have come meanwhile.
            while (wait := self._seconds_to_next()) > 0:  # noqa: ASYNC110 - what is waited for is time
                await trio.sleep(wait)
            self._tokens -= 1

    def pause(self, seconds: float) -> None:
        """Let nobody through for so many seconds, and slowly afterwards.

        The bucket is emptied: waiters that all start at the end of the pause would run into the same wall again.
        A pause never shortens a longer one.
        """
        self._paused_until = max(self._paused_until, trio.current_time() + seconds)
        self._tokens = 0.0
        self._counted_at = self._paused_until

    def _seconds_to_next(self) -> float:
        now = trio.current_time()
        if now < self._paused_until:
            return self._paused_until - now
        if now > self._counted_at:
            self._tokens = min(self._content, self._tokens + (now - self._counted_at) * self._per_second)
            self._counted_at = now
        # Just short of one token is one: else a sleep for the last billionth, again and again.
        return (1 - self._tokens) / self._per_second if self._tokens < 1 - 1e-9 else 0.0
