"""Where one page's blocks are tried out: a folder with the files that the page shows, and an evaluator for each language."""

import ast
import importlib
import inspect
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import trio
import trio.testing
from sybil import Example
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser

from owlrunner.config import load_config
from owlrunner.plugins import build_catalog, load_catalog
from tests.docs.command_lines import check, command_lines
from tests.docs.pages import file_name
from tests.docs.terminal import Terminal


@attrs.frozen
class Workshop:
    """The folder is on ``sys.path`` and is the current one; ``terminal`` is asked for when a block needs it."""

    folder: Path
    terminal: Callable[[], Terminal]

    def try_out(self, page: Path) -> int:
        """Evaluate every block of a page in order, and return how many there were."""
        evaluators: dict[str, Callable[[Example], None]] = {
            "python": self.python,
            "toml": self.toml,
            "json": self.json,
            "bash": self.bash,
            "console": self.console,
            "text": lambda _: None,
        }
        parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
        document = Document.parse(str(page), *parsers)
        count = 0
        for example in document.examples():
            example.evaluate()
            count += 1
        return count

    def python(self, example: Example) -> None:
        """Run it; a block that names its file is imported as a module, and its tests are run. Blocks may await."""
        source = str(example.parsed)
        name = file_name(source)
        if name is not None:
            (self.folder / name).write_text(source, "utf-8")
            _run_tests(_imported(Path(name).stem))
            return
        padded = "\n" * example.line + source
        code = compile(padded, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        awaitable: Any = eval(code, example.namespace)  # noqa: S307 - the page is ours
        if inspect.isawaitable(awaitable):
            trio.run(_awaited, awaitable)

    def toml(self, example: Example) -> None:
        """Load it as the server does, plugins and their settings included; in a package's file, the plugins it names."""
        table = tomllib.loads(str(example.parsed))
        if "project" in table:
            for name, module in table["project"]["entry-points"]["owlrunner"].items():
                build_catalog({name: ("the page", importlib.import_module(module), {})})
            return
        file = self.folder / (file_name(str(example.parsed)) or "owlrunner.toml")
        file.parent.mkdir(exist_ok=True)
        file.write_text(str(example.parsed), "utf-8")
        config = load_config(file, {})
        load_catalog(config.plugins, config.server.plugins)

    def json(self, example: Example) -> None:
        """Read it."""
        json.loads(str(example.parsed))

    def bash(self, example: Example) -> None:
        """Look every command up."""
        for words in command_lines(str(example.parsed)):
            check(words)

    def console(self, example: Example) -> None:
        """Play it."""
        self.terminal().play(str(example.parsed))


def _imported(name: str) -> ModuleType:
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _run_tests(module: ModuleType) -> None:
    for name, function in vars(module).items():
        if name.startswith("test_"):
            wants_clock = "autojump_clock" in inspect.signature(function).parameters
            clock = trio.testing.MockClock(autojump_threshold=0) if wants_clock else None
            trio.run(function, *([clock] if wants_clock else []), clock=clock)


async def _awaited(awaitable: Any) -> None:
    await awaitable
