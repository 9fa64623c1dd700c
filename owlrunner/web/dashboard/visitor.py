"""This is the room for who looks at a page, and for telling our own forms from somebody else's."""

import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

import attrs
from quart import current_app, request

from owlrunner.accounts import Accounts, Membership, Origin, Team, User
from owlrunner.actor import Role, UserActor
from owlrunner.errors import PermissionDenied, Unauthenticated
from owlrunner.web.client_address import origin_of

TOKEN_COOKIE = "TOKEN_COOKIE"  # noqa: S105 - a key of the configuration
"""Where the application's configuration has the name of the cookie."""
PROXIES = "PROXIES"
"""Where it has the networks of trusted proxies."""
FORM_KEY = "form_key"
"""The hidden field of every form."""


@attrs.frozen
class Visitor:
    """A signed-in user."""

    user: User
    actor: UserActor
    token: str = attrs.field(repr=False)

    @property
    def form_key(self) -> str:
        """What a form of ours carries. It comes from the sign-in, and tells nothing about it."""
        return hmac.new(self.token.encode(), b"owlrunner form", hashlib.sha256).hexdigest()

    @property
    def administered(self) -> list[Membership]:
        """The teams whose jobs they may see."""
        return [membership for membership in self.user.memberships if membership.role >= Role.ADMIN]

    def team(self, wanted: str | None) -> Team:
        """The team that is meant: by its id or slug, or the first. Raises PermissionDenied."""
        for membership in self.administered:
            if wanted in {None, "", str(membership.team.id), membership.team.slug}:
                return membership.team
        raise PermissionDenied("Only admins of a team see its jobs")

    def team_of(self, team_id: UUID | None) -> Team | None:
        """One of their teams."""
        return next((one.team for one in self.user.memberships if one.team.id == team_id), None)


def token_of_request() -> str:
    """The token in the request's cookie, or nothing."""
    return request.cookies.get(current_app.config[TOKEN_COOKIE], "")


async def visitor(accounts: Accounts) -> Visitor:
    """Who sent the request, and from where. Raises Unauthenticated."""
    return await visitor_with(accounts, token_of_request(), origin_of_request())


def origin_of_request(browser_key: str | None = None) -> Origin:
    """From where the request comes."""
    scope = request.scope
    assert scope["type"] == "http"  # noqa: S101 - there are no WebSockets here
    return origin_of(scope, current_app.config[PROXIES], browser_key)


async def visitor_with(accounts: Accounts, token: str, origin: Origin | None = None) -> Visitor:
    """Whose token it is. Raises Unauthenticated."""
    if not token:
        raise Unauthenticated("Missing authorization")
    caller = await accounts.resolve(token)
    caller = origin.mark(caller) if origin is not None else caller
    if caller.user is None or not isinstance(caller.actor, UserActor):
        raise Unauthenticated("Invalid or expired token")
    return Visitor(caller.user, caller.actor, token)


async def require_own_form(who: Visitor) -> None:
    """Raise PermissionDenied unless the form is one that was made for this sign-in."""
    form = await request.form
    if not hmac.compare_digest(form.get(FORM_KEY, "").encode(), who.form_key.encode()):
        raise PermissionDenied("This form is out of date. Go back, reload the page, and try again")


async def own_form(accounts: Accounts) -> tuple[Visitor, Mapping[str, str]]:
    """Who sent a form of ours, and what is in it. Raises Unauthenticated and PermissionDenied."""
    who = await visitor(accounts)
    await require_own_form(who)
    return who, await request.form
