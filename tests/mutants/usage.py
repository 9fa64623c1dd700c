"""The map: which tests use which line and which query, and how long each takes.

It is recorded once, and anew for tests that have changed; for all when the code has.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Self

import attrs

from tests.mutants.mutant import Mutant
from tests.mutants.tree_copy import HERE, files_of_the_tree, tree_copy

NAME = "map.json"
_NOT_PLAYED = ("tests/mutants/", "tests/lab/", "tests/browser/", "tests/benchmarks/")
"""Tests of tools. They begin real servers, too, but what they look at are the tools."""
_FURTHER_UP = 20
"""A statement may stand on so many lines; not all of them are told of as executed."""


@attrs.define
class Usage:
    """The map."""

    sources: str = ""
    """Stands for everything but the modules of tests."""
    modules: dict[str, str] = attrs.Factory(dict)
    """Of each module of tests what it looked like."""
    tests: dict[str, float] = attrs.Factory(dict)
    """Seconds that a test takes, of those that hold."""
    uses: dict[str, list[str]] = attrs.Factory(dict)
    """The tests that use ``file:line``, or a file of SQL."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The map that is there; empty if none is."""
        path = folder / NAME
        if not path.exists():
            return cls()
        about = json.loads(path.read_text("utf-8"))
        names = list(about["tests"])
        uses = {place: [names[index] for index in indices] for place, indices in about["uses"].items()}
        return cls(about["sources"], about["modules"], about["tests"], uses)

    def write(self, folder: Path) -> None:
        """Keep the map."""
        indices = {name: index for index, name in enumerate(self.tests)}
        uses = {place: [indices[name] for name in names] for place, names in self.uses.items()}
        folder.mkdir(parents=True, exist_ok=True)
        about = {"sources": self.sources, "modules": self.modules, "tests": self.tests, "uses": uses}
        (folder / NAME).write_text(json.dumps(about), "utf-8")

    def tests_of(self, mutant: Mutant) -> set[str]:
        """The tests that use what a mutant changes."""
        if mutant.file.endswith(".sql"):
            return set(self.uses.get(mutant.file, ()))
        found: set[str] = set()
        for line in range(mutant.line, mutant.last_line + 1):
            found.update(self.uses.get(f"{mutant.file}:{line}", ()))
        for line in range(mutant.line, max(0, mutant.line - _FURTHER_UP), -1):
            if found:
                break
            found.update(self.uses.get(f"{mutant.file}:{line}", ()))
        return found

    def brought_up_to_date(self, *, keep: bool) -> Self:
        """This map with what is missing; ``keep`` takes it as it is for code that has changed."""
        sources, modules = _state_of_the_tree()
        known = self if keep or self.sources == sources else type(self)(sources)
        stale = {path for path, digest in modules.items() if known.modules.get(path) != digest}
        gone = {path for path in known.modules if path not in modules}
        fresh = known._without(stale | gone)
        if stale:
            fresh._record(sorted(stale) if known.modules else [])
        return attrs.evolve(fresh, sources=sources, modules=modules)

    def _without(self, modules: set[str]) -> Self:
        tests = {name: seconds for name, seconds in self.tests.items() if _module(name) not in modules}
        uses = {place: [name for name in names if name in tests] for place, names in self.uses.items()}
        return attrs.evolve(self, tests=tests, uses=uses)

    def _record(self, modules: list[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="owlrunner-mutants-") as folder, tree_copy() as copy:
            left_out = [f"--ignore={path}" for path in _NOT_PLAYED]
            copy.record(Path(folder), "-q", "-n", "2", "--dist", "loadgroup", *left_out, *modules)
            self.take_in(Path(folder))

    def take_in(self, folder: Path) -> None:
        """Add what processes have written down."""
        used: dict[str, set[str]] = defaultdict(set)
        seconds: dict[str, dict[str, float]] = defaultdict(dict)
        failed = set()
        files = [[line.split("\t") for line in path.read_text("utf-8").splitlines()] for path in folder.iterdir()]
        groups = {words[1] for lines in files for words in lines if words[0] == "group"}

        def own(name: str) -> str:
            return next((name.removesuffix(group) for group in groups if name.endswith(group)), name)

        for lines in files:
            test = ""
            for words in lines:
                match words:
                    case ["test", name]:
                        test = own(name)
                    case ["line", file, number]:
                        used[f"{file}:{number}"].add(test)
                    case ["query", file, name]:
                        used[f"{Path(file).parent / 'sql' / name}.sql"].add(test)
                    case ["report", name, when, outcome, took]:
                        seconds[own(name)][when] = float(took)
                        if outcome != "passed":
                            failed.add(own(name))
        self.tests |= {name: round(sum(parts.values()), 3) for name, parts in seconds.items() if name not in failed}
        for place, names in used.items():
            self.uses[place] = sorted({*self.uses.get(place, ()), *names} & self.tests.keys())


def _module(test: str) -> str:
    return test.partition("::")[0]


def _state_of_the_tree() -> tuple[str, dict[str, str]]:
    """What stands for the code, and for each module of tests."""
    modules, sources = {}, []
    for name in files_of_the_tree():
        if not name.startswith(("owlrunner/", "plugins/", "tests/")) or name.startswith(_NOT_PLAYED):
            continue
        digest = sha256((HERE / name).read_bytes()).hexdigest()
        if Path(name).name.startswith("test_") and name.endswith(".py"):
            modules[name] = digest
        else:
            sources.append(f"{name} {digest}")
    return _digest(sources), modules


def _digest(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()
