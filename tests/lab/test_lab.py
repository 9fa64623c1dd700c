"""A fixed sample of the laboratory's cases; `make lab` plays all of them."""

from tests.lab.arena import Setting
from tests.lab.faults import Case
from tests.lab.ground import Ground
from tests.lab.server_process import open_forge
from tests.lab.session import Session, Verdict

LEASE = 3.0
AT_ONCE = 4
HOLDING = (
    "finish/*/job_runs.claim_pending:1/cut-after",
    "finish/*/job_runs.finish:1/cut-after",
    "finish/*/job_runs.finish:1/delay",
    "trigger/*/job_runs.insert_pending:1/cut-before",
    "cancel-pending/*/job_runs.request_cancel:1/cut-after",
    "schedule/*/schedules.record_fire:1/cut-after",
    "takeover/*/job_runs.fail_stale:1/cut-before",
    "takeover/*/notifications.release_of_dead:1/cut-before",
    "finish/*/job_runs.claim_pending:1/swallow",
    "finish/*/job_runs.finish:1/silence",
    "cancel/*/job_runs.by_id:1/half-open",
    "shutdown/*/servers.leave:1/cut-after",
)


async def _play(ground: Ground, *names: str) -> None:
    """Play cases side by side; each must come to its fault, and hold."""
    setting = Setting(lease=LEASE, hold=LEASE + 1, tenant=ground.tenant)
    verdicts: list[Verdict] = []
    async with open_forge() as forge:
        await Session(ground, forge, setting, AT_ONCE).play([Case.parse(name) for name in names], verdicts.append)
    told = [
        "\n".join([f"{verdict.case}: {verdict.played.broken or 'not reached'}", *verdict.played.log])
        for verdict in verdicts
        if not (verdict.played.holds and verdict.played.struck)
    ]
    assert not told, "\n".join(told)


async def test_the_sample_holds(ground: Ground) -> None:
    """Whatever becomes of these statements, the books are right in the end, and the server works on."""
    await _play(ground, *HOLDING)
