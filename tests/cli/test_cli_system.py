"""``owlrunner system …`` straight on the database of a demo whose server runs.

What only looks is asked in this process, which is faster; what is waited for, interrupted or watched is a process of its own.
"""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import trio.testing
from click.testing import CliRunner
from rich.console import Console

from owlrunner.cli.entry import cli
from owlrunner.cli.live_text import PAUSE, keep_drawing
from owlrunner.cli.system_trigger import until_ended
from owlrunner.client import LostSight
from owlrunner.errors import DatabaseUnavailable
from tests.cli.programs import HERE, Demo, Program, Screen, sentence

PLUGINS = {"OWLRUNNER_SERVER__PLUGINS": '["tests.cli.cli_jobs"]'}
NOBODY = "11111111-1111-4111-8111-111111111111"
NASTY = "owl\x1b[2J@example.com\nsent"
CLEAN = "owl\\x1b[2J@example.com sent"


def system(*arguments: object, env: dict[str, str]) -> tuple[int, str, str]:
    """Run ``owlrunner system …`` in this process: exit status, standard output, standard error."""
    result = CliRunner().invoke(cli, ["system", *map(str, arguments)], env=env)
    return result.exit_code, result.stdout, result.stderr


class Owner:
    """Whoever owns the demo's database."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.env = {"DATABASE_URL": demo.ready["database_url"]} | PLUGINS

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Run ``owlrunner system …`` in this process: exit status, standard output, standard error."""
        return system(*arguments, env=self.env)

    def program(self, *arguments: object) -> Program:
        """Start ``owlrunner system …`` as a process."""
        return self.demo.program("system", *arguments, PYTHONPATH=str(HERE.parents[1]), **self.env)

    def text(self, *arguments: object) -> str:
        """What it prints when it succeeds."""
        status, out, err = self.run(*arguments)
        assert (status, err) == (0, "")
        return out

    def json(self, *arguments: object) -> Any:
        """The JSON that it prints when it succeeds."""
        return json.loads(self.text(*arguments, "--format", "json"))

    def sql(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """Speak SQL, as only tests may."""
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def owner(demo: Demo) -> Owner:
    """The demo's owner."""
    return Owner(demo)


@pytest.fixture(scope="module")
def tidied(owner: Owner) -> dict[str, Any]:
    """A system run that has completed."""
    with owner.program("trigger", "tidy", "--param", "times=4", "--wait", "--format", "json") as program:
        assert (program.end(), program.err) == (0, "")
    run: dict[str, Any] = json.loads(program.out)
    return run


@pytest.fixture
def lingering(owner: Owner) -> Iterator[str]:
    """The id of a system run that is active until the test is over; somebody waits for its end, and is told it."""
    with owner.program("trigger", "linger", "--wait") as waiting:
        waiting.line("err", lambda line: "3/10" in line)
        run_id = waiting.line("out", lambda line: line.startswith("Job triggered: ")).split()[-1]
        yield run_id
        owner.run("cancel", run_id)
        assert waiting.end() == 2
    assert "Status:     cancelled" in waiting.out


def test_a_triggered_system_run_is_executed_and_shown(owner: Owner, tidied: dict[str, Any]) -> None:
    """The owner triggers a system job with params, waits for its end, and is told who executed it, with which result."""
    assert (tidied["status"], tidied["triggered_by"], tidied["result"]) == ("completed", "operator", {"tidied": 4})
    assert (tidied["team_id"], tidied["server"], tidied["attempt"]) == (None, "demo", 1)
    shown = owner.text("view", tidied["id"], "--logs")
    for line in (f"ID:         {tidied['id']}", "Attempt:    1 of 1", f"Server:     demo ({tidied['server_id']})"):
        assert f"{line}\n" in shown
    assert "owlrunner.run.tidy: tidying for world" in shown
    seen = owner.json("view", tidied["id"], "--logs")
    assert [line["message"] for line in seen.pop("logs")] == ["tidying for world"]
    assert seen == tidied


def test_the_api_knows_nothing_of_a_run_that_the_owner_sees(owner: Owner, tidied: dict[str, Any]) -> None:
    """A system run that the owner views is 404 over HTTP, for its log and a cancel too, and is in no list."""
    url = owner.demo.ready["url"]
    headers = {"Authorization": f"Bearer {owner.demo.ready['api_key']}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as api:
        assert api.get(f"/v1/jobs/{tidied['id']}").status_code == 404
        assert api.get(f"/v1/jobs/{tidied['id']}/logs").status_code == 404
        assert api.post(f"/v1/jobs/{tidied['id']}/cancel").status_code == 404
        listed = api.get(f"/v1/teams/{owner.demo.ready['team_id']}/jobs", params={"job_type": "tidy"}).json()
    assert listed["job_runs"] == []
    assert owner.json("view", tidied["id"])["status"] == "completed"


def test_runs_lists_the_systems_runs_newest_first(owner: Owner, tidied: dict[str, Any]) -> None:
    """The list has the system's runs alone, newest first; with --all the teams' too, with their project."""
    of_team = owner.json("trigger", "greet", "--project", "demo/demo", "--wait")
    newer = owner.json("trigger", "tidy", "--wait")
    listed = owner.json("runs", "--since", "1h", "--limit", 1000)["job_runs"]
    assert {run["team_id"] for run in listed} == {None}
    ids = [run["id"] for run in listed]
    assert ids.index(newer["id"]) < ids.index(tidied["id"])
    header, _, first, *_ = owner.text("runs", "--all").splitlines()
    assert header.split() == [
        "ID",
        "Status",
        "Type",
        "Triggered",
        "By",
        "Started",
        "Duration",
        "Project",
        "Waiting",
        "or",
        "Error",
    ]
    assert first.split()[:4] == [newer["id"], "completed", "tidy", "operator"]
    (found,) = [run for run in owner.json("runs", "--all", "--type", "greet")["job_runs"] if run["id"] == of_team["id"]]
    assert (found["team"], found["project"]) == ("demo", "demo")


def test_runs_are_filtered_and_limited(owner: Owner, tidied: dict[str, Any]) -> None:
    """Job type, status and time narrow the list; what the limit leaves out is told."""
    owner.json("trigger", "tidy", "--wait")
    assert owner.text("runs", "--type", "tidy", "--limit", 1).splitlines()[-1] == "There are more. Use --limit"
    assert owner.json("runs", "--type", "tidy", "--status", "failed") == {"job_runs": [], "has_more": False}
    assert owner.text("runs", "--since", "2999-01-01") == "No job runs found\n"


def test_a_failed_run_cannot_fool_the_terminal(owner: Owner) -> None:
    """A waited run that fails exits with 1; its error is shown whole in the view, on one line in the list, and escaped in both."""
    status, out, _ = owner.run("trigger", "collapse", "--wait")
    assert status == 1
    assert "Error:\n  out of \\x1b[2Jowls\n  Completed\n" in out
    listed = owner.text("runs", "--type", "collapse", "--status", "failed", "--limit", 1)
    assert "out of \\x1b[2Jowls Completed\n" in listed
    assert "\x1b" not in out + listed


def test_a_second_trigger_is_told_the_first_run(owner: Owner, lingering: str) -> None:
    """While a system run is active another trigger exits with 1 and the first one's id, and no second run comes to be."""
    status, out, err = owner.run("trigger", "linger")
    assert (status, out) == (1, "")
    assert f"owlrunner system view {lingering}" in sentence(err)
    status, out, err = owner.run("trigger", "linger", "--format", "json")
    assert (status, out, json.loads(err)["existing_run_id"]) == (1, "", lingering)
    count = "select count(*) from job_runs where job_type = 'linger' and status in ('pending', 'running')"
    assert owner.sql(count) == [(1,)]


def test_cancel_reaches_the_handler(owner: Owner) -> None:
    """A cancel of the owner's ends a running system run as cancelled, and the view says by whom; a second one finds it ended."""
    with owner.program("trigger", "linger", "--wait") as waiting:
        waiting.line("err", lambda line: "3/10" in line)
        run_id = waiting.line("out", lambda line: line.startswith("Job triggered: ")).split()[-1]
        asked = f"Cancel requested; see how it ends with: owlrunner system view {run_id}\n"
        assert owner.text("cancel", run_id) == asked
        assert waiting.end() == 2
    seen = owner.json("view", run_id)
    assert (seen["status"], seen["cancelled_by"]) == ("cancelled", "operator")
    status, _, err = owner.run("cancel", run_id)
    assert (status, sentence(err)) == (1, 'Cannot cancel a job with status "cancelled"')


def test_a_run_for_later_is_cancelled_at_once(owner: Owner) -> None:
    """--run-at and --priority are kept; a pending run is cancelled without waiting."""
    run = owner.json("trigger", "linger", "--run-at", "1h", "--priority", 7)
    assert (run["status"], run["priority"]) == ("pending", 7)
    assert "Due:        " in owner.text("view", run["id"])
    assert owner.text("cancel", run["id"]) == "Job cancelled successfully\n"


def test_interrupt_leaves_the_run_alone(owner: Owner) -> None:
    """Ctrl-C ends the waiting with 130 and says how to see the run, which goes on."""
    with owner.program("trigger", "stay", "--project", "demo/demo", "--wait") as waiting:
        waiting.line("err", lambda line: "3/10" in line)
        run_id = waiting.line("out", lambda line: line.startswith("Job triggered: ")).split()[-1]
        waiting.interrupt()
        assert waiting.end() == 130
    assert waiting.err.endswith(f"owlrunner system view {run_id}\n")
    assert owner.json("view", run_id)["status"] == "running"
    owner.run("cancel", run_id)
    assert owner.demo.run("jobs", "logs", run_id, "--follow")[0] == 0


def test_schedules_tell_the_last_fire_and_the_next(owner: Owner, tidied: dict[str, Any]) -> None:
    """A deployed schedule is shown in words, with its next fire time, and its last one with what came of it."""
    (before,) = [one for one in owner.json("schedules")["schedules"] if one["name"] == "tidy"]
    assert before["last_fire"] is None
    assert before["next_fire"][4:] == "-02-29T02:30:00.000Z"
    insert = "insert into schedule_fires (schedule, fire_time, outcome, reason, run_id, active_run_id) values "
    owner.sql(f"{insert} ('tidy', '2024-02-29 02:30Z', 'ran', null, %s, null)", tidied["id"])
    (ran,) = [one for one in owner.json("schedules")["schedules"] if one["name"] == "tidy"]
    assert (ran["last_fire"]["outcome"], ran["last_fire"]["run_id"]) == ("ran", tidied["id"])
    assert ran["last_fire"]["run_status"] == "completed"
    reason = "the previous run is still active"
    owner.sql(f"{insert} ('tidy', '2024-02-29 02:31Z', 'skipped', %s, null, %s)", reason, tidied["id"])
    shown = owner.text("schedules")
    (line,) = [line for line in shown.splitlines() if line.startswith("tidy ")]
    for part in (
        "2024-02-29 02:31:00Z  skipped",
        "30 2 29 2 * (UTC)",
        "At 02:30, on day 29",
        f"{reason}: {tidied['id']}",
    ):
        assert part in line


def test_fires_tell_what_came_of_each_time(owner: Owner, tidied: dict[str, Any]) -> None:
    """Each with its run or the reason why there was none, newest first; by schedule, outcome and time; cleaned for the terminal."""
    insert = "insert into schedule_fires (schedule, fire_time, outcome, reason, run_id, active_run_id) values "
    owner.sql(f"{insert} (%s, '2024-02-28 02:30Z', 'ran', null, %s, null)", NASTY, tidied["id"])
    owner.sql(f"{insert} (%s, '2024-02-28 03:30Z', 'skipped', 'taken\nby one', null, %s)", NASTY, tidied["id"])
    owner.sql(f"{insert} (%s, '2024-02-28 04:30Z', 'missed', 'no server was running', null, null)", NASTY)
    told = owner.json("fires", "--schedule", NASTY)
    assert [one["outcome"] for one in told["fires"]] == ["missed", "skipped", "ran"]
    assert (told["fires"][2]["run_id"], told["fires"][2]["run_status"], told["has_more"]) == (
        tidied["id"],
        "completed",
        False,
    )
    lines = owner.text("fires", "--schedule", NASTY, "--limit", "2").splitlines()
    assert lines[0].split() == ["Schedule", "Fire", "Time", "Outcome", "Decided", "Run", "or", "Reason"]
    assert all(line.startswith(CLEAN) for line in lines[2:4])
    assert lines[2].endswith("no server was running")
    assert lines[3].endswith(f"taken by one: {tidied['id']}")
    assert "more" in lines[-1].lower()
    assert [one["fire_time"] for one in owner.json("fires", "--outcome", "missed")["fires"]] == [
        "2024-02-28T04:30:00.000Z"
    ]
    assert owner.text("fires", "--schedule", "nobody") == "No fires found\n"
    assert owner.text("fires", "--schedule", NASTY, "--since", "2024-02-28T05:00Z") == "No fires found\n"
    owner.sql("delete from schedule_fires where schedule = %s", NASTY)


def test_servers_tell_who_is_there_and_who_was(owner: Owner, lingering: str) -> None:
    """The living server is shown with what it holds; one whose lease has lapsed and one that is buried each look like that."""
    server = (
        "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at, buried_at) values "
    )
    values = "(gen_random_uuid(), %s, '0', '{}', 1, now() - interval '1 day', now() - interval '1 hour', now())"
    owner.sql(server + values, NASTY)
    told = {one["name"]: one for one in owner.json("servers")["servers"]}
    assert (told["demo"]["state"], told["demo"]["held_runs"], told[NASTY]["state"]) == ("alive", 1, "dead")
    assert told["demo"]["lease_left"] > 0
    assert "linger" in told["demo"]["job_types"]
    shown = owner.text("servers").splitlines()
    assert shown[2].startswith("demo ")
    assert any(line.startswith(f"{CLEAN}  dead ") for line in shown)
    owner.sql("delete from servers where name = %s", NASTY)


def test_notifications_tell_who_was_told(owner: Owner, tidied: dict[str, Any]) -> None:
    """A notification is listed by its status, cleaned, and stands with its run."""
    insert = "insert into notifications (run_id, notifier, recipient, status, attempt, last_error, settled_at) values "
    owner.sql(insert + "(%s, 'pigeon', %s, 'given_up', 3, 'lost\nits way', now())", tidied["id"], NASTY)
    owner.sql(insert + "(%s, 'pigeon', 'second@example.com', 'pending', 0, null, null)", tidied["id"])
    (one,) = [
        one
        for one in owner.json("notifications", "--status", "given_up")["notifications"]
        if one["run_id"] == tidied["id"]
    ]
    assert (one["recipient"], one["attempt"], one["due_at"], one["last_error"]) == (NASTY, 3, None, "lost\nits way")
    (line,) = [line for line in owner.text("notifications").splitlines() if CLEAN in line]
    assert line.split()[:4] == [tidied["id"], "given_up", "tidy", "pigeon"]
    assert line.endswith("lost its way")
    shown = owner.text("view", tidied["id"])
    assert f"  given_up: {CLEAN} by pigeon, 3 tries, settled " in shown
    assert "  pending: second@example.com by pigeon, 0 tries, next " in shown
    owner.sql("delete from notifications where run_id = %s", tidied["id"])


def test_alerts_about_schedules_name_them(owner: Owner) -> None:
    """A notification about missed fire times has no run; its schedules are listed, and cleaned for the terminal."""
    fires = json.dumps({NASTY: {}, "nightly": {}})
    insert = "insert into notifications (notifier, recipient, subject, missed_fires) values ('owl', 'ops@acme.test', 'missed', %s)"
    owner.sql(insert, fires)
    (one,) = [one for one in owner.json("notifications")["notifications"] if one["subject"] == "missed"]
    assert (one["run_id"], one["job_type"], one["schedules"]) == (None, None, sorted([NASTY, "nightly"]))
    (line,) = [line for line in owner.text("notifications").splitlines() if "ops@acme.test" in line]
    assert line.split()[:3] == ["—", "pending", "missed:"]
    assert CLEAN in line
    owner.sql("delete from notifications where subject = 'missed'")


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["trigger", "no_such_type"], 1, "Must be one of: "),
        (["trigger", "greet"], 1, "project_id is required"),
        (["trigger", "greet", "--project", "no/where"], 1, "'no/where'"),
        (["trigger", "tidy", "--project", "demo/demo"], 1, "works for no project"),
        (["trigger", "tidy", "--param", "times=x"], 1, "params.times"),
        (["trigger", "tidy", "--run-at", "soon"], 1, "run_at: expected"),
        (["trigger", "tidy", "--param", "times"], 2, "key=value"),
        (["view", NOBODY], 1, "Job run not found"),
        (["cancel", NOBODY], 1, "Job run not found"),
        (["view", "x"], 2, "not a valid UUID"),
        (["runs", "--type", "\udcff"], 1, "lone surrogates"),
        (["runs", "--since", "yesterday"], 2, "a span such as 30m"),
        (["runs", "--watch"], 2, "needs a terminal"),
        (["servers", "--watch", "--format", "json"], 2, "leave out --format json"),
    ],
)
def test_bad_input_is_explained(owner: Owner, arguments: list[str], status: int, named: str) -> None:
    """What cannot be done exits with 1 and a sentence, what is wrong with the command line with 2."""
    answer = owner.run(*arguments)
    assert answer[:2] == (status, "")
    assert named in (sentence(answer[2]) if status == 1 and "json" not in arguments else answer[2])


def test_without_a_server_the_owner_is_told(database_url: str) -> None:
    """On a database without a living server a trigger is noted to wait, or to be ended at the next start; nothing fires."""
    env = {"DATABASE_URL": database_url} | PLUGINS
    status, out, err = system("trigger", "tidy", "--format", "json", env=env)
    assert (status, json.loads(out)["status"]) == (0, "pending")
    assert err.startswith("No server is alive. ")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into servers (id, name, version, job_types, capacity, started_at, lease_expires_at)"
            " values (gen_random_uuid(), 'other', '0', '{greet}', 1, now(), now() + interval '1 hour'),"
            " (gen_random_uuid(), 'gone', '0', '{collapse}', 1, now(), now() - interval '1 hour')"
        )
        connection.execute(
            "insert into schedules (name, job_type, definition, decided_until)"
            """ values ('odd', 'tidy', '{"cron": "0 99 * * *", "timezone": "UTC"}', now())"""
        )
    assert system("trigger", "collapse", env=env)[2] == "No living server offers collapse; the run waits for one\n"
    states = {
        one["name"]: one["state"] for one in json.loads(system("servers", "--format", "json", env=env)[1])["servers"]
    }
    assert states == {"other": "alive", "gone": "lapsed"}
    with psycopg.connect(database_url) as connection:
        connection.execute("delete from servers")
    shown = system("schedules", env=env)[1]
    assert 'cannot be read here: cron "0 99 * * *"' in shown
    assert shown.endswith("No server is alive: nothing fires until one starts\n")


def test_an_old_database_is_one_sentence(empty_database_url: str) -> None:
    """A database that lacks migrations is told as such."""
    status, _, err = system("runs", env={"DATABASE_URL": empty_database_url})
    assert status == 1
    assert "owlrunner migrate" in sentence(err)


@pytest.fixture
def screen(owner: Owner) -> Iterator[Callable[..., Screen]]:
    """Start ``owlrunner`` on a terminal; it does not outlive the test."""
    screens: list[Screen] = []

    def start(*arguments: str) -> Screen:
        screens.append(Screen(owner.env, *arguments))
        return screens[-1]

    yield start
    for one in screens:
        one.process.kill()
        one.process.wait()


def test_watch_draws_what_is_new(owner: Owner, screen: Callable[..., Screen], tidied: dict[str, Any]) -> None:
    """On a terminal --watch shows a run that came after it was started, and Ctrl-C ends it quietly."""
    watching = screen("system", "runs", "--watch")
    watching.shows(tidied["id"])
    run = owner.json("trigger", "tidy", "--wait")
    watching.shows(run["id"])
    assert watching.end() == (130, "")


async def test_watch_outlives_an_outage(autojump_clock: trio.testing.MockClock) -> None:
    """While the database is away, what was seen last stays, with a line that says so; long lines are cut, not wrapped."""
    answers: list[str | DatabaseUnavailable] = ["first", DatabaseUnavailable("gone\x1b[2J"), "x" * 100]

    async def look() -> str:
        answer = answers.pop(0)
        if isinstance(answer, DatabaseUnavailable):
            raise answer
        return answer

    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    assert isinstance(console.file, io.StringIO)
    with trio.move_on_after(2.5 * PAUSE):
        await keep_drawing(look, console)
    shown = console.file.getvalue()
    _, second, third = shown.split("first")
    assert "Ctrl-C ends this" in second
    assert "gone\\x1b[2J; trying again" in third
    assert f"{'x' * 79}…" in third
    assert "x" * 80 not in third


async def test_waiting_outlives_an_outage_but_not_for_ever(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever waits for a run is told that the database is away; when it stays away, how to see the run later."""

    class Away:
        async def run(self, run_id: UUID) -> None:
            raise DatabaseUnavailable(f"PostgreSQL cannot be reached to see {run_id}")

    with pytest.raises(LostSight, match=f"owlrunner system view {NOBODY}"):
        await until_ended(Away(), {"id": NOBODY, "status": "pending"}, quiet=False)  # type: ignore[arg-type]
    assert f"PostgreSQL cannot be reached to see {NOBODY}; trying again\n" in capsys.readouterr().err


def test_the_audit_log_is_read(owner: Owner, tidied: dict[str, Any]) -> None:
    """Who has done what, and what happened about sign-ins, in one list by time; of a team alone; cleaned for the terminal."""
    owner.sql("insert into security_events (action, email, client) values ('sign_in_failed', %s, '192.0.2.7')", NASTY)
    told = owner.json("audit")
    triggered = next(one for one in told["audit_logs"] if one["resource_id"] == tidied["id"])
    assert (triggered["actor_name"], triggered["action"], triggered["team"]) == ("operator", "create", None)
    assert told["security_events"][0]["action"] == "sign_in_failed"
    lines = owner.text("audit", "--limit", "1000").splitlines()
    assert lines[0].split() == ["Time", "Who", "What", "Which", "Team", "Client"]
    assert CLEAN in lines[2]
    assert lines[2].split()[-3:] == ["—", "—", "192.0.2.7"]
    assert any("create job_run" in line and tidied["id"] in line for line in lines)
    assert len(owner.text("audit", "--limit", "1").splitlines()) == 3
    of_team = owner.json("audit", "--team", "demo")
    assert {one["team"] for one in of_team["audit_logs"]} == {"demo"}
    assert of_team["security_events"] == []
    assert owner.json("audit", "--since", "2999-01-01") == {"audit_logs": [], "security_events": []}
    assert owner.text("audit", "--since", "2999-01-01") == "Nothing has been done yet\n"
    status, _, error = owner.run("audit", "--team", "nowhere")
    assert (status, error) == (1, "Error: there is no team 'nowhere'\n")
    owner.sql("delete from security_events where email = %s", NASTY)
