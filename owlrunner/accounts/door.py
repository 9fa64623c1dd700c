"""This is the room for what somebody may do about who they are: sign in and out, and hold API keys."""

import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import attrs

from owlrunner.accounts.credentials import (
    KEY_PREFIXES,
    Caller,
    hashed,
    new_code,
    new_token,
    normal_email,
    slug_of,
)
from owlrunner.accounts.new_keys import KeyRequest, chosen_team, create_key
from owlrunner.accounts.origin import FAILURES_OF_CLIENT, GUESSES, KNOWN_ORIGINS, LIMITS, Origin
from owlrunner.accounts.recent_callers import RecentCallers
from owlrunner.accounts.refusals import Refusals
from owlrunner.accounts.sign_up import SignUp
from owlrunner.accounts.turns import Turns
from owlrunner.actor import Role, UserActor, in_team, require_team
from owlrunner.errors import InvalidRequest, NotFound, PermissionDenied, TooManyRequests, Unauthenticated
from owlrunner.storage import accounts, projects, sign_ins
from owlrunner.storage.accounts import ApiKey, Team, User
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.projects import Project

T = TypeVar("T")

SESSION_SECONDS = 7 * 24 * 60 * 60
ALL = "all strangers"
AGENT_KEY_NAME = "CLI Agent Key"

logger = logging.getLogger(__name__)


@attrs.frozen
class IssuedCode:
    """A login code on its way to its owner: nobody else may see ``code``."""

    id: UUID
    email: str
    code: str = attrs.field(repr=False)
    goes_out: bool = True
    """Whether it is to be mailed: not to an address that may not sign up. From outside both look the same."""


@attrs.frozen
class SignedIn:
    """A user who has just signed in. ``token`` is told this once."""

    user: User
    token: str = attrs.field(repr=False)
    is_new: bool


@attrs.frozen
class AgentLogin:
    """A key for a program of somebody who has just signed in. ``raw_key`` is told this once."""

    raw_key: str = attrs.field(repr=False)
    team: Team


@attrs.frozen
class Accounts:
    """The door, for one database. Every method raises DatabaseUnavailable when PostgreSQL is away."""

    db: Database
    recent: RecentCallers = attrs.field(factory=RecentCallers)
    sign_up: SignUp = attrs.field(factory=SignUp)
    _turns: Turns = attrs.field(factory=Turns, init=False, repr=False, eq=False)
    _refusals: Refusals = attrs.field(factory=Refusals, init=False, repr=False, eq=False)

    async def resolve(self, credential: str) -> Caller:
        """Who holds this raw API key or sign-in token. Raises Unauthenticated."""
        ask = self._key_holder if credential.startswith(KEY_PREFIXES) else self._signed_in
        return await self.recent.resolve(hashed(credential), ask)

    async def _signed_in(self, token_hash: str) -> Caller:
        user = await accounts.by_token(self.db, token_hash)
        if user is None:
            raise Unauthenticated("Invalid or expired token")
        return Caller.from_user(user)

    async def _key_holder(self, key_hash: str) -> Caller:
        key = await accounts.by_key(self.db, key_hash)
        if key is None:
            raise Unauthenticated("Invalid API key")
        if key.expired:
            raise Unauthenticated("API key expired")
        return Caller.from_key(key)

    async def issue_code(self, email: str | None, origin: Origin) -> IssuedCode:
        """Store a new login code for an address, known or not: from outside both look the same.

        Raises InvalidRequest and TooManyRequests.
        """
        address = normal_email(email)
        if address is None:
            raise InvalidRequest("Valid email is required")
        code, place = new_code(), origin.place
        known = await sign_ins.is_known(self.db, address, place)
        own = (address, place.browser, place.client)
        if (seconds := self._refusals.seconds_left(own, *([] if known else [(address,), place.client, ALL]))) > 0:
            # Whoever asks on after a refusal takes nobody's turn, and fills no log.
            raise _too_many_codes(seconds)
        # Strangers are counted together. No crowd of theirs is in the way of who is known.
        async with self._turns.of(("codes", address if known else None), None if known else place.client):
            new = await sign_ins.issue_code(self.db, address, hashed(code), place, LIMITS, known=known)
        if new.id is None:
            logger.warning(
                "no login code for %s, asked for from %s: limit %s",
                address,
                origin,
                new.limit,
            )
            # By what is over its limit: a browser's key, which anybody makes anew, is in one of them alone.
            refused = {"client": place.client, "all": ALL, "address": (address,), "day": (address,)}.get(new.limit, own)
            self._refusals.remember(refused, new.seconds)
            await self._note("code_refused", address, origin)
            raise _too_many_codes(new.seconds)
        goes_out = self.sign_up.allows(address) or await accounts.by_email(self.db, address) is not None
        return IssuedCode(new.id, address, code, goes_out)

    async def withdraw_code(self, issued: IssuedCode) -> None:
        """Take back a code that could not be delivered; it does not count for who is known where it was asked for."""
        await sign_ins.withdraw_code(self.db, issued.id)

    async def sign_in(
        self, email: str | None, code: str | None, origin: Origin, *, new_key: str | None = None
    ) -> SignedIn:
        """Sign a user in with a login code; an address that is new and may sign up becomes a user with a team of their own.

        ``new_key`` is what the browser gets instead of its key, and is known by afterwards: the one that it had may have been
        planted by somebody who knows it.

        Raises InvalidRequest, TooManyRequests and Unauthenticated.
        """

        async def start(session: Session, address: str) -> SignedIn:
            user, is_new = await self._user_of(session, address, origin)
            token = new_token()
            await accounts.start_session(session, user.id, hashed(token), SESSION_SECONDS)
            return SignedIn(user, token, is_new)

        return await self._with_code(email, code, origin, start, new_key=new_key)

    async def agent_login(self, email: str | None, code: str | None, team_id: str | None, origin: Origin) -> AgentLogin:
        """Give a user's program a key that may do all an agent may, in return for a login code.

        A refusal leaves the code alive, so that it can be sent again together with the team.

        Raises InvalidRequest, TooManyRequests, Unauthenticated, SeveralTeams, and PermissionDenied: only who may make keys
        gets one.
        """

        async def make(session: Session, address: str) -> AgentLogin:
            user, _ = await self._user_of(session, address, origin)
            team = chosen_team(user, team_id)
            raw, _ = await create_key(session, user, team, KeyRequest(AGENT_KEY_NAME, "agent"), origin)
            return AgentLogin(raw, team)

        return await self._with_code(email, code, origin, make)

    async def sign_out(self, token: str) -> None:
        """End a sign-in. What is not a token that is signed in is ignored."""
        await accounts.end_session(self.db, hashed(token))
        self.recent.forget()

    async def projects(self, actor: UserActor, team_id: UUID) -> list[Project]:
        """The projects of a team. Raises PermissionDenied."""
        require_team(actor, team_id, Role.ADMIN)
        return await projects.by_name(self.db, team_id)

    async def create_key(self, user: User, wanted: KeyRequest, origin: Origin) -> tuple[str, ApiKey]:
        """Make an API key and return it raw, which happens this once, and as it is shown.

        Raises InvalidRequest, SeveralTeams and PermissionDenied.
        """
        if wanted.app_id is not None:
            raise InvalidRequest("app_id: keys of one app are not supported; leave it out")
        return await create_key(self.db, user, chosen_team(user, wanted.team_id), wanted, origin)

    async def keys(self, user: User, team_id: str | None) -> list[ApiKey]:
        """The API keys of one team, or of every team that the user administers. Raises PermissionDenied."""
        if team_id is not None:
            return await accounts.keys(self.db, [chosen_team(user, team_id).id])
        administered = [membership.team.id for membership in user.memberships if membership.role >= Role.ADMIN]
        if not administered:
            raise PermissionDenied("Requires admin role or higher")
        return await accounts.keys(self.db, administered)

    async def revoke_key(self, actor: UserActor, key_id: UUID) -> None:
        """Make an API key invalid. Raises NotFound (also for keys of other teams) and PermissionDenied."""
        team_id = await accounts.key_team(self.db, key_id)
        if team_id is None or not in_team(actor, team_id):
            raise NotFound("API key not found")
        require_team(actor, team_id, Role.ADMIN)
        if not await accounts.revoke_key(self.db, key_id, actor):
            raise NotFound("API key not found")
        self.recent.forget()

    async def _user_of(self, session: Session, address: str, origin: Origin) -> tuple[User, bool]:
        """The user with this address, who is created if need be, and whether that was so."""
        user = await accounts.by_email(session, address)
        is_new = user is None
        if user is None:
            if not self.sign_up.allows(address):
                raise Unauthenticated("Invalid or expired code")
            name = address.partition("@")[0].capitalize()
            await accounts.sign_up(session, address, name, slug_of(name) or "team", origin.place)
            user = await accounts.by_email(session, address)
        if user is None:
            raise NotFound("User not found")
        return user, is_new

    async def _with_code(
        self,
        email: str | None,
        code: str | None,
        origin: Origin,
        then: Callable[[Session, str], Awaitable[T]],
        *,
        new_key: str | None = None,
    ) -> T:
        """Do what a right code allows, in one transaction with using it up; a wrong guess is counted for good."""
        if not email or not code:
            raise InvalidRequest("email and code required")
        address, browser = normal_email(email), origin.place.browser
        # What others at the client do is not held against a browser from which somebody has signed in with the address.
        is_known = (
            address is not None and browser is not None and await sign_ins.is_known(self.db, address, origin.place)
        )
        client = None if is_known else origin.client
        turn = self._turns.of(("guesses", client) if client is not None else ("guesses", address, browser))
        async with turn, self.db.session() as session, session.transaction():
            if client is not None:
                await _require_few_failures(session, client)
            done = None
            if address is not None:
                await accounts.hold_user(session, address)
                done = await self._guessed(session, address, hashed(code.strip()), origin, then, new_key=new_key)
            if done is None:
                await sign_ins.note_event(session, "sign_in_failed", address, origin.place)
        if done is None:
            # Not inside of the transaction: the failure counts.
            logger.warning("a sign-in as %s from %s failed", address, origin)
            raise Unauthenticated("Invalid or expired code")
        return done

    async def _guessed(
        self,
        session: Session,
        address: str,
        code_hash: str,
        origin: Origin,
        then: Callable[[Session, str], Awaitable[T]],
        *,
        new_key: str | None,
    ) -> T | None:
        """What a right code allows; None after a guess that was wrong, and for who may not sign up."""
        with contextlib.suppress(Unauthenticated):
            async with session.transaction():
                if not await sign_ins.guess_code(session, address, code_hash, origin.place, GUESSES):
                    return None
                done = await then(session, address)
                await self._know(session, address, origin, new_key)
                await sign_ins.note_event(session, "sign_in", address, origin.place)
                return done
        return None

    @staticmethod
    async def _know(session: Session, address: str, origin: Origin, new_key: str | None) -> None:
        """Remember from where somebody has signed in; a browser by the key that it gets."""
        place = attrs.evolve(origin, browser_key=new_key or origin.browser_key).place
        instead_of = origin.place.browser if new_key is not None else None
        await sign_ins.know_origin(session, address, place, KNOWN_ORIGINS, instead_of)

    async def _note(self, action: str, address: str | None, origin: Origin) -> None:
        await sign_ins.note_event(self.db, action, address, origin.place)


def _too_many_codes(seconds: float) -> TooManyRequests:
    message = "Too many verification codes requested. Try again later."
    return TooManyRequests(message, retry_after=max(1, math.ceil(seconds)))


async def _require_few_failures(session: Session, client: str) -> None:
    """Raise TooManyRequests, or keep others at the client from guessing until the transaction ends."""
    failures, seconds = await sign_ins.recent_failures(session, client)
    if failures >= FAILURES_OF_CLIENT:
        raise TooManyRequests("Too many failed sign-ins. Try again later.", retry_after=max(1, seconds))
