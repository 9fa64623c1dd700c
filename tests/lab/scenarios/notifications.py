"""Scenarios about being told: nothing that ended is kept from whoever wants to know."""

from owlrunner.job_run import RunStatus
from tests.lab.arena import Arena
from tests.lab.broken import Broken
from tests.lab.firing import add_schedule, make_due
from tests.lab.outbox import SEND_TIMEOUT, until_sent
from tests.lab.scenarios.registry import scenario
from tests.mail_server import mail_servers

OWNER = "owner@example.com"
_WANTED = {
    "OWLRUNNER_NOTIFICATIONS__ALERT_EMAIL": OWNER,
    "OWLRUNNER_NOTIFICATIONS__SEND_TIMEOUT": f"{SEND_TIMEOUT:g}",
    "OWLRUNNER_NOTIFICATIONS__RETRY_DELAY": "0.2",
}


async def _is_wanted(arena: Arena) -> None:
    """The run that has ended left something to be sent."""
    if not await arena.observer.rows("select from notifications"):
        arena.breaks("a run has ended, and nobody is to be told")


@scenario("notification", "lab_system", environ=_WANTED | {"OWLRUNNER_NOTIFICATIONS__NOTIFIERS": '["diary"]'})
async def notify(arena: Arena) -> None:
    """The end of a system run is told by a notifier."""
    await arena.begin()
    await arena.expect(await arena.trigger("lab_system"), RunStatus.COMPLETED)
    await _is_wanted(arena)
    await until_sent(arena)


_IMPATIENT = {"OWLRUNNER_NOTIFICATIONS__NOTIFIERS": '["diary"]', "OWLRUNNER_NOTIFICATIONS__MISSED_AFTER": "1"}
_ALERTS = (
    "select missed_fires -> %s ->> 'missed', missed_fires -> %s ->> 'late' from notifications where run_id is null"
)


@scenario("missed", "lab_system", environ=_WANTED | _IMPATIENT)
async def missed(arena: Arena) -> None:
    """A fire time that was missed by a minute and more makes a late run, and one alert."""
    await add_schedule(arena, "lab", "lab_system", "skip")
    await arena.begin()
    fire = await make_due(arena, "lab")
    if fire.run_id is None:
        raise Broken("the fire has no run")
    arena.acknowledged.add(fire.run_id)
    await arena.expect(fire.run_id, RunStatus.COMPLETED)
    alerts = await arena.observer.rows(_ALERTS, "lab", "lab")
    if alerts != [("0", "1")]:
        arena.breaks(f"the alerts about one late fire time say {alerts}")
    await until_sent(arena)


@scenario("mail", "lab_system", environ=_WANTED | {"OWLRUNNER_NOTIFICATIONS__NOTIFIERS": '["email"]'})
async def mail(arena: Arena) -> None:
    """The end of a system run is told by mail."""
    mailbox, port = arena.resources.enter_context(mail_servers())()
    arena.environ |= {
        "OWLRUNNER_MAIL__HOST": "127.0.0.1",
        "OWLRUNNER_MAIL__PORT": str(port),
        "OWLRUNNER_MAIL__SECURITY": "none",
    }
    await arena.begin()
    await arena.expect(await arena.trigger("lab_system"), RunStatus.COMPLETED)
    await _is_wanted(arena)
    await until_sent(arena)
    if not mailbox.got:
        arena.breaks("a notification counts as sent, and no mail came")
