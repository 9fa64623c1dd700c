"""Playing the pages' ``console`` blocks: each command is run against a demo, and must print what the page shows.

Ids and times differ each time: an id stands for whichever came in its place first, a time for any time, and ``…`` for any text
(alone on its line, for any lines). Of standard error only what begins with ``Error:`` is shown; a terminal shows a bar there.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.cli.programs import Program
from tests.docs.command_lines import check

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_VARIES = re.compile(rf"(?P<id>{_UUID})|(?P<time>{_TIME})|(?P<lines>^…\n)|(?P<text>…)", re.MULTILINE)


class Step(NamedTuple):
    """A command, and what it prints."""

    command: str
    output: str


def steps(block: str) -> Iterator[Step]:
    """The commands of a block, each with the output that follows it."""
    first, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not first, "a console block begins with a command"
    for part in parts:
        command, _, output = part.partition("\n")
        yield Step(command, output)


class Terminal:
    """One page's terminal."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self._ids: dict[str, str] = {}
        self._status = 0

    def play(self, block: str) -> None:
        """Run every command of a block and compare."""
        for step in steps(block):
            got = self._run(step.command)
            self._compare(step, got)

    def _run(self, command: str) -> str:
        if command == "echo $?":
            return f"{self._status}\n"
        words = shlex.split(re.sub(_UUID, lambda match: self._ids[match[0]], command))
        check(words)
        assert words[0] == "owlrunner", f"only owlrunner is played: {command}"
        program = Program(*words[1:], env=self._environ, cwd=self._folder)
        self._status = program.end()
        errors = [line for line in program.err.splitlines(keepends=True) if line.startswith("Error:")]
        return program.out + "".join(errors)

    def _compare(self, step: Step, got: str) -> None:
        pattern, new = self._pattern(step.output)
        match = re.fullmatch(pattern, got)
        assert match is not None, f"$ {step.command}\n--- the page says\n{step.output}--- it printed\n{got}"
        self._ids |= {shown: match[group] for shown, group in new.items()}

    def _pattern(self, output: str) -> tuple[str, dict[str, str]]:
        """What the output must match, and the groups that hold ids which are new."""
        new: dict[str, str] = {}

        def varying(match: re.Match[str]) -> str:
            match match.lastgroup:
                case "id" if match[0] in self._ids:
                    return re.escape(self._ids[match[0]])
                case "id" if match[0] in new:
                    return f"(?P={new[match[0]]})"
                case "id":
                    new[match[0]] = f"id{len(new)}"
                    return f"(?P<{new[match[0]]}>{_UUID})"
                case "time":
                    return _TIME
                case "lines":
                    return "(?:.*\n)*"
                case _:
                    return ".*"

        pattern, end = "", 0
        for match in _VARIES.finditer(output):
            pattern += re.escape(output[end : match.start()]) + varying(match)
            end = match.end()
        return pattern + re.escape(output[end:]), new
