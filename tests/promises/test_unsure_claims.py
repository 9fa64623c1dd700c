"""P16: a claim whose answer was lost is looked up at once, and what it took is executed."""

from typing import Any

import pytest
import trio

from owlrunner.errors import DatabaseUnavailable
from owlrunner.job_run import RunStatus
from owlrunner.runtime import worker
from owlrunner.storage import attempts
from tests.pooler import needs_listen
from tests.promises.serving import PATIENCE, Door, LogEar, Serve


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """So many ``lost`` claims take effect without an answer; how often was ``released`` what nobody knows, and a third time."""
    about: dict[str, Any] = {"lost": 0, "released": 0, "third": trio.Event()}
    claim, release = attempts.claim_pending, attempts.release_unstarted

    async def claim_pending(*arguments: Any) -> Any:
        claimed = await claim(*arguments)
        if claimed and about["lost"]:
            about["lost"] -= 1
            raise DatabaseUnavailable("the answer was lost", unknown=True)
        return claimed

    async def release_unstarted(*arguments: Any) -> Any:
        about["released"] += 1
        if about["released"] == 3:
            about["third"].set()
        return await release(*arguments)

    monkeypatch.setattr(attempts, "claim_pending", claim_pending)
    monkeypatch.setattr(attempts, "release_unstarted", release_unstarted)
    monkeypatch.setattr(worker, "OUTAGE_DELAY", 0.05)
    return about


@needs_listen
async def test_a_claim_without_an_answer_is_looked_up_at_once(
    door: Door, serve: Serve, claims: dict[str, Any], log_ear: LogEar
) -> None:
    """Runs that stand in our name without our knowing go back and are executed, long before the next look would find them."""
    await serve(poll_interval=600, lease=1200)
    claims["lost"] = 2
    run_id = await door.trigger("polite", params={"steps": 1, "seconds": 0})
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert (run.attempt, run.max_attempts, claims["lost"]) == (3, 3, 0)
    assert log_ear.has_heard(f"run {run_id} was claimed by a statement whose answer was lost; it goes back")


@needs_listen
async def test_what_is_held_is_compared_now_and_then(door: Door, serve: Serve, claims: dict[str, Any]) -> None:
    """Without any trouble a server looks up what stands in its name in every half of a lease, and not with every claim."""
    await serve(poll_interval=600, lease=1200)
    for _ in range(3):
        await door.until(await door.trigger("polite", params={"steps": 1, "seconds": 0}), RunStatus.COMPLETED)
    assert claims["released"] == 1


async def test_what_is_held_is_compared_in_every_half_of_a_lease(serve: Serve, claims: dict[str, Any]) -> None:
    """A server without work looks up what stands in its name again and again."""
    await serve(poll_interval=600, lease=0.2)
    with trio.fail_after(PATIENCE):
        await claims["third"].wait()
