"""Login codes, from where they were asked for, and what has happened about sign-ins: a function for each query."""

from typing import NamedTuple
from uuid import UUID

from owlrunner.storage.job_runs import Speaks
from owlrunner.storage.postgres import Database, Session


class CodeLimits(NamedTuple):
    """How many login codes may be asked for within an hour, and by strangers for one address within a day."""

    own: int
    of_address: int
    of_day: int
    of_client: int
    of_all: int


class Place(NamedTuple):
    """From where somebody asks: the hash of the browser's key, None for a program; the client's address, if it is known."""

    browser: str | None
    client: str | None
    user_agent: str


class NewCode(NamedTuple):
    """What became of asking for a login code: its id, or the seconds to wait for one, and which limit it was."""

    id: UUID | None
    seconds: int
    limit: str


async def is_known(db: Speaks, email: str, place: Place) -> bool:
    """Whether somebody has signed in with an address from there: by this browser, or by a program from this client."""
    ((known,),) = await db.rows("accounts/is_known", {"email": email, **place._asdict()})
    return bool(known)


async def issue_code(
    db: Database, email: str, code_hash: str, place: Place, limits: CodeLimits, *, known: bool
) -> NewCode:
    """Store a login code, unless there have been too many; ``known`` says by whose limits."""
    asked = {"email": email, "code_hash": code_hash, "known": known, **place._asdict(), **limits._asdict()}
    async with db.session() as session, session.transaction():
        if not known:
            await session.rows("accounts/lock_strangers")
        await session.rows("accounts/lock_email", {"email": email})
        ((code_id, seconds, limit),) = await session.rows("accounts/issue_code", asked)
    return NewCode(code_id, seconds or 0, limit or "")


async def withdraw_code(db: Speaks, code_id: UUID) -> None:
    """End a login code that could not be delivered."""
    await db.rows("accounts/withdraw_code", {"id": code_id})


async def guess_code(db: Speaks, email: str, code_hash: str, place: Place, guesses: int) -> bool:
    """Use a live code up and return True, or count a wrong guess at each that is the browser's, or a program's."""
    guess = {"email": email, "code_hash": code_hash, "guesses": guesses, **place._asdict()}
    return any(is_right for (is_right,) in await db.rows("accounts/guess_code", guess))


async def know_origin(db: Speaks, email: str, place: Place, most: int, instead_of: str | None = None) -> None:
    """Remember that somebody has signed in with an address from there, and the latest ``most`` such places.

    ``instead_of`` is the hash of the key that the browser had before; nobody is known by it any more.
    """
    about = {"email": email, "most": most, "instead_of": instead_of, **place._asdict()}
    await db.rows("accounts/know_origin", about)


async def note_event(db: Speaks, action: str, email: str | None, place: Place) -> None:
    """Note what has happened about a sign-in."""
    await db.rows("accounts/note_event", {"action": action, "email": email, **place._asdict()})


async def recent_failures(session: Session, client: str) -> tuple[int, int]:
    """How many sign-ins from a client have failed within an hour, and the seconds until the first of them counts no more.

    Until the transaction ends nobody else counts those of this client.
    """
    await session.rows("accounts/lock_client", {"client": client})
    ((number, seconds),) = await session.rows("accounts/recent_failures", {"client": client})
    return number, seconds or 0
