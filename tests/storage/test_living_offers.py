"""What living servers offer is remembered for a second, for each job type by itself."""

import pytest

from owlrunner.storage.living_offers import REMEMBERED, LivingOffers
from owlrunner.storage.postgres import Database
from tests.storage.rows import put_server


async def test_an_answer_holds_for_a_second(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first question is asked, also on a machine that has just started; later ones when the answer is too old."""
    clock = 0.5
    monkeypatch.setattr("owlrunner.storage.living_offers.time.monotonic", lambda: clock)
    offers = LivingOffers()
    async with db.session() as session:
        await put_server(session, job_types=["a"], fingerprints=["f"])
    assert await offers.of(db, "a") == (True, True)
    assert await offers.of(db, "b") == (True, False)
    async with db.session() as session:
        await session.connection.execute("delete from servers")
    clock += REMEMBERED
    assert await offers.of(db, "a") == (True, True)
    clock += 0.1
    assert await offers.of(db, "a") == (False, False)
