"""This is the room for the pages on which users sign in and out."""

from collections.abc import Mapping

from quart import Blueprint, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from owlrunner.accounts.door import SESSION_SECONDS
from owlrunner.errors import InvalidRequest, TooManyRequests, Unauthenticated
from owlrunner.web.api import Api
from owlrunner.web.auth import token_cookie
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.visitor import require_own_form, visitor
from owlrunner.web.login_codes import mail_code

HOME = "/dashboard"


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add them."""

    @pages.get("/sign-in")
    async def sign_in() -> str:
        return draw("sign_in", next=_next(request.args.get("next")), email="")

    @pages.post("/sign-in")
    async def send_code() -> str | tuple[str, int]:
        form = await request.form
        page = _carried(form)
        try:
            issued = await mail_code(api.accounts, api.mailer, page["email"])
        except (InvalidRequest, TooManyRequests) as problem:
            status = 429 if isinstance(problem, TooManyRequests) else 400
            return draw("sign_in", problem=str(problem), **page), status
        shown = issued.code if api.config.web.show_codes and issued.goes_out else ""
        return draw("code", code=shown, **page)

    @pages.post("/sign-in/code")
    async def check_code() -> BaseResponse | tuple[str, int]:
        form = await request.form
        page = _carried(form)
        try:
            signed_in = await api.accounts.sign_in(page["email"], form.get("code"))
        except (InvalidRequest, Unauthenticated) as problem:
            return draw("code", problem=str(problem), code="", **page), 401
        return _with_cookie(redirect(page["next"], 303), api, signed_in.token, SESSION_SECONDS)

    @pages.post("/sign-out")
    async def sign_out() -> BaseResponse:
        who = await visitor(api.accounts)
        await require_own_form(who)
        await api.accounts.sign_out(who.token)
        return _with_cookie(redirect("/sign-in", 303), api, "", 0)


def _carried(form: Mapping[str, str]) -> dict[str, str]:
    """What goes from step to step."""
    return {"next": _next(form.get("next")), "email": form.get("email", "").strip()}


def _next(wanted: str | None) -> str:
    """Where to go afterwards: a page of ours, or the first one."""
    is_ours = wanted is not None and wanted.startswith("/dashboard") and "\\" not in wanted
    return wanted if wanted is not None and is_ours else HOME


def _with_cookie(response: BaseResponse, api: Api, token: str, seconds: int) -> BaseResponse:
    name, value = token_cookie(api.site, token, seconds=seconds)
    response.headers.add(name.decode(), value.decode())
    return response
