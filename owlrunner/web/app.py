"""This is the room for the application: the dispatcher in front, Quart behind it for what is not the API."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response, request
from quart.ctx import RequestContext
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException

from owlrunner.accounts import Accounts, Members
from owlrunner.audit_log import AuditLog
from owlrunner.config import Config
from owlrunner.errors import PermissionDenied, Unauthenticated
from owlrunner.integrations import Integrations
from owlrunner.job_type import Scope
from owlrunner.jobs import Jobs
from owlrunner.large_input import LARGE
from owlrunner.projects import Projects
from owlrunner.storage.postgres import Database
from owlrunner.storage.wakeups import Bell
from owlrunner.web.admission import Admission
from owlrunner.web.api import Api
from owlrunner.web.dashboard import add_pages
from owlrunner.web.dashboard.visitor import PROXIES, TOKEN_COOKIE, token_of_request
from owlrunner.web.dispatch import Dispatcher
from owlrunner.web.errors import error_answer, no_route
from owlrunner.web.exchange import MAX_BODY, Answer, ProtocolRefusal, send_answer
from owlrunner.web.forms import form_size, read_form
from owlrunner.web.login_codes import LoginMails
from owlrunner.web.openapi import job_types_document, openapi_document
from owlrunner.web.readiness import Readiness
from owlrunner.web.routes import ROUTES
from owlrunner.web.shares import party_of
from owlrunner.web.site import Site
from owlrunner.web.streams import Streams


class Connection(TrioASGIHTTPConnection):
    """One exchange: ours, or Quart's.

    The API needs nothing of what Quart sets up for a request (contexts, signals, a session, two tasks). Without, the way to
    a handler and back costs a tenth of the time.
    """

    app: "Application"

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer it."""
        try:
            self.app.site.check(self.scope, asks_credential=self.app.dispatcher.asks_credential(self.scope))
        except (ProtocolRefusal, PermissionDenied) as refusal:
            await send_answer(self.scope, send, error_answer(refusal, f"{self.scope['method']} {self.scope['path']}"))
            return
        if not await self.app.dispatcher.serve(self.scope, receive, send):
            await super().__call__(receive, send)


class Application(QuartTrio):
    """A Quart application in front of which the API's routes are served."""

    asgi_http_class = Connection

    def __init__(self, dispatcher: Dispatcher, api: Api) -> None:
        super().__init__(
            "owlrunner.web", static_folder=None, template_folder=None, root_path=str(Path(__file__).parent)
        )
        self.dispatcher = dispatcher
        self.site = api.site
        self.mails = api.mails
        self.admission = api.admission
        self._api = api

    async def dispatch_request(self, request_context: RequestContext | None = None) -> ResponseReturnValue:
        """Draw a page, with a share of its visitor's. What it streams afterwards has its own limits."""
        caller = None
        if token := token_of_request():
            # Who is not signed in is told so by the page.
            with contextlib.suppress(Unauthenticated):
                caller = await self._api.accounts.resolve(token)
        is_large = False
        if request.method == "POST":
            # Before a share is taken: whoever sends a form slowly, or not at all, holds none meanwhile.
            await read_form(signed_in=caller is not None)
            is_large = await form_size() > LARGE
        if caller is None:
            return await super().dispatch_request(request_context)
        searches = bool(request.args.get("q"))
        async with self._api.admission.of(party_of(caller.actor), searches=searches, is_large=is_large):
            return await super().dispatch_request(request_context)


def build_app(
    jobs: Jobs,
    accounts: Accounts,
    mails: LoginMails,
    config: Config,
    *,
    missing: Callable[[], Collection[str]] = tuple,
    streams: Streams | None = None,
    probe: Database | None = None,
) -> Application:
    """Return the ASGI application: the API, and a Quart application to which pages can be added.

    ``missing`` names what the server lacks besides the database, for ``/ready``; it is asked often and must not block.
    ``streams`` are woken and ended from outside; without, they look by themselves and go on as long as somebody listens.
    ``probe`` is what ``/ready`` asks whether the database answers.
    """
    site = Site.of(config.web)
    triggerable = jobs.catalog.of_scope(Scope.PROJECT)
    api = Api(
        jobs=jobs,
        accounts=accounts,
        members=Members(accounts.db),
        audit=AuditLog(accounts.db),
        projects=Projects(accounts.db),
        integrations=Integrations(accounts.db, jobs),
        mails=mails,
        config=config,
        readiness=Readiness(probe or jobs.db, missing),
        admission=Admission.of_pool(config.database.pool_size, config.web.max_connections // 2),
        streams=streams or Streams(Bell(), trio.Event()),
        job_types=job_types_document(triggerable),
        openapi=openapi_document(ROUTES, triggerable, site.cookie),
        site=site,
    )
    app = Application(Dispatcher(api, ROUTES), api)
    app.config |= {TOKEN_COOKIE: site.cookie, PROXIES: site.proxies}
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    # A path is served as it is, or not at all: no redirects.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    add_pages(app, api)
    app.register_error_handler(404, _not_found)
    app.register_error_handler(405, _not_found)
    app.register_error_handler(Exception, _crashed)
    return app


async def _not_found(_: Exception) -> Response:
    """Nobody serves this path, or not with this method."""
    return _as_response(no_route(request.method, request.scope["raw_path"].decode("ascii", "replace")))


async def _crashed(error: Exception) -> Response | HTTPException:
    """What a page raised; what it raised in order to answer is its answer."""
    if isinstance(error, HTTPException):
        return error
    return _as_response(error_answer(error, f"{request.method} {request.path}"))


def _as_response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, content_type="application/json")
