"""The file of schedules: what holds, and what a mistake is told."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import owlrunner
from owlrunner.errors import ConfigError, PluginError
from owlrunner.plugins import Catalog
from owlrunner.schedules_file import load_schedules, read_schedules


@attrs.frozen
class Params:
    """Params."""

    size: int = 1
    rate: float = 1.0
    since: date | None = None
    until: datetime | None = None
    more: Any = None


def too_small(params: Params) -> str:
    """Why there is nothing to tidy."""
    return "" if params.size else "size is 0"


@owlrunner.job_type(scope="system", default_schedule="0 3 * * *", off=too_small)
async def tidy(ctx: owlrunner.JobContext, params: Params) -> None:
    """Tidy up, each night unless told otherwise."""


@owlrunner.job_type(scope="project")
async def sync(ctx: owlrunner.JobContext) -> None:
    """Work for a project."""


CATALOG = Catalog(job_types={"tidy": tidy, "sync": sync})


def load(tmp_path: Path, text: str) -> dict[str, str]:
    """Name and cron expression of each schedule that holds with such a file."""
    file = tmp_path / "schedules.toml"
    file.write_text(text)
    return {schedule.name: schedule.cron.expression for schedule in load_schedules(file, CATALOG)}


def test_without_a_file_the_defaults_hold() -> None:
    """A system job type recurs by its default schedule."""
    (schedule,) = load_schedules(None, CATALOG)
    assert (schedule.name, schedule.job_type, schedule.cron.expression) == ("tidy", "tidy", "0 3 * * *")


def test_the_shipped_file_is_valid(here: Path) -> None:
    """config/schedules.toml, as it stands in the repository, loads."""
    assert load_schedules(here / "config" / "schedules.toml", Catalog()) == []


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """A file that an editor on Windows has saved is read like any other."""
    file = tmp_path / "schedules.toml"
    file.write_bytes('[schedules.tidy]\r\njob_type = "tidy"\r\ncron = "0 4 * * *"\r\n'.encode("utf-8-sig"))
    assert [schedule.cron.expression for schedule in load_schedules(file, CATALOG)] == ["0 4 * * *"]


def test_the_file_goes_over_the_defaults(tmp_path: Path) -> None:
    """A table of the job type's name takes the default's place; others stand beside it."""
    text = '[schedules.tidy]\njob_type="tidy"\ncron="@hourly"\n[schedules.big]\njob_type="tidy"\ncron="0 4 * * 0"\nparams={size=9}'
    assert load(tmp_path, text) == {"tidy": "@hourly", "big": "0 4 * * 0"}


def test_a_schedule_knows_where_it_comes_from(tmp_path: Path) -> None:
    """What stands in the file is the file's, also under the name of a default; the rest are defaults."""
    file = tmp_path / "schedules.toml"
    table = '[schedules.{}]\njob_type="tidy"\ncron="@hourly"\n'
    file.write_text(table.format("big"))
    assert {one.name: one.source for one in load_schedules(file, CATALOG)} == {"big": "file", "tidy": "default"}
    file.write_text(table.format("tidy"))
    assert {one.name: one.source for one in load_schedules(file, CATALOG)} == {"tidy": "file"}


def test_enabled_false_switches_off(tmp_path: Path) -> None:
    """A default schedule is switched off by its name."""
    assert load(tmp_path, '[schedules.tidy]\njob_type="tidy"\ncron="@daily"\nenabled=false') == {}


def test_a_schedule_with_nothing_to_do_is_left_out(tmp_path: Path) -> None:
    """What the job type has a reason to leave out does not recur; whoever asks is told the reason."""
    text = '[schedules.none]\njob_type="tidy"\ncron="@daily"\nparams={size=0}'
    assert load(tmp_path, text) == {"tidy": "0 3 * * *"}
    assert read_schedules(tmp_path / "schedules.toml", CATALOG).off == {"none": "size is 0"}


@pytest.mark.parametrize("answer", [None, 0, ValueError("broken")])
def test_a_reason_is_a_sentence(answer: object) -> None:
    """A job type that gives no text, or fails to answer, stops the start by name."""

    def off() -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    @owlrunner.job_type(scope="system", default_schedule="@daily", off=off)
    async def odd(ctx: owlrunner.JobContext) -> None:
        """Give odd answers."""

    with pytest.raises(PluginError, match="job type odd: off "):
        load_schedules(None, Catalog(job_types={"odd": odd}))


def test_only_what_recurs_can_be_off() -> None:
    """A reason on a job type of a project, which nobody schedules, is refused."""

    async def work(ctx: owlrunner.JobContext) -> None:
        """Work."""

    with pytest.raises(PluginError, match="off is about schedules"):
        owlrunner.job_type(scope="project", off=lambda: "")(work)


def test_what_json_does_not_know_is_stored_as_text(tmp_path: Path) -> None:
    """Dates and times of TOML become the texts that the params class reads, also where it takes anything."""
    file = tmp_path / "schedules.toml"
    params = "{ size = 2, since = 2026-01-02, until = 2026-01-02T03:04:05Z, more = [04:05:06] }"
    file.write_text(f'[schedules.tidy]\njob_type="tidy"\ncron="@daily"\nparams={params}')
    (schedule,) = load_schedules(file, CATALOG)
    assert schedule.params == {
        "size": 2,
        "since": "2026-01-02",
        "until": "2026-01-02T03:04:05Z",
        "more": ["04:05:06"],
    }
    assert tidy.decode_params(schedule.params) == (
        Params(2, since=date(2026, 1, 2), until=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), more=["04:05:06"]),
    )


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('job_type="tidi"\ncron="@daily"', "schedules.x.job_type: no plugin offers 'tidi'; there are: tidy"),
        ('job_type="sync"\ncron="@daily"', "schedules.x.job_type: sync works for projects"),
        ('job_type="tidy"\ncron="0 25 * * *"', 'schedules.x.cron: cron "0 25 * * *": hour "25" is not within 0 to 23'),
        ('job_type="tidy"\ncron="@daily"\ntimezone="Mars/Base"', "schedules.x.cron: "),
        ('job_type="tidy"\ncron="@daily"\nparams={size="big"}', "schedules.x.params.size: expected int, got str"),
        (
            'job_type="tidy"\ncron="@daily"\nparams={rate=nan}',
            "schedules.x.params.rate: expected a finite number, got nan",
        ),
        ('job_type="tidy"\ncron="@daily"\nparams={more=[inf]}', "schedules.x.params.more[0]: expected a finite number"),
        ('job_type="tidy"\ncron="@daily"\nparams={more="\\u0000"}', "schedules.x.params: text with NUL characters"),
        ('job_type="tidy"\ncron="@daily"\nmissed_window="soon"', "schedules.x.missed_window: expected a duration"),
        ('job_type="tidy"\ncron="@daily"\nmissed="maybe"', "schedules.x.missed: invalid enum value 'maybe'"),
        ('job_type="tidy"\ncron="@daily"\njitter=-1', "jitter must be between 0 and 86400"),
        ('job_type="tidy"\ncorn="@daily"', "schedules.x: object missing required field cron"),
        ('job_type="tidy"\ncron="@daily"\nzone="UTC"', "schedules.x.zone: unknown key"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, table: str, complaint: str) -> None:
    """The message names the file, the schedule, the key, what was expected and what was found."""
    with pytest.raises(ConfigError) as told:
        load(tmp_path, f"[schedules.x]\n{table}")
    assert complaint in str(told.value)
    assert "schedules.toml" in str(told.value)


@pytest.mark.parametrize(
    ("scope", "expression", "complaint"),
    [("project", "@daily", "default_schedule is for the scope system"), ("system", "99 * * * *", 'minute "99"')],
)
def test_a_default_schedule_is_checked(scope: str, expression: str, complaint: str) -> None:
    """A mistake in a plugin's default schedule is told when the plugin is imported."""

    async def work(ctx: owlrunner.JobContext) -> None:
        """Work."""

    with pytest.raises(owlrunner.OwlRunnerError, match=complaint):
        owlrunner.job_type(scope=scope, default_schedule=expression)(work)  # type: ignore[arg-type]
