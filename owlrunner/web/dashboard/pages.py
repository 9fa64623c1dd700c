"""This is the room for which pages there are, and for what all of them have in common: headers and errors."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

from quart import Blueprint, Quart, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.errors import OwlRunnerError, Unauthenticated
from owlrunner.web.api import Api
from owlrunner.web.dashboard import (
    audit,
    integrations,
    new_run,
    one_run,
    overview,
    projects,
    runs,
    sign_in,
    static_files,
)
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.errors import refusal_of

HEADERS = {
    # Nothing but what this server sends, and nothing written into a page: a message of a job cannot become a script.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
"""For a year browsers come by TLS alone."""


def add_pages(app: Quart, api: Api) -> None:
    """Add all pages to the application."""
    pages = Blueprint("pages", __name__)
    static_files.add_routes(pages)
    for module in (sign_in, overview, new_run, runs, one_run, projects, integrations, audit):
        module.add_routes(pages, api)
    pages.add_url_rule("/", view_func=_home)
    pages.add_url_rule("/dashboard/<path:rest>", view_func=_unknown)
    headers = HEADERS | (OVER_TLS if api.site.tls else {})
    pages.after_request(partial(_with_headers, headers))
    pages.register_error_handler(Unauthenticated, _sign_in_first)
    pages.register_error_handler(OwlRunnerError, _refused)
    app.register_blueprint(pages)


async def _home() -> BaseResponse:
    return redirect(sign_in.HOME)


async def _unknown(rest: str) -> tuple[str, int]:  # noqa: ARG001
    return draw("refused", status=404, sentence="There is no such page"), 404


async def _with_headers(headers: Mapping[str, str], response: Response) -> Response:
    response.headers.update(headers)
    # Pages themselves are not compressed either: beside what a visitor typed they hold the keys of forms.
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def _sign_in_first(_: Unauthenticated) -> BaseResponse | tuple[str, int]:
    """Who is not signed in comes back to where they wanted to go; a script is told, and loads the page anew."""
    if request.path.endswith("/live"):
        return "Sign in first", 401
    return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'))}", 303)


async def _refused(error: OwlRunnerError) -> tuple[str, int, dict[str, str]]:
    """Say in a sentence what is in the way."""
    refusal = refusal_of(error, f"{request.method} {request.path}")
    if refusal is None:
        raise error
    status, sentence, seconds = refusal
    headers = {"Retry-After": str(seconds)} if seconds is not None else {}
    return draw("refused", status=status, sentence=sentence), status, headers
