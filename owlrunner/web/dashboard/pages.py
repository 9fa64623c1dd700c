"""This is the room for which pages there are, and for what all of them have in common: headers, errors, words for templates."""

from urllib.parse import quote

from quart import Blueprint, Quart, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.errors import OwlRunnerError, Unauthenticated
from owlrunner.version import VERSION
from owlrunner.web.api import Api
from owlrunner.web.dashboard import one_run, runs, sign_in, words
from owlrunner.web.errors import refusal_of
from owlrunner.web.rendering import instant

HEADERS = {
    # Nothing but what this server sends, and nothing written into a page: a message of a job cannot become a script.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def add_pages(app: Quart, api: Api) -> None:
    """Add all pages to the application."""
    pages = Blueprint(
        "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/dashboard/static"
    )
    for module in (sign_in, runs, one_run):
        module.add_routes(pages, api)
    pages.add_url_rule("/", view_func=_home)
    pages.add_url_rule("/dashboard", endpoint="dashboard", view_func=_home)
    pages.after_request(_with_headers)
    pages.register_error_handler(Unauthenticated, _sign_in_first)
    pages.register_error_handler(OwlRunnerError, _refused)
    app.register_blueprint(pages)
    app.jinja_env.filters |= {"moment": words.moment, "instant": instant, "pretty": words.pretty}
    app.jinja_env.globals["version"] = VERSION
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


async def _home() -> BaseResponse:
    return redirect(sign_in.HOME)


async def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    if request.endpoint != "pages.static":
        response.headers["Cache-Control"] = "no-store"
    return response


async def _sign_in_first(_: Unauthenticated) -> BaseResponse:
    """Who is not signed in comes back to where they wanted to go."""
    return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'))}", 303)


async def _refused(error: OwlRunnerError) -> tuple[str, int, dict[str, str]]:
    """Say in a sentence what is in the way."""
    refusal = refusal_of(error, f"{request.method} {request.path}")
    if refusal is None:
        raise error
    status, sentence, seconds = refusal
    headers = {"Retry-After": str(seconds)} if seconds is not None else {}
    return await render_template("refused.html", status=status, sentence=sentence), status, headers
