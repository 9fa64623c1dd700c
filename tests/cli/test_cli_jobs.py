"""``owlrunner jobs list|view|cancel|logs`` against a real server."""

import json

import pytest

from tests.cli.programs import Demo, sentence


@pytest.fixture(scope="module")
def greeted(demo: Demo) -> dict[str, object]:
    """A run that has completed."""
    run: dict[str, object] = demo.json("jobs", "trigger", "greet", "--wait")
    return run


def test_list_shows_a_line_for_each_run(demo: Demo, greeted: dict[str, object]) -> None:
    """The list has a header and a line for each run, with its whole id."""
    status, out, err = demo.run("jobs", "list", "--type", "greet", "--status", "completed")
    assert (status, err) == (0, "")
    header, _, *lines = out.splitlines()
    assert header.split() == ["ID", "Status", "Type", "Triggered", "By", "Duration", "Created"]
    assert any(line.split()[:4] == [greeted["id"], "completed", "greet", "manual"] for line in lines)


def test_list_pages_by_cursor(demo: Demo, greeted: dict[str, object]) -> None:
    """The cursor of one page leads to the next one, without a run twice."""
    demo.json("jobs", "trigger", "greet", "--wait")
    first = demo.json("jobs", "list", "--limit", 1)
    second = demo.json("jobs", "list", "--limit", 1, "--cursor", first["cursor"])
    assert first["has_more"]
    assert first["job_runs"][0]["id"] != second["job_runs"][0]["id"]
    assert f"--cursor '{first['cursor']}'" in demo.run("jobs", "list", "--limit", 1)[1]


def test_list_of_nothing_says_so(demo: Demo) -> None:
    """A filter that nothing passes gives a sentence, not an empty table."""
    assert demo.run("jobs", "list", "--type", "no_such_type") == (0, "No job runs found\n", "")


def test_team_is_the_keys_own_unless_named(demo: Demo, greeted: dict[str, object]) -> None:
    """A foreign team that is named, by option or environment, is refused, so it is really used."""
    for arguments, env in (
        (["--team-id", "11111111-1111-4111-8111-111111111111"], {}),
        ([], {"OWLRUNNER_TEAM_ID": "x"}),
    ):
        status, _, err = demo.run("jobs", "list", *arguments, **env)
        assert (status, sentence(err)) == (1, "API error (403): Not a member of this team")
    assert demo.run("jobs", "list", "--team-id", demo.ready["team_id"])[0] == 0


def test_view_shows_one_run(demo: Demo, greeted: dict[str, object]) -> None:
    """The detail names id, status and result; as JSON it is the run object itself."""
    _, out, _ = demo.run("jobs", "view", greeted["id"])
    assert f"ID:         {greeted['id']}" in out
    assert '  greeting: "hello world"' in out
    assert demo.json("jobs", "view", greeted["id"]) == greeted


def test_logs_print_what_the_handler_told(demo: Demo, greeted: dict[str, object]) -> None:
    """A run's log is one line for each record; as JSON one object for each."""
    _, out, _ = demo.run("jobs", "logs", greeted["id"])
    (line,) = out.splitlines()
    assert line.endswith("info    owlrunner.run.greet: greeting world")
    _, out, _ = demo.run("jobs", "logs", greeted["id"], "--format", "json")
    assert json.loads(out)["message"] == "greeting world"


def test_unknown_run_is_one_sentence(demo: Demo) -> None:
    """A run that is not there exits with 1 and the server's sentence."""
    for command in ("view", "cancel", "logs"):
        status, out, err = demo.run("jobs", command, "11111111-1111-4111-8111-111111111111")
        assert (status, out) == (1, "")
        assert sentence(err) == "API error (404): Job run not found"


def test_ended_run_cannot_be_cancelled(demo: Demo, greeted: dict[str, object]) -> None:
    """Cancelling an ended run exits with 1 and says in which status it is."""
    status, _, err = demo.run("jobs", "cancel", greeted["id"])
    assert (status, sentence(err)) == (1, 'API error (400): Cannot cancel a job with status "completed"')


def test_wrong_key_is_one_sentence(demo: Demo) -> None:
    """A key that the server does not know exits with 1 and a sentence; as JSON with an object."""
    key = "owl_agent_" + "0" * 48
    status, _, err = demo.run("jobs", "list", OWLRUNNER_API_KEY=key)
    assert (status, sentence(err)) == (1, "API error (401): Invalid API key")
    status, out, err = demo.run("jobs", "list", "--format", "json", "--api-key", key)
    assert (status, out, json.loads(err)) == (1, "", {"error": "Invalid API key", "status": 401})
