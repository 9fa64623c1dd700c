"""``owlrunner jobs watch``: a team's runs, live in the terminal."""

import io
import json

from rich.console import Console

from owlrunner.cli.live_table import LiveTable
from owlrunner.client import Unreachable
from tests.cli.programs import Demo, Screen


def test_a_terminal_shows_what_is_new(demo: Demo) -> None:
    """On a terminal a run appears that came after the watching began, and Ctrl-C ends it quietly."""
    watching = Screen(demo.env, "jobs", "watch")
    try:
        watching.shows("active")
        demo.json("jobs", "trigger", "greet", "--wait")
        watching.shows("greet")
        watching.shows("completed")
        assert watching.end() == (130, "")
    finally:
        watching.process.kill()
        watching.process.wait()


def test_elsewhere_each_change_is_a_line(demo: Demo) -> None:
    """Into a file goes a line for each change, as JSON the run itself."""
    with demo.program("jobs", "watch", "--type", "greet", "--format", "json") as in_json:
        with demo.program("jobs", "watch", "--type", "greet") as watching:
            run_id = demo.json("jobs", "trigger", "greet", "--wait")["id"]
            line = watching.line("out", lambda line: run_id in line and "completed" in line)
            assert line.split()[2:5] == [run_id, "completed", "greet"]
            watching.interrupt()
            assert watching.end() == 130
        told = json.loads(in_json.line("out", lambda line: run_id in line and '"completed"' in line))
        assert (told["id"], told["job_type"]) == (run_id, "greet")
        in_json.interrupt()
        assert in_json.end() == 130


def test_the_table_says_when_it_is_out_of_date() -> None:
    """During an outage the runs stay, with a line that says so; the newest stands on top, and nothing moves the cursor."""
    console = Console(file=io.StringIO(), force_terminal=True, width=160, height=20, color_system=None)
    assert isinstance(console.file, io.StringIO)
    table = LiveTable(console)
    for day, job_type in ((1, "older"), (2, "new\x1b[2Jer")):
        table.show(
            {
                "id": f"the-id-of-{job_type}",
                "job_type": job_type,
                "status": "running",
                "triggered_by": "schedule",
                "created_at": f"2026-03-0{day}T00:00:00.000Z",
                "progress": {"processed": 1, "total": 4, "message": "counting"},
            }
        )
    table.tell_outage(Unreachable("it is gone"))
    with console.capture() as shown:
        console.print(table.drawn())
    text = shown.get()
    assert text.index("  new\\x1b[2Jer") < text.index("  older")
    assert "counting" in text
    assert "the-id-of-older" in text
    assert "it is gone; trying again" in text
