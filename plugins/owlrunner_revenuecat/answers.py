"""What RevenueCat's refusals mean: which of them say "later", "never", or something about one user alone."""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

import owlrunner

MESSAGE_LENGTH = 500
"""How many characters of RevenueCat's own words an error keeps."""
PAUSE_UNTOLD = 5.0
"""Seconds to wait after a 429 that names no time."""
LONGEST_PAUSE = 120.0
"""Seconds that are believed at most. The limits are per minute, so a longer wait is a misunderstanding."""
_LATER = frozenset({408, 423, 425})


class RevenueCatError(owlrunner.OwlRunnerError):
    """RevenueCat did not give what was asked.

    ``code`` is the HTTP status as text, or ``timeout``, ``network`` or ``malformed``.
    """

    def __init__(self, code: str, message: str, *, worth_retrying: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.worth_retrying = worth_retrying

    @property
    def is_about_one_user(self) -> bool:
        """Whether RevenueCat understood the question and refuses this one: other users may be answered. 429 is about all."""
        return self.code.startswith("4") and self.code != "429"


class KeyRefused(RevenueCatError):
    """401 or 403: no further request with this key makes sense. Correct the key or its permissions."""


class Unknown(RevenueCatError):
    """404: RevenueCat has no such customer."""


class RateLimited(RevenueCatError):
    """429: nobody may ask for ``pause`` seconds."""

    def __init__(self, message: str, *, pause: float) -> None:
        super().__init__("429", message)
        self.pause = pause


@attrs.frozen
class _ErrorBody:
    message: Any = None
    backoff_ms: Any = None
    retryable: Any = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, secret: str) -> RevenueCatError:
    """The error that an answer other than 2xx stands for. ``secret`` is blotted out should RevenueCat repeat it."""
    try:
        told = msgspec.json.decode(body, type=_ErrorBody)
    except msgspec.DecodeError:
        told = _ErrorBody()
    words = told.message if isinstance(told.message, str) else body[: 4 * MESSAGE_LENGTH].decode("utf-8", "replace")
    words = words.replace(secret, "****").replace("\x00", "").strip()[:MESSAGE_LENGTH]
    message = f"RevenueCat answered {status}: {words}" if words else f"RevenueCat answered {status}"
    if status in (401, 403):
        return KeyRefused(str(status), message)
    if status == 404:
        return Unknown("404", message)
    if status == 429:
        return RateLimited(message, pause=pause_seconds(told.backoff_ms, headers.get("retry-after")))
    later = status in _LATER or (status >= 500 and status != 501) or told.retryable is True
    return RevenueCatError(str(status), message, worth_retrying=later)


def pause_seconds(backoff_ms: object, retry_after: str | None) -> float:
    """How long a 429 asks to wait: by ``backoff_ms`` of its body, else by ``Retry-After``, else PAUSE_UNTOLD.

    ``backoff_ms`` is in milliseconds and the header in seconds, as RevenueCat's specification has them. A header that
    is no number (HTTP allows a date, which would compare two clocks) counts as none.
    """
    if isinstance(backoff_ms, int | float) and not isinstance(backoff_ms, bool) and backoff_ms > 0:
        return min(backoff_ms / 1000, LONGEST_PAUSE)
    try:
        told = float(retry_after or "")
    except ValueError:
        return PAUSE_UNTOLD
    if not told > 0:
        return PAUSE_UNTOLD
    return min(told, LONGEST_PAUSE)
