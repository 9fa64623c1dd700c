"""The statements on login codes: how many there are, until when they are good, and how often one may be guessed at."""

from typing import Any
from uuid import UUID

from owlrunner.storage import accounts
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, value

EMAIL = "ann@acme.test"


async def put_code(session: Session, **values: Any) -> UUID:
    """A login code that is good."""
    about = {"email": EMAIL, "code_hash": "right", "expires_at": now(60)} | values
    code_id: UUID = (await put(session, "email_verification_codes", **about))["id"]
    return code_id


async def issued(session: Session, per_hour: int = 3) -> tuple[Any, Any]:
    """A new code's id, or none and the seconds until one may be asked for."""
    params = {"email": EMAIL, "code_hash": "new", "per_hour": per_hour}
    ((code_id, seconds),) = await session.rows("accounts/issue_code", params)
    return code_id, seconds


async def test_codes_are_limited_by_the_hour(db: Database) -> None:
    """An address has so many within an hour; then it waits until the first of them is an hour old. Others' do not count."""
    async with db.session() as session, session.transaction():
        await put_code(session, created_at=now(-3600))
        await put_code(session, email="bob@acme.test", created_at=now(-1))
        for seconds in (-3599, -9):
            await put_code(session, created_at=now(seconds))
        last, _ = await issued(session)
        assert last is not None
        assert await issued(session) == (None, 1)
        (code,) = await look(session, "select * from email_verification_codes where id = %s", last)
        assert (code["email"], code["code_hash"], code["created_at"]) == (EMAIL, "new", await value(session, now()))
        assert (code["used_at"], code["expires_at"]) == (None, await value(session, now(600)))


async def test_a_new_code_ends_those_before_it(db: Database) -> None:
    """Those of the address that are still good, unless there is no new one; those that are a day old are forgotten."""
    async with db.session() as session, session.transaction():
        good = await put_code(session, created_at=now(-9))
        used, over = (
            await put_code(session, used_at=now(-5), created_at=now(-9)),
            await put_code(session, expires_at=now(-5)),
        )
        others = await put_code(session, email="bob@acme.test", created_at=now(-100_000))
        old, young = await put_code(session, created_at=now(-86_401)), await put_code(session, created_at=now(-86_400))
        before = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        refused, _ = await issued(session, per_hour=3)
        assert refused is None
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert after == {one: row for one, row in before.items() if one != old}
        new, _ = await issued(session, per_hour=4)
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        at = await value(session, now())
        assert {one for one, row in after.items() if before.get(one) != row} == {good, young, new}
        assert (after[good]["expires_at"], after[young]["expires_at"]) == (at, at)
        assert (after[used]["expires_at"], after[over]["expires_at"], after[others]["expires_at"]) == tuple(
            before[one]["expires_at"] for one in (used, over, others)
        )


async def test_guesses_are_counted_and_codes_used_once(db: Database) -> None:
    """At the live code of an address: one that is used, over, guessed at too often, or another address's is no target."""
    async with db.session() as session, session.transaction():
        used = await put_code(session, used_at=now(-1))
        over = await put_code(session, expires_at=now())
        tried = await put_code(session, wrong_guesses=5)
        others = await put_code(session, email="bob@acme.test")
        before = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert not await accounts.guess_code(session, EMAIL, "right", 5)
        assert {row["id"]: row for row in await look(session, "select * from email_verification_codes")} == before
        live = await put_code(session, wrong_guesses=3, expires_at=now(0.001))
        assert not await accounts.guess_code(session, EMAIL, "wrong", 5)
        assert await accounts.guess_code(session, EMAIL, "right", 5)
        assert not await accounts.guess_code(session, EMAIL, "right", 5)
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert (after[live]["wrong_guesses"], after[live]["used_at"]) == (4, await value(session, now()))
        assert {one: after[one] for one in (used, over, tried, others)} == before


async def test_a_code_that_was_not_mailed_does_not_count(db: Database) -> None:
    """It is forgotten, unless somebody has used it; others stay."""
    async with db.session() as session, session.transaction():
        codes = [await put_code(session), await put_code(session, used_at=now()), await put_code(session)]
        for code_id in codes[:2]:
            await accounts.withdraw_code(session, code_id)
        left = {row["id"] for row in await look(session, "select id from email_verification_codes")}
        assert left == set(codes[1:])
