"""This is the room for the one table that says which error is which answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from owlrunner.accounts import SeveralTeams
from owlrunner.errors import (
    AlreadyExists,
    DatabaseUnavailable,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RunAlreadyActive,
    ServerBusy,
    StatementFailed,
    TooManyRequests,
    Unauthenticated,
)
from owlrunner.web.exchange import Answer, ProtocolRefusal, encode
from owlrunner.web.rendering import membership_bodies
from owlrunner.web.wire import ConflictError, CrashError, Error, ProtocolError, RouteError, SeveralTeamsError

logger = logging.getLogger(__name__)

STATUS: Mapping[type[Exception], int] = {
    InvalidRequest: 400,
    Unauthenticated: 401,
    PermissionDenied: 403,
    NotFound: 404,
    AlreadyExists: 409,
    RunAlreadyActive: 409,
    TooManyRequests: 429,
    ServerBusy: 503,
    DatabaseUnavailable: 503,
}
"""Each error with its status; what is derived from it gets the same. What is not in here is our own fault: 500."""

OUTAGE_SECONDS = 5
"""When a client may come back after an outage."""
OUTAGE = "The database cannot be reached. Try again later."
"""What is told instead of the error, which names hosts."""


class Refusal(NamedTuple):
    """What somebody is told who does not get what they asked for."""

    status: int
    sentence: str
    retry_after: int | None = None
    """Seconds."""


def refusal_of(error: Exception, route: str) -> Refusal | None:
    """What an error stands for; None where it is our own fault. ``route`` is for the log."""
    if isinstance(error, StatementFailed) and error.transient:
        # Undone and tried again for nothing: a lock, a failover, a schema that is being restored. It may be over in a moment.
        logger.warning("%s: %s", route, error)
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, OUTAGE, OUTAGE_SECONDS)
    kind = next((kind for kind in type(error).__mro__ if kind in STATUS), None)
    if kind is None:
        return None
    if kind is DatabaseUnavailable:
        logger.warning("%s: %s", route, error)
        return Refusal(STATUS[kind], OUTAGE, OUTAGE_SECONDS)
    return Refusal(STATUS[kind], str(error), error.retry_after if isinstance(error, TooManyRequests) else None)


def error_answer(error: Exception, route: str) -> Answer:
    """The answer that an error stands for. ``route`` is for the log."""
    if isinstance(error, ProtocolRefusal):
        return Answer(error.status, encode(ProtocolError(error.status, error.code, error.error, error.message)))
    refusal = refusal_of(error, route)
    if refusal is None:
        logger.error("%s crashed", route, exc_info=error)
        return Answer(500, encode(CrashError(500, "Internal Server Error", "Internal Server Error")))
    status, sentence, seconds = refusal
    if isinstance(error, RunAlreadyActive):
        return Answer(status, encode(ConflictError(sentence, error.existing_run_id)))
    if isinstance(error, SeveralTeams):
        return Answer(status, encode(SeveralTeamsError(sentence, membership_bodies(error.memberships))))
    headers = ((b"retry-after", str(seconds).encode()),) if seconds is not None else ()
    return Answer(status, encode(Error(sentence)), headers)


def no_route(method: str, path: str) -> Answer:
    """The answer for a path or method that nobody serves."""
    return Answer(404, encode(RouteError(f"Route {method}:{path} not found", HTTPStatus.NOT_FOUND.phrase, 404)))
