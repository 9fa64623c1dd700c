"""This is the room for what a server's answers say: the JSON object of a good one, and what is wrong in another."""

from typing import Any

import httpx

from owlrunner.errors import OwlRunnerError

Json = dict[str, Any]


class ApiError(OwlRunnerError):
    """The server declined. ``existing_run_id`` says which run holds the slot; ``retry_after`` is in seconds."""

    def __init__(
        self, status: int, message: str, *, existing_run_id: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"API error ({status}): {message}")
        self.status = status
        self.message = message
        self.existing_run_id = existing_run_id
        self.retry_after = retry_after


def object_of(response: httpx.Response) -> Json:
    """The JSON object of a good answer. Raises ApiError for any other."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if response.is_success and isinstance(content, dict):
        return content
    if response.is_success or not isinstance(content, dict):
        message = f"{response.reason_phrase or 'unexpected answer'}, not the JSON of an OwlRunner server"
        raise ApiError(response.status_code, message, retry_after=_retry_after(response))
    # Framework errors say "Bad Request" in "error", and what is wrong in "message".
    message = content.get("message") or content.get("error") or response.reason_phrase
    existing = content.get("existing_run_id")
    raise ApiError(
        response.status_code,
        str(message),
        existing_run_id=str(existing) if existing else None,
        retry_after=_retry_after(response),
    )


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def run_of(answer: Json) -> Json:
    """The run in an answer. Raises ApiError where there is none."""
    run = answer.get("job_run")
    if not isinstance(run, dict) or not {"id", "status"} <= run.keys():
        raise ApiError(200, "the answer holds no job_run; is this an OwlRunner server?")
    return run
