"""A workshop for each page, and one demo for all of them, with the plugins that the pages show."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import Program, environment
from tests.docs.pages import modules
from tests.docs.terminal import Terminal
from tests.docs.workshop import Workshop
from tests.postgres import folder_for_postgres

SYNC_SECONDS = 2
"""How long a sync takes in this demo: long enough to be met by a second trigger and a cancel."""


@pytest.fixture(scope="session")
def demo() -> Iterator[dict[str, str]]:
    """The variables that one exports to use a running demo."""
    with folder_for_postgres() as folder:
        yield from _demo_in(folder)


def _demo_in(folder: Path) -> Iterator[dict[str, str]]:
    options: list[object] = ["--json", "--port", 0, "--data-dir", folder / "data", "--sync-seconds", SYNC_SECONDS]
    for name, text in modules():
        if "@owlrunner.hookimpl" in text:
            (folder / name).write_text(text, "utf-8")
            options += ["--plugin", Path(name).stem]
    program = Program("demo", *options, cwd=folder)
    ready = json.loads(program.line("out", lambda _: True))
    yield {
        "OWLRUNNER_ENDPOINT": ready["url"],
        "OWLRUNNER_API_KEY": ready["api_key"],
        "OWLRUNNER_PROJECT_ID": ready["project_id"],
        "DATABASE_URL": ready["database_url"],
    }
    program.terminate()
    assert program.end() == 0


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """A fresh folder to try blocks out in, with no configuration of whoever runs the tests."""
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    terminals: list[Terminal] = []

    def terminal() -> Terminal:
        if not terminals:
            terminals.append(Terminal(request.getfixturevalue("demo"), tmp_path))
        return terminals[0]

    yield Workshop(tmp_path, terminal)
    for name in sys.modules.keys() - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
