"""What RevenueCat's refusals mean."""

import msgspec
import pytest

from owlrunner_revenuecat.answers import (
    LONGEST_PAUSE,
    PAUSE_UNTOLD,
    KeyRefused,
    RateLimited,
    RevenueCatError,
    Unknown,
    pause_seconds,
    refusal,
)

SECRET = "sk_very_secret"


def refused(status: int, body: object = None, headers: dict[str, str] | None = None) -> RevenueCatError:
    return refusal(status, headers or {}, msgspec.json.encode(body or {}), secret=SECRET)


@pytest.mark.parametrize(
    ("backoff_ms", "retry_after", "seconds"),
    [
        (2500, "60", 2.5),
        (None, "1", 1.0),
        (None, "30", 30.0),
        (None, "2500", LONGEST_PAUSE),
        (10**12, None, LONGEST_PAUSE),
        (None, None, PAUSE_UNTOLD),
        (None, "Wed, 21 Oct 2026 07:28:00 GMT", PAUSE_UNTOLD),
        (None, "nan", PAUSE_UNTOLD),
        (0, "-1", PAUSE_UNTOLD),
        ("soon", "7", 7.0),
        (True, "7", 7.0),
    ],
)
def test_a_429_names_its_pause(backoff_ms: object, retry_after: str | None, seconds: float) -> None:
    """backoff_ms, in milliseconds, counts before Retry-After, in seconds; nonsense is neither believed nor fatal."""
    assert pause_seconds(backoff_ms, retry_after) == seconds


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (401, KeyRefused, False),
        (403, KeyRefused, False),
        (404, Unknown, False),
        (429, RateLimited, False),
        (400, RevenueCatError, False),
        (405, RevenueCatError, False),
        (501, RevenueCatError, False),
        (423, RevenueCatError, True),
        (500, RevenueCatError, True),
        (503, RevenueCatError, True),
    ],
)
def test_each_status_means_later_or_never(status: int, kind: type[RevenueCatError], again: bool) -> None:
    """A refusal carries its status, and says whether the same request may fare better."""
    error = refused(status)
    assert type(error) is kind
    assert error.code == str(status)
    assert error.worth_retrying is again


def test_the_words_of_revenuecat_are_kept() -> None:
    """The error carries RevenueCat's own message, at most 500 characters of it."""
    assert str(refused(422, {"message": "No such thing."})) == "RevenueCat answered 422: No such thing."
    assert str(refused(422, {"message": "x" * 1000})) == f"RevenueCat answered 422: {'x' * 500}"


def test_a_body_that_is_no_json_is_quoted_raw() -> None:
    """What is not RevenueCat's JSON, such as a proxy's page, is quoted as it is."""
    assert (
        str(refusal(502, {}, b"<h1>Bad gateway</h1>\x00\xff", secret=SECRET))
        == "RevenueCat answered 502: <h1>Bad gateway</h1>\ufffd"
    )
    assert str(refusal(502, {}, b"", secret=SECRET)) == "RevenueCat answered 502"


@pytest.mark.parametrize("body", [b'{"message": "key sk_very_secret is bad"}', b"key sk_very_secret is bad"])
def test_a_key_in_an_answer_is_blotted_out(body: bytes) -> None:
    """An API key that the answer repeats does not reach the error."""
    assert str(refusal(401, {}, body, secret=SECRET)) == "RevenueCat answered 401: key **** is bad"
