"""A fixed sample of the laboratory's cases; `make lab` plays all of them."""

import pytest

from tests.lab.arena import Setting
from tests.lab.faults import Case
from tests.lab.ground import Ground
from tests.lab.play import play
from tests.lab.scenarios import SCENARIOS
from tests.lab.server_process import open_forge

LEASE = 3.0
HOLDING = (
    "finish/*/job_runs.claim_pending:1/cut-after",
    "finish/*/job_runs.finish:1/cut-after",
    "finish/*/job_runs.finish:1/delay",
    "trigger/*/job_runs.insert_pending:1/cut-before",
    "cancel-pending/*/job_runs.request_cancel:1/cut-after",
    "schedule/*/schedules.record_fire:1/cut-after",
    "takeover/*/job_runs.fail_stale:1/cut-before",
)
NOT_YET = (
    ("finish/*/job_runs.claim_pending:1/swallow", "no statement has a deadline, so this one is waited for for ever"),
    ("finish/*/job_runs.finish:1/silence", "no statement has a deadline, so this one is waited for for ever"),
)


@pytest.mark.parametrize(
    "name", [*HOLDING, *(pytest.param(name, marks=pytest.mark.xfail(reason=reason)) for name, reason in NOT_YET)]
)
async def test_one_fault_breaks_no_promise(ground: Ground, name: str) -> None:
    """Whatever becomes of the statement, the books are right in the end, and the server works on."""
    case = Case.parse(name)
    setting = Setting(lease=LEASE, hold=LEASE + 1, tenant=ground.tenant)
    async with open_forge() as forge:
        played = await play(ground, forge, setting, SCENARIOS[case.scenario], case.fault)
    assert played.holds, "\n".join([*played.broken, *played.log])
    assert played.struck, "the statement never came"
