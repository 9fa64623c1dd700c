"""The pages: where they are, and how their blocks, sections, tables and links are read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1 *$\n?", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"# ([\w/.-]+\.(?:py|toml))\n")
_NAME = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """One fenced block."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """The page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def reference(name: str) -> str:
    """The text of a page of the reference."""
    return (DOCS / "reference" / f"{name}.md").read_text("utf-8")


def blocks(text: str, language: str | None = None) -> list[Block]:
    """The fenced blocks of a text, in order."""
    found = [Block(match[2].strip(), match[3]) for match in _FENCE.finditer(text)]
    return [block for block in found if language in {None, block.language}]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Where a text's links lead."""
    return _LINK.findall(prose(text))


def file_name(block: str) -> str | None:
    """The name of the file that a block is to be saved as: its first line says so, as a comment."""
    match = _FILE.match(block)
    return match[1] if match else None


def modules() -> Iterator[tuple[str, str]]:
    """Every Python file that the pages show: file name and text."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8"), "python"):
            name = file_name(block.text)
            if name is not None:
                yield name, block.text


def section(text: str, heading: str) -> str:
    """What stands under a heading (``## Name``), up to the next one of its level or above."""
    level = len(heading.partition(" ")[0])
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no heading {heading!r}"
    return found[1]


def headings(text: str, level: int) -> list[str]:
    """The headings of one level."""
    return re.findall(rf"^{'#' * level} (.+)$", prose(text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a link may name behind ``#``: the headings, as they are made into addresses."""
    every = [heading for level in range(1, 5) for heading in headings(text, level)]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in every}


def rows(text: str, first: str | None = None) -> list[list[str]]:
    """The cells of a text's tables, without their headers; only of tables whose first column is called so."""
    found: list[list[str]] = []
    wanted = False
    previous = ""
    for line in text.splitlines():
        if re.fullmatch(r"\|[-| ]+\|", line):
            found_header = _cells(previous)
            wanted = first is None or found_header[0] == first
        elif line.startswith("|") and previous.startswith("|") and wanted:
            found.append(_cells(line))
        elif not line.startswith("|"):
            wanted = False
        previous = line
    return found


def names(text: str, first: str) -> list[str]:
    """The first name in backticks of each row of the tables whose first column is called so."""
    return [_NAME.findall(row[0])[0] for row in rows(text, first)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
