"""This is the room for what somebody wants to be run, and for what must be right about it before it is asked of the database."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import msgspec

from owlrunner.durations import parse_duration, parse_instant
from owlrunner.errors import InvalidParams, InvalidRequest
from owlrunner.job_type import AnyJobType, Scope
from owlrunner.json_text import has_many_zeros
from owlrunner.large_input import json_of
from owlrunner.params import MANY_ZEROS

RUN_AT_YEARS = range(1970, 3000)
MAX_PARAMS_BYTES = 256 * 1024
NO_PROJECT = "Project not found"


@attrs.frozen
class TriggerRequest:
    """What somebody wants to be run, as it came in: texts are not yet checked."""

    job_type: str | None
    project_id: str | None = None
    params: Any = None
    notify: bool = False
    run_at: str | None = None
    """An ISO 8601 time, or a delay such as ``10m``; None for now."""
    priority: int = 0
    """-100 to 100; higher is claimed first."""


def checked_project(job_type: AnyJobType, text: str | None) -> UUID | None:
    """The project that a run is for: needed for the project scope, refused for the system scope."""
    if job_type.scope is Scope.SYSTEM:
        if text:
            raise InvalidRequest(f"project_id: {job_type.name} is a system job and works for no project")
        return None
    if not text:
        raise InvalidRequest("project_id is required for project-scoped jobs")
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise InvalidRequest(f"project_id: expected a uuid, got {text[:60]!r}") from None


def checked_params(job_type: AnyJobType, params: Any) -> str | None:
    """Params as the JSON text to store, the same for whoever gives them: API, form, command line, file of schedules."""
    # Before: what will be refused is not worth the time that it would take.
    if (given := json_of(params)) is not None:
        _require_size(len(given))
        if has_many_zeros(given):
            raise InvalidParams(MANY_ZEROS)
    text = job_type.encode_params(params)
    if text is None:
        return None
    _require_size(len(text))
    return text.decode()


def _require_size(size: int) -> None:
    if size > MAX_PARAMS_BYTES:
        raise InvalidParams(f"params: at most {MAX_PARAMS_BYTES:,} bytes as JSON, got {size:,}")


def checked_due(text: str | None) -> datetime | timedelta | None:
    """When a run is due: an instant, a delay, or None for now."""
    if text is None:
        return None
    delay = parse_duration(text)
    due = delay if delay is not None else parse_instant(text)
    if due is None:
        raise InvalidRequest(f"run_at: expected an ISO 8601 time or a delay such as 10m, got {text[:60]!r}")
    # A time at the very end of the calendar could be stored, but not read back by a session in another time zone.
    if isinstance(due, datetime) and due.year not in RUN_AT_YEARS:
        raise InvalidRequest(
            f"run_at: expected a time in the years {RUN_AT_YEARS[0]} to {RUN_AT_YEARS[-1]}, got {text[:60]!r}"
        )
    return due
