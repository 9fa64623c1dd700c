"""P18: what a server cannot read waits for one that can, and says so; two versions of a plugin run side by side."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from owlrunner.config import NotificationsConfig
from owlrunner.fingerprint import fingerprint_of
from owlrunner.job_run import RunStatus
from owlrunner.jobs import Jobs
from owlrunner.plugins import Catalog, build_catalog
from owlrunner.trigger_request import TriggerRequest
from tests.promises.serving import OPERATOR, Door, LogEar, Serve

OWNER = "owner@example.com"

OLD = """
import attrs, owlrunner

@attrs.frozen
class Params:
    a: int = 0
    gone: int = 0

@owlrunner.job_type(scope="system", overlap="allow")
async def versioned(ctx: owlrunner.JobContext, params: Params):
    '''Say which version this is.'''
    return {"version": "old"}

@owlrunner.job_type(scope="system")
async def dropped(ctx):
    '''Only the old version has it.'''

@owlrunner.hookimpl
def owlrunner_job_types():
    return [versioned, dropped]
"""
NEW = (
    OLD.replace("    gone: int = 0\n", "    fresh: int = 0\n")
    .replace('"old"', '"new"')
    .replace("[versioned, dropped]", "[versioned]")
)


def version(name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A plugin of one version, as a catalog."""
    module = ModuleType(f"versions_{name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - the text above
    return build_catalog({"versions": (name, module, {})})


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The plugin before the deploy."""
    return version("old", OLD, monkeypatch)


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The plugin after it: a param removed, one added, a job type removed."""
    return version("new", NEW, monkeypatch)


async def trigger(door: Door, by: Catalog, job_type: str, params: object = None) -> UUID:
    """Trigger through a server of one version."""
    return (await Jobs(door.db, by).trigger(OPERATOR, None, TriggerRequest(job_type, params=params))).id


@pytest.mark.parametrize("param", ["fresh", "gone"])
async def test_a_run_goes_to_the_version_that_understands_it(
    door: Door, serve: Serve, old: Catalog, new: Catalog, param: str
) -> None:
    """In the middle of a deploy a run with a param that only one version knows completes there, whichever claims it first."""
    writer, expected = (new, "new") if param == "fresh" else (old, "old")
    reader = old if param == "fresh" else new
    first = await serve(reader, name="first")
    run_id = await trigger(door, writer, "versioned", {param: 1})
    # The first server cannot read it, and no other is there: it is out of the way of claims.
    await door.until(run_id, lambda run: run.status is RunStatus.PENDING and run.attempt == 1)
    assert await door.sql("select set_aside from job_runs where id = %s", run_id) == [(True,)]
    await serve(writer, name="second")
    run = await door.until(run_id, RunStatus.COMPLETED)
    assert run.result == {"version": expected}
    assert run.max_attempts == run.attempt
    await first.stop()


async def test_both_versions_share_what_both_understand(door: Door, serve: Serve, old: Catalog, new: Catalog) -> None:
    """Runs with params that both versions know are executed by whichever is there."""
    await serve(new)
    run_id = await trigger(door, old, "versioned", {"a": 1})
    assert (await door.until(run_id, RunStatus.COMPLETED)).result == {"version": "new"}


async def test_a_run_that_no_server_understands_is_reported_once(
    door: Door, serve: Serve, old: Catalog, new: Catalog, log_ear: LogEar
) -> None:
    """A run that no living server can read stays pending and can be cancelled; log and owner are told once."""
    alerts = NotificationsConfig(alert_email=OWNER, notifiers=[])
    await serve(new, notifications=alerts, lease=1, name="a")
    await door.sql("update notification_rules set notifiers = '{ear}'")
    runs = [await trigger(door, old, "versioned", {"gone": 1}) for _ in range(3)]
    line = "runs of job type versioned wait, and no living server can read their params"
    await log_ear.heard(line)
    # Somebody else who looks does not say it again.
    await serve(new, notifications=alerts, lease=1, name="b")
    await door.until(await trigger(door, new, "versioned"), RunStatus.COMPLETED)
    assert await door.sql("select recipient, subject from notifications") == [(OWNER, "stranded")]
    assert await door.cancel(runs[0]) is RunStatus.CANCELLED


async def test_a_job_type_that_nobody_offers_is_reported(
    door: Door, serve: Serve, old: Catalog, new: Catalog, log_ear: LogEar
) -> None:
    """A run of a job type that was removed waits, is reported, and is executed when a server offers it again."""
    await serve(new, lease=1, name="a")
    run_id = await trigger(door, old, "dropped")
    await log_ear.heard("runs of job type dropped wait, and no living server offers it")
    await serve(old, lease=1, name="b")
    await door.until(run_id, RunStatus.COMPLETED)


async def test_a_cancelled_run_is_not_handed_on(door: Door, serve: Serve, old: Catalog, new: Catalog) -> None:
    """A run that is cancelled while a server finds that it cannot read it ends as cancelled."""
    await door.sql(
        "create function cancel_at_once() returns trigger language plpgsql as $$ begin"
        " new.cancel_requested_at := now(); new.cancelled_by := 'operator'; return new; end $$;"
        "create trigger cancel_at_once before update on job_runs for each row"
        " when (new.status = 'running' and old.status = 'pending') execute function cancel_at_once()"
    )
    await serve(new)
    run_id = await trigger(door, old, "versioned", {"gone": 1})
    assert (await door.until(run_id, RunStatus.CANCELLED)).error is None


def test_fingerprints_tell_versions_apart(old: Catalog, new: Catalog) -> None:
    """Other params give another fingerprint, and the same job type always the same one."""
    assert fingerprint_of(old.job_types["versioned"]) != fingerprint_of(new.job_types["versioned"])
    assert fingerprint_of(old.job_types["versioned"]) == fingerprint_of(old.job_types["versioned"])


def test_a_validator_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not show in the schema, such as a validator in the plugin's file, changes the fingerprint too."""
    monkeypatch.syspath_prepend(tmp_path)
    fingerprints = set()
    for number in range(2):
        file = tmp_path / f"plugin_{number}.py"
        file.write_text(OLD + f"\nLIMIT = {number}\n")
        module = importlib.import_module(file.stem)
        fingerprints.add(fingerprint_of(module.versioned))
    assert len(fingerprints) == 2
