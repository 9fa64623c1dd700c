"""The rules of the house that no linter knows."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 300


@functools.cache
def files(kind: str, *folders: str) -> list[Path]:
    """Every file of a kind in the checkout's folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob(f"*.{kind}"))


@functools.cache
def text_of(path: Path) -> str:
    """What a file holds; some are looked at for each query there is."""
    return path.read_text("utf-8")


def named(paths: list[Path]) -> list[str]:
    """The paths as they are called in the checkout."""
    return [path.relative_to(ROOT).as_posix() for path in paths]


def test_every_module_says_what_it_is_for() -> None:
    """A module opens with its docstring; what is empty needs none."""
    modules = {one: text_of(one) for one in files("py", "owlrunner", "plugins", "tests")}
    assert named([one for one, text in modules.items() if text and not ast.get_docstring(ast.parse(text))]) == []


def test_every_query_says_why() -> None:
    """A .sql file opens with a comment."""
    queries = files("sql", "owlrunner", "plugins")
    assert named([one for one in queries if not text_of(one).startswith("-- ")]) == []


def test_no_module_is_too_long() -> None:
    """A module past 300 lines has two reasons to exist."""
    modules = files("py", "owlrunner", "plugins")
    assert {*named([one for one in modules if len(text_of(one).splitlines()) > LONGEST])} == set()


@pytest.mark.parametrize("query", files("sql", "owlrunner", "plugins"), ids=lambda path: path.stem)
def test_every_query_is_used(query: Path) -> None:
    """A query's name stands in Python; migrations are found by their folder."""
    if "migrations" in query.parts and re.match(r"\d{4}_", query.name):
        return
    central = ROOT / "owlrunner" / "storage" / "sql"
    name = query.relative_to(central).with_suffix("").as_posix() if query.is_relative_to(central) else query.stem
    wanted = re.compile(rf"[\"']{name}(\.sql)?[\"']")
    package = query.relative_to(ROOT).parts[0]
    assert any(wanted.search(text_of(one)) for one in files("py", package))


def test_every_test_says_what_it_promises() -> None:
    """A test has a docstring of one sentence on one line."""
    without = [
        f"{path.name}: {name}"
        for path in files("py", "tests")
        for name, said in promises_in(path)
        if "\n" in said or not said
    ]
    assert without == []


def promises_in(path: Path) -> Iterator[tuple[str, str]]:
    """The tests of a file, with what they say."""
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""
