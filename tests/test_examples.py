"""The production examples under config/examples: what they set is known, and what they promise fits the code."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from owlrunner.config import ServerConfig, WebConfig, load_config
from owlrunner.runtime import heartbeat, loops
from owlrunner.storage.postgres import ANSWER_TIMEOUT
from tests.docs.command_lines import check_owlrunner

EXAMPLES = Path(__file__).parents[1] / "config" / "examples"
UNIT = EXAMPLES / "owlrunner@.service"
COMPOSE = EXAMPLES / "compose.yaml"
ORDERLY_END = (
    max(WebConfig().graceful_timeout, 3 * ANSWER_TIMEOUT)
    + ServerConfig().shutdown_grace
    + loops.CUT_PATIENCE
    + loops.DRAIN_PATIENCE
    + heartbeat.JOIN_PATIENCE
)
"""Seconds that a server takes to stop at most, unless a handler does not let itself be cut."""


def settings() -> Iterator[tuple[str, str, str]]:
    """File, variable and value of everything that the examples set through the environment."""
    for file in sorted(EXAMPLES.iterdir()):
        for name, value in re.findall(r"(OWLRUNNER_\w+__\w+)(?:=|: )\"?([^\"\n]+)", file.read_text("utf-8")):
            yield file.name, name, value


@pytest.mark.parametrize(("file", "name", "value"), list(settings()))
def test_what_the_examples_set_is_a_setting(file: str, name: str, value: str) -> None:
    """Every variable is known, and takes the value that it is given."""
    load_config(Path("/dev/null"), {name: value})


@pytest.mark.parametrize("file", sorted(EXAMPLES.iterdir()), ids=lambda file: file.name)
def test_what_the_examples_name_is_known(file: Path) -> None:
    """Nothing that looks like one of our variables is misspelt, whether it is set or only told of."""
    for name in re.findall(r"OWLRUNNER_\w+", file.read_text("utf-8")):
        section, _, key = name.removeprefix("OWLRUNNER_").lower().partition("__")
        assert hasattr(getattr(load_config(Path("/dev/null"), {}), section), key), name


def test_supervisors_wait_for_an_orderly_end() -> None:
    """Nobody is killed who is still within the limits of an orderly shutdown."""
    given = re.findall(
        r"^(?:TimeoutStopSec=| *stop_grace_period: )(\d+)s?$", UNIT.read_text() + COMPOSE.read_text(), re.MULTILINE
    )
    assert len(given) == 2
    assert all(int(seconds) > ORDERLY_END for seconds in given)


def test_the_examples_commands_exist() -> None:
    """What the unit and the containers execute are commands of ours, with options that exist."""
    executed = re.findall(r"^Exec\w+=\S+/owlrunner (.+)$", UNIT.read_text("utf-8"), re.MULTILINE)
    executed += re.findall(r'^ *command: \["(\w+)"\]$', COMPOSE.read_text("utf-8"), re.MULTILINE)
    assert len(executed) == 4
    for command in executed:
        check_owlrunner([word for word in command.split() if not word.startswith(("--config", "/etc/"))])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """The unit leaves systemd nothing to complain about, once the program is where the unit says."""
    unit = UNIT.read_text("utf-8").replace("/opt/owlrunner/bin", str(Path(sys.executable).parent))
    (tmp_path / UNIT.name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "owlrunner@a.service"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
