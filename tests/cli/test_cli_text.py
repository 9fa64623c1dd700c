"""What the command line prints: runs, progress, log records."""

import io
import json
import logging
from typing import Any
from uuid import UUID

import pytest
from click import unstyle
from rich.console import Console

from owlrunner.cli.live_bar import LiveBar
from owlrunner.cli.log_output import LONGEST, OneLine
from owlrunner.cli.printing import clean, print_json, print_json_line
from owlrunner.cli.run_text import duration, progress_of, run_detail, run_table, share, waiting_text
from owlrunner.unseen_text import UNSEEN


def run(status: str = "running", processed: int = 0, total: int = 0, message: str = "") -> dict[str, Any]:
    """A run as the API has it."""
    progress = {"processed": processed, "total": total, "message": message}
    return {"id": "r", "job_type": "greet", "status": status, "triggered_by": "operator", "progress": progress}


def bar(*runs: dict[str, Any]) -> str:
    """What the live bar leaves on a terminal of 100 columns."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with LiveBar(runs[0], console) as live:
        for one in runs:
            live.show(one)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_share_says_100_only_of_what_is_complete() -> None:
    """The percentage is rounded down, and without a total there is none."""
    assert [share(999, 1000), share(1000, 1000), share(5, 0)] == ["999/1000 (99%)", "1000/1000 (100%)", "5"]


def test_progress_is_never_above_its_total() -> None:
    """Whatever a server tells, processed stays within total, and nothing is below zero."""
    assert progress_of(run(processed=12, total=10)) == (10, 10, "")
    assert progress_of(run(processed=-2, total=-1)) == (0, 0, "")
    assert progress_of({"progress": None}) is None


def test_bar_shows_share_and_message() -> None:
    """The bar has status, share and message on one line, markup and control characters as they are."""
    shown = bar(run(processed=12, total=10, message="[red]a\x1b[2Jb\nc"))
    assert "running" in shown
    assert "10/10 (100%)" in shown
    assert "[red]a\\x1b[2Jb c" in shown


def told_to_wait(reason: str, detail: str = "", **times: str) -> dict[str, Any]:
    """What the API says of an active run."""
    return {"waiting_for": {"reason": reason, "detail": detail, "until": None, "since": None} | times}


def test_a_cancelling_run_is_shown_as_cancelling() -> None:
    """A running run whose cancel was requested is *cancelling* in the list, in its detail and on the bar, with who asked."""
    asked = {"cancel_requested_at": "2026-03-28T20:00:00.000Z", "cancelled_by_name": "mia@acme.test"}
    cancelling = run() | asked | told_to_wait("cancel", "asked by mia@acme.test", since="2026-03-28T20:00:00.000Z")
    assert "cancelling, asked by mia@acme.test" in run_table([cancelling])
    detail = unstyle(run_detail(cancelling))
    assert "Status:     cancelling\n" in detail
    assert "Cancel:     requested 2026-03-28 20:00:00Z by mia@acme.test" in detail
    assert "cancelling" in bar(cancelling)


def test_lines_that_are_written_on_do_not_count_down() -> None:
    """In words for a log the time itself is told, so that nothing new is told while somebody waits; elsewhere what is left."""
    waiting = run("pending") | told_to_wait(
        "retry", "attempt 1 of 2 failed: E: x\x1b", until="2026-03-28T20:00:00.000Z"
    )
    told = "retrying, attempt 1 of 2 failed: E: x\\x1b; again at 2026-03-28 20:00:00Z"
    assert waiting_text(waiting, ticking=False) == told
    assert waiting_text(waiting).endswith("again in 0s")


def test_a_run_of_a_silent_server_does_not_go_on() -> None:
    """Its duration is that until which it is known to have run, and a further attempt's says whose it is."""
    silent = run() | {"started_at": "2026-03-28T20:00:00.000Z", "attempt": 2}
    silent |= told_to_wait("silent_server", since="2026-03-28T20:00:07.000Z")
    assert duration(silent) == "7.0s (attempt 2)"


def test_bar_without_total_has_no_percentage() -> None:
    """With a total of 0 the bar does not pretend to know how far it is."""
    assert "%" not in bar(run(processed=3, total=0, message="some"))


def test_detail_of_a_failed_run_shows_the_error() -> None:
    """Every line of an error is shown, and none of it reaches the terminal raw."""
    assert "  a\n  b\\x1b[0m" in run_detail(run("failed") | {"error": "a\nb\x1b[0m"})


def test_clean_escapes_what_moves_the_cursor() -> None:
    """Control characters are escaped; line ends, tabs and letters of all languages stay."""
    assert clean("a\tb\nc é 猫 \x1b[1m \r \u202e") == "a\tb\nc é 猫 \\x1b[1m \\r \\u202e"


def test_clean_shows_what_nobody_would_see() -> None:
    """What turns text around or has no width is escaped; what emoji and Persian are written with stays."""
    assert clean("\x7f\x9b\u200b\u200f\u2066\ufeff\U000e0041👩\u200d💻") == (
        "\\x7f\\x9b\\u200b\\u200f\\u2066\\ufeff\\U000e0041👩\u200d💻"
    )


def test_json_shows_what_nobody_would_see(capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal JSON is text like other; what is escaped in it means the same to a program."""
    value = {"a\x9b": ["\u202e\u200b\U000e0041", "é 猫\n"]}
    for printed in (print_json, print_json_line):
        printed(value)
        text = capsys.readouterr().out
        assert json.loads(text) == value
        assert r"\u202e\u200b\udb40\udc41" in text
        assert not UNSEEN.search(text.replace("\n", ""))
        assert "é 猫" in text


def test_log_records_are_one_line_with_their_run() -> None:
    """A record cannot look like two, and one that was made for a run says for which."""

    class Context:
        run_id = UUID(int=7)

    record = logging.LogRecord("owlrunner.run.x", logging.WARNING, "", 0, "a\n%s\x1b", ("b",), None)
    record.owlrunner_context = Context()
    text = OneLine().format(record)
    assert text.endswith(f"Z WARNING owlrunner.run.x: [run {UUID(int=7)}] a\\nb\\x1b")
    assert "\n" not in text


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 1_000_000])
def test_a_log_line_has_an_end(length: int) -> None:
    """Of a long message the beginning and the end are told, with how much is left out."""
    message = "a" + "\x01" * (length - 2) + "z"
    text = OneLine().format(logging.LogRecord("x", logging.INFO, "f", 1, message, None, None))
    assert text.count("\\x01") <= LONGEST
    assert text.endswith("z")
    assert (f"{length - LONGEST:,} characters left out" in text) == (length > LONGEST)
