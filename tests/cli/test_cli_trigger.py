"""``owlrunner jobs trigger`` against a real server."""

import json

import psycopg

from tests.cli.programs import Demo, sentence


def test_sync_completes_with_right_counters(demo: Demo) -> None:
    """A waited sync ends with 0, the counters of the demo's customers, and their properties in the database."""
    run = demo.json("jobs", "trigger", "revenuecat_sync", "--wait")
    assert run["status"] == "completed"
    counters = ("total", "synced", "not_found", "errors", "skipped_anonymous")
    assert [run["result"][key] for key in counters] == [352, 340, 12, 0, 8]
    assert (run["progress"]["processed"], run["progress"]["total"]) == (352, 352)
    with psycopg.connect(demo.ready["database_url"]) as connection:
        count = connection.execute("select count(*) from app_users where properties ? 'rc_status'").fetchone()
    assert count == (340,)


def test_waiting_shows_progress_as_plain_lines(demo: Demo) -> None:
    """Without a terminal, progress is plain lines on standard error, and the run's detail is the standard output."""
    with demo.program("jobs", "trigger", "stay", "--wait") as waiting:
        assert waiting.line("err", lambda line: "3/10" in line) == "running 3/10 (30%) three of ten\n"
        run_id = waiting.line("out", lambda line: line.startswith("Job triggered: ")).split()[-1]
        assert demo.json("jobs", "cancel", run_id) == {"cancelled": True}
        assert waiting.end() == 2
        assert "\x1b" not in waiting.out + waiting.err
        assert "Status:     cancelled" in waiting.out
        assert "Progress:   3/10 (30%) three of ten" in waiting.out


def test_failed_run_exits_1(demo: Demo) -> None:
    """A waited run that fails ends the command with 1, and its error is shown."""
    status, out, _ = demo.run("jobs", "trigger", "break_down", "--wait")
    assert status == 1
    assert "Status:     failed" in out
    assert "  out of owls" in out


def test_waiting_as_json_prints_only_the_ended_run(demo: Demo) -> None:
    """With --format json the ended run is all that is printed, whatever the exit status."""
    status, out, err = demo.run("--format", "json", "jobs", "trigger", "break_down", "--wait")
    assert status == 1
    assert err == ""
    assert json.loads(out)["error"] == "out of owls"


def test_second_trigger_is_told_the_first_run(demo: Demo) -> None:
    """While a run holds the slot, another trigger exits with 1 and a sentence with the first run's id and how to view it."""
    run_id = demo.json("jobs", "trigger", "stay")["id"]
    status, out, err = demo.run("jobs", "trigger", "stay")
    in_json = demo.run("jobs", "trigger", "stay", "--format", "json")
    demo.run("jobs", "cancel", run_id)
    assert (status, out) == (1, "")
    assert f"owlrunner jobs view {run_id}" in sentence(err)
    assert in_json[:2] == (1, "")
    told = json.loads(in_json[2])
    assert (told["status"], told["existing_run_id"]) == (409, run_id)
    assert demo.run("jobs", "logs", run_id, "--follow")[0] == 0


def test_interrupt_leaves_the_run_alone(demo: Demo) -> None:
    """Ctrl-C ends the waiting with 130 and says how to follow the run, which goes on."""
    with demo.program("jobs", "trigger", "stay", "--wait") as waiting:
        waiting.line("err", lambda line: "3/10" in line)
        run_id = waiting.line("out", lambda line: line.startswith("Job triggered: ")).split()[-1]
        waiting.interrupt()
        assert waiting.end() == 130
    assert f"owlrunner jobs logs --follow {run_id}" in waiting.err
    assert "Traceback" not in waiting.err
    assert demo.json("jobs", "view", run_id)["status"] == "running"
    demo.run("jobs", "cancel", run_id)
    assert demo.run("jobs", "logs", run_id, "--follow")[0] == 0


def test_params_are_merged_and_typed_by_the_job(demo: Demo) -> None:
    """--param splits at the first "=" and goes over --params; the job type makes numbers of texts."""
    run = demo.json(
        "jobs",
        "trigger",
        "greet",
        "--wait",
        "--params",
        '{"name": "x", "times": 1}',
        "--param",
        "name=a=b",
        "--param",
        "times=2",
    )
    assert run["result"] == {"greeting": "hello hello a=b"}


def test_a_param_that_is_given_twice_is_refused(demo: Demo) -> None:
    """A key that stands twice in --params is an error of whoever wrote it, and makes no run."""
    status, _, error = demo.run("jobs", "trigger", "greet", "--params", '{"name": "x", "name": "y"}')
    assert (status, "the key 'name' stands in one object more than once" in error) == (2, True)


def test_run_at_and_priority_are_passed_on(demo: Demo) -> None:
    """A run for later stays pending, and cancelling it ends it at once."""
    run = demo.json("jobs", "trigger", "greet", "--run-at", "1h", "--priority", 7)
    status, out, _ = demo.run("jobs", "cancel", run["id"])
    assert run["status"] == "pending"
    assert (status, out) == (0, "Job cancelled successfully\n")
    assert demo.json("jobs", "view", run["id"])["status"] == "cancelled"
