"""This is the room for the pages on which users sign in and out."""

import re
from collections.abc import Mapping
from typing import TypeVar

from quart import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.accounts.credentials import new_token
from owlrunner.accounts.door import SESSION_SECONDS
from owlrunner.errors import InvalidRequest, TooManyRequests, Unauthenticated
from owlrunner.web.api import Api
from owlrunner.web.auth import browser_cookie, token_cookie
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.visitor import origin_of_request, require_own_form, visitor
from owlrunner.web.errors import refusal_of

HOME = "/dashboard"
_KEY = re.compile(r"[0-9a-f]{64}")


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/sign-in")
    async def sign_in() -> str:
        return draw("sign_in", next=_next(request.args.get("next")), email="")

    @pages.post("/sign-in")
    async def send_code() -> Response:
        form = await request.form
        page = _carried(form)
        # A code is good for the browser that asked for it, so that nobody else can use it up.
        key = _browser_key(api)
        try:
            issued = await api.mails.issue(page["email"], origin_of_request(key))
        except (InvalidRequest, TooManyRequests) as problem:
            return _problem("sign_in", problem, page)
        shown = issued.code if api.config.web.show_codes and issued.goes_out else ""
        response = Response(draw("code", code=shown, **page))
        return _with_header(response, browser_cookie(api.site, key))

    @pages.post("/sign-in/code")
    async def check_code() -> BaseResponse | Response:
        form = await request.form
        page = _carried(form)
        # Another page, or whoever sat here before, may have planted the key that the browser has.
        new_key, origin = new_token(), origin_of_request(_browser_key(api))
        try:
            signed_in = await api.accounts.sign_in(page["email"], form.get("code"), origin, new_key=new_key)
        except (InvalidRequest, TooManyRequests, Unauthenticated) as problem:
            return _problem("code", problem, page | {"code": ""})
        response = redirect(page["next"], 303)
        _with_header(response, token_cookie(api.site, signed_in.token, seconds=SESSION_SECONDS))
        return _with_header(response, browser_cookie(api.site, new_key))

    @pages.post("/sign-out")
    async def sign_out() -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        await api.accounts.sign_out(who.token)
        return _with_header(redirect("/sign-in", 303), token_cookie(api.site, "", seconds=0))


def _carried(form: Mapping[str, str]) -> dict[str, str]:
    """What goes from step to step."""
    return {"next": _next(form.get("next")), "email": form.get("email", "").strip()}


def _next(wanted: str | None) -> str:
    """Where to go afterwards: a page of ours, or the first one."""
    is_ours = wanted is not None and wanted.startswith("/dashboard") and "\\" not in wanted
    return wanted if wanted is not None and is_ours else HOME


def _browser_key(api: Api) -> str:
    """What the browser is known by, or will be."""
    key = request.cookies.get(api.site.browser_cookie, "")
    return key if _KEY.fullmatch(key) else new_token()


def _problem(page: str, problem: Exception, context: Mapping[str, str]) -> Response:
    """The page again, with what was wrong."""
    refusal = refusal_of(problem, request.path)
    assert refusal is not None  # noqa: S101 - nobody asks for other errors
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    return Response(draw(page, problem=refusal.sentence, **context), refusal.status, headers)


AnyResponse = TypeVar("AnyResponse", bound=BaseResponse | Response)


def _with_header(response: AnyResponse, header: tuple[bytes, bytes]) -> AnyResponse:
    name, value = header
    response.headers.add(name.decode(), value.decode())
    return response
