"""``owlrunner schedules next|simulate`` with a configuration and no database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from owlrunner.cli.entry import cli
from owlrunner.cron import Cron
from tests.cli.programs import sentence

SCHEDULES = """
[schedules.berlin]
job_type = "tidy"
cron = "30 2 * * *"
timezone = "Europe/Berlin"

[schedules.hourly]
job_type = "linger"
cron = "0 * * * *"
overlap = "queue"

[schedules.off]
job_type = "collapse"
cron = "* * * * *"
enabled = false

[schedules.tidy]
job_type = "tidy"
cron = "0 0 1 1 *"
enabled = false
"""

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run ``owlrunner schedules …`` in this process, with the schedules above; no database could be reached."""
    (tmp_path / "schedules.toml").write_text(SCHEDULES)
    config = tmp_path / "owlrunner.toml"
    config.write_text(
        '[server]\nplugins = ["tests.cli.cli_jobs"]\n[database]\nurl = "postgresql://nobody@127.0.0.1:1/none"\n'
    )

    def run(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli, ["schedules", *map(str, arguments), "--config", str(config)])
        return result.exit_code, result.stdout, result.stderr

    return run


def _json(answer: tuple[int, str, str]) -> Any:
    status, out, err = answer
    assert (status, err) == (0, "")
    return json.loads(out)


def _own(fires: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the default schedules of the installed plugins."""
    return [fire for fire in fires if fire["schedule"] in {"berlin", "hourly", "off", "tidy"}]


def test_next_tells_the_fire_times_in_order(ask: Ask) -> None:
    """The next fire times of all schedules come in order, with local time and words; what is switched off is not among them."""
    before = datetime.now(UTC)
    fires = _own(_json(ask("next", "--count", 200, "--format", "json"))["fires"])
    times = [datetime.fromisoformat(fire["fire_time"]) for fire in fires]
    assert times == sorted(times)
    assert {fire["schedule"] for fire in fires} == {"berlin", "hourly"}
    first = next(fire for fire in fires if fire["schedule"] == "berlin")
    berlin = Cron.parse("30 2 * * *", "Europe/Berlin")
    assert datetime.fromisoformat(first["fire_time"]) in {berlin.next(before), berlin.next(datetime.now(UTC))}
    assert first["local_time"][10:16] in {"T02:30", "T03:00"}
    assert datetime.fromisoformat(first["local_time"]) == datetime.fromisoformat(first["fire_time"])
    assert (first["timezone"], first["job_type"], first["words"]) == ("Europe/Berlin", "tidy", "At 02:30")


def test_next_as_text(ask: Ask) -> None:
    """The table has a line for each fire time, as many as were asked for."""
    status, out, err = ask("next", "--count", 3)
    assert (status, err) == (0, "")
    header, _, *lines = out.splitlines()
    assert header.startswith("Fire Time")
    assert header.endswith("In Words")
    assert len(lines) == 3


def test_simulate_tells_a_clock_change_truthfully(ask: Ask) -> None:
    """In the night in which 02:30 does not exist, the daily fire comes right after the gap, and its local time says so."""
    told = _json(ask("simulate", "--from", "2026-03-28", "--to", "2026-03-30", "--format", "json"))
    berlin = [(fire["fire_time"], fire["local_time"]) for fire in told["fires"] if fire["schedule"] == "berlin"]
    assert berlin == [
        ("2026-03-28T01:30:00.000Z", "2026-03-28T02:30:00+01:00"),
        ("2026-03-29T01:00:00.000Z", "2026-03-29T03:00:00+02:00"),
    ]
    _, out, _ = ask("simulate", "--from", "2026-03-28", "--to", "2026-03-30")
    assert "2026-03-29 01:00:00Z  2026-03-29 03:00:00+02:00 Europe/Berlin  berlin " in out


def test_simulate_tells_what_would_be_queued_and_skipped(ask: Ask) -> None:
    """With runs of two and a half hours, one hourly fire waits and the next is skipped, each with the reason."""
    span = ("--from", "2026-06-01T00:00Z", "--to", "2026-06-01T02:00+00:00")
    given = ("--duration", "linger=150m", "--default-duration", "5m")
    told = _json(ask("simulate", *span, *given, "--format", "json"))
    hourly = [fire for fire in told["fires"] if fire["schedule"] == "hourly"]
    assert [(fire["outcome"], fire["starts_at"]) for fire in hourly] == [
        ("ran", "2026-06-01T00:00:00.000Z"),
        ("queued", "2026-06-01T02:30:00.000Z"),
    ]
    assert hourly[1]["reason"] == "the run of hourly for 2026-06-01 00:00:00Z is active until 2026-06-01 02:30:00Z"
    berlin = next(fire for fire in told["fires"] if fire["schedule"] == "berlin")
    assert berlin["ends_at"] == "2026-06-01T00:35:00.000Z"
    _, out, _ = ask("simulate", "--from", "2026-06-01", "--to", "2026-06-01T03:00Z", *given)
    assert "and a fire waits already" in out
    assert out.splitlines()[-1].endswith("1 skipped, 1 queued")


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["next", "--count", "0"], 2, "--count"),
        (["simulate", "--from", "soon", "--to", "2026-01-01"], 2, "ISO 8601"),
        (["simulate", "--from", "2026-01-02", "--to", "2026-01-02"], 2, "later than --from"),
        (["simulate", "--from", "2026-01-02", "--to", "9999-12-31"], 2, "1970 to 2999"),
        (["simulate", "--from", "2026-01-02", "--to", "2026-01-03", "--duration", "tidy"], 2, "db_pruning=20m"),
        (["simulate", "--from", "2026-01-02", "--to", "2026-01-03", "--duration", "tidi=1m"], 2, "there are: "),
        (["simulate", "--from", "2026-01-02", "--to", "2026-01-03", "--default-duration", "1"], 2, "such as 30s"),
    ],
)
def test_bad_arguments_are_explained(ask: Ask, arguments: list[str], status: int, named: str) -> None:
    """What is wrong with the command line exits with 2 and says what was expected."""
    answer = ask(*arguments)
    assert answer[:2] == (status, "")
    assert named in answer[2]


def test_a_bad_file_is_one_sentence(ask: Ask, tmp_path: Path) -> None:
    """A file of schedules that cannot be used exits with 1 and names file and key."""
    (tmp_path / "schedules.toml").write_text('[schedules.x]\njob_type = "tidy"\ncron = "99 * * * *"\n')
    status, out, err = ask("next")
    assert (status, out) == (1, "")
    assert "schedules.x.cron" in sentence(err)
