"""The statements on login codes: how many there are, until when they are good, and how often one may be guessed at."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest

from owlrunner.storage import sign_ins
from owlrunner.storage.postgres import Database, Session
from owlrunner.storage.sign_ins import CodeLimits, NewCode, Place
from tests.storage.rows import look, now, put, value

EMAIL = "ann@acme.test"
PROGRAM = Place(None, None, "")


async def put_code(session: Session, **values: Any) -> UUID:
    """A login code that is good."""
    about = {"email": EMAIL, "code_hash": "right", "expires_at": now(60)} | values
    code_id: UUID = (await put(session, "email_verification_codes", **about))["id"]
    return code_id


def limits(own: int = 99, **others: int) -> CodeLimits:
    """No limits but these."""
    return CodeLimits(own, 99, 99, 99, 99)._replace(**others)


async def issued(
    session: Session,
    most: CodeLimits | int = 3,
    *,
    browser: str | None = None,
    client: str | None = None,
    email: str = EMAIL,
) -> NewCode:
    """What becomes of asking for a code."""
    most = limits(most) if isinstance(most, int) else most
    known = await sign_ins.is_known(session, email, Place(browser, client, ""))
    params = {
        "email": email,
        "code_hash": "new",
        "browser": browser,
        "client": client,
        "known": known,
        **most._asdict(),
    }
    ((code_id, seconds, limit),) = await session.rows("accounts/issue_code", params)
    return NewCode(code_id, seconds, limit)


async def test_codes_are_limited_by_the_hour(db: Database) -> None:
    """An address has so many within an hour; then it waits until the first of them is an hour old. Others' do not count."""
    async with db.session() as session, session.transaction():
        await put_code(session, created_at=now(-3600))
        await put_code(session, email="bob@acme.test", created_at=now(-1))
        for seconds in (-3599, -9):
            await put_code(session, created_at=now(seconds))
        last, *_ = await issued(session)
        assert last is not None
        assert await issued(session) == (None, 1, "own")
        (code,) = await look(session, "select * from email_verification_codes where id = %s", last)
        assert (code["email"], code["code_hash"], code["created_at"]) == (EMAIL, "new", await value(session, now()))
        assert (code["used_at"], code["expires_at"]) == (None, await value(session, now(600)))


async def test_a_new_code_ends_those_before_it(db: Database) -> None:
    """Those of the browser that are still good, unless there is no new one; those that are a day old are forgotten."""
    async with db.session() as session, session.transaction():
        good, program = (
            await put_code(session, browser="mine", created_at=now(-9)),
            await put_code(session, created_at=now(-9)),
        )
        used, over = (
            await put_code(session, browser="mine", used_at=now(-5), created_at=now(-9)),
            await put_code(session, browser="mine", expires_at=now(-5)),
        )
        others = await put_code(session, email="bob@acme.test", created_at=now(-100_000))
        old, young = [
            await put_code(session, browser="mine", created_at=now(seconds)) for seconds in (-86_401, -86_400)
        ]
        before = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        refused, *_ = await issued(session, 3, browser="mine")
        assert refused is None
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert after == {one: row for one, row in before.items() if one != old}
        new, *_ = await issued(session, 4, browser="mine")
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        at = await value(session, now())
        assert {one for one, row in after.items() if before.get(one) != row} == {good, young, new}
        assert (after[good]["expires_at"], after[young]["expires_at"]) == (at, at)
        kept = (used, over, others, program)
        assert [after[one]["expires_at"] for one in kept] == [before[one]["expires_at"] for one in kept]


async def test_guesses_are_counted_and_codes_used_once(db: Database) -> None:
    """At the live code of an address: one that is used, over, guessed at too often, or another address's is no target."""
    async with db.session() as session, session.transaction():
        used = await put_code(session, used_at=now(-1))
        over = await put_code(session, expires_at=now())
        tried = await put_code(session, wrong_guesses=5)
        others = await put_code(session, email="bob@acme.test")
        before = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert not await sign_ins.guess_code(session, EMAIL, "right", PROGRAM, 5)
        assert {row["id"]: row for row in await look(session, "select * from email_verification_codes")} == before
        live = await put_code(session, wrong_guesses=3, expires_at=now(0.001))
        assert not await sign_ins.guess_code(session, EMAIL, "wrong", PROGRAM, 5)
        assert await sign_ins.guess_code(session, EMAIL, "right", PROGRAM, 5)
        assert not await sign_ins.guess_code(session, EMAIL, "right", PROGRAM, 5)
        after = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert (after[live]["wrong_guesses"], after[live]["used_at"]) == (4, await value(session, now()))
        assert {one: after[one] for one in (used, over, tried, others)} == before


async def test_guesses_from_elsewhere_are_counted_apart(db: Database) -> None:
    """A program's code takes as many from other clients together as from the one that asked, and neither uses up the other's."""
    async with db.session() as session, session.transaction():
        codes = [await put_code(session, client="192.0.2.7", code_hash=f"code {number}") for number in range(2)]
        places = [PROGRAM._replace(client=client) for client in ("192.0.2.8", "192.0.2.9", "192.0.2.7", None)]
        for place in places * 2:
            assert not await sign_ins.guess_code(session, EMAIL, "wrong", place, 3)
        rows = await look(session, "select wrong_guesses, guesses_elsewhere from email_verification_codes")
        assert rows == [{"wrong_guesses": 2, "guesses_elsewhere": 3}] * 2
        assert not await sign_ins.guess_code(session, EMAIL, "code 0", places[0], 3)
        assert await sign_ins.guess_code(session, EMAIL, "code 0", places[2], 3)
        (other,) = await look(session, "select * from email_verification_codes where id = %s", codes[1])
        assert (other["used_at"], other["wrong_guesses"]) == (None, 3)


@pytest.mark.parametrize("from_known", [True, False])
async def test_a_code_that_was_not_mailed_counts_for_strangers(db: Database, from_known: bool) -> None:
    """It ends, unless somebody has used it, and counts no more for who asked from where they are known, but for all others."""
    async with db.session() as session, session.transaction():
        codes = [
            await put_code(session, from_known=from_known),
            await put_code(session, from_known=from_known, used_at=now()),
            await put_code(session, from_known=from_known),
        ]
        for code_id in codes[:2]:
            await sign_ins.withdraw_code(session, code_id)
        at = await value(session, now())
        rows = {row["id"]: row for row in await look(session, "select * from email_verification_codes")}
        assert [(rows[one]["undelivered"], rows[one]["expires_at"] == at) for one in codes] == [
            (True, True),
            (False, False),
            (False, False),
        ]
        if from_known:
            assert (await issued(session, 2)).limit == "own"
            assert (await issued(session, limits(3, of_address=1))).id is not None
        else:
            assert (await issued(session, 3)).limit == "own"
            assert (await issued(session, limits(4, of_address=3))).limit == "address"
            assert (await issued(session, limits(4, of_address=4))).id is not None


@pytest.mark.parametrize(
    ("limit", "name", "counted", "others"),
    [
        ("of_address", "address", {"browser": "b"}, {"email": "bob@acme.test"}),
        ("of_day", "day", {"browser": "b", "created_at": now(-86_399)}, {"created_at": now(-86_400)}),
        ("of_client", "client", {"email": "bob@acme.test", "client": "192.0.2.7"}, {"client": "192.0.2.8"}),
        ("of_all", "all", {"email": "bob@acme.test", "client": "192.0.2.8"}, {"created_at": now(-3600)}),
    ],
)
async def test_strangers_are_limited_together(
    db: Database, limit: str, name: str, counted: dict[str, Any], others: dict[str, Any]
) -> None:
    """For one address within an hour and a day, for one client, and over all; codes of known visitors do not count."""
    async with db.session() as session, session.transaction():
        for values in (counted, counted, others, counted | {"from_known": True}):
            await put_code(session, **{"created_at": now(-1)} | values)
        refused = await issued(session, limits(**{limit: 2}), browser="new", client="192.0.2.7")
        assert (refused.id, refused.limit, refused.seconds > 0) == (None, name, True)
        assert (await issued(session, limits(**{limit: 3}), browser="new", client="192.0.2.7")).id is not None


async def test_clients_that_are_not_known_are_not_one(db: Database) -> None:
    """Where a proxy hides the clients, they are not limited as if they were one."""
    async with db.session() as session, session.transaction():
        await put_code(session, email="bob@acme.test")
        assert (await issued(session, limits(of_client=1))).id is not None


async def test_no_stranger_locks_out_who_is_known(db: Database) -> None:
    """Whoever asks by a browser, or as a program from a client, that has signed in with the address has a limit of their own."""
    async with db.session() as session, session.transaction():
        for _ in range(3):
            await put_code(session, browser="stranger")
        strict = CodeLimits(3, 1, 1, 1, 1)
        for place in (Place("mine", "192.0.2.7", ""), Place(None, "192.0.2.9", "")):
            asking = partial(issued, session, strict, browser=place.browser, client=place.client)
            assert (await asking()).id is None
            await sign_ins.know_origin(session, EMAIL, place, 20)
            codes = [(await asking()).id for _ in range(3)]
            assert None not in codes
            (row,) = await look(session, "select from_known from email_verification_codes where id = %s", codes[-1])
            assert row["from_known"]
            assert (await asking()).limit == "own"
        for browser, client in (("other", "192.0.2.7"), (None, "192.0.2.7"), ("other", "192.0.2.9")):
            assert (await issued(session, strict, browser=browser, client=client)).id is None
        assert (await issued(session, strict, email="bob@acme.test", browser="mine")).id is None


async def test_a_browser_has_its_codes_wherever_it_is(db: Database) -> None:
    """Another address of the client gives it no more; for programs each client counts for itself."""
    async with db.session() as session, session.transaction():
        for client in ("192.0.2.1", "192.0.2.2"):
            await put_code(session, browser="mine", client=client, created_at=now(-1))
            await put_code(session, client=client, created_at=now(-1))
        assert (await issued(session, 2, browser="mine", client="192.0.2.3")).limit == "own"
        assert (await issued(session, 2, client="192.0.2.2")).id is not None


async def test_a_few_places_are_known(db: Database) -> None:
    """Of the places from which somebody has signed in the latest are known; using one again makes it one of them."""
    async with db.session() as session:
        for browser in ("a", "b", "a", "c"):
            await sign_ins.know_origin(session, EMAIL, Place(browser, "192.0.2.7", ""), 2)
        await sign_ins.know_origin(session, "bob@acme.test", Place(None, "192.0.2.7", ""), 2)
        await sign_ins.know_origin(session, EMAIL, Place(None, None, ""), 2)
        known = {(row["email"], row["mark"]) for row in await look(session, "select * from known_origins")}
    assert known == {(EMAIL, "browser:a"), (EMAIL, "browser:c"), ("bob@acme.test", "client:192.0.2.7")}


async def test_a_code_is_for_the_browser_that_asked(db: Database) -> None:
    """Nobody else can guess at it, use it up, or end it by asking for another one."""
    async with db.session() as session, session.transaction():
        mine = await put_code(session, browser="mine")
        assert (await issued(session, browser="other")).id is not None
        assert (await issued(session)).id is not None
        for browser in ("other", None):
            assert not await sign_ins.guess_code(session, EMAIL, "right", PROGRAM._replace(browser=browser), 5)
        (row,) = await look(session, "select * from email_verification_codes where id = %s", mine)
        assert (row["wrong_guesses"], row["used_at"]) == (0, None)
        assert await sign_ins.guess_code(session, EMAIL, "right", PROGRAM._replace(browser="mine"), 5)


async def test_failures_of_a_client(db: Database) -> None:
    """Those within an hour count, of this client alone; successes do not."""
    async with db.session() as session, session.transaction():
        for seconds, action, client in (
            (-3600, "sign_in_failed", "192.0.2.7"),
            (-3599, "sign_in_failed", "192.0.2.7"),
            (-10, "sign_in_failed", "192.0.2.7"),
            (-10, "sign_in", "192.0.2.7"),
            (-10, "sign_in_failed", "192.0.2.8"),
        ):
            await put(session, "security_events", at=now(seconds), action=action, client=client)
        assert await sign_ins.recent_failures(session, "192.0.2.7") == (2, 1)
        assert await sign_ins.recent_failures(session, "192.0.2.9") == (0, 0)
