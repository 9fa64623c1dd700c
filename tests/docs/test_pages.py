"""What the pages show is so: every block is tried out, and every link leads somewhere."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, blocks, links, name_of
from tests.docs.workshop import Workshop

LANGUAGES = {"python", "toml", "json", "bash", "console", "text"}


@pytest.mark.xdist_group("pages")  # they share a demo, which is started for the first that needs it
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_true(page: Path, workshop: Workshop) -> None:
    """Python runs, configuration loads, JSON parses, commands exist, and consoles print what is shown."""
    text = page.read_text("utf-8")
    shown = blocks(text)
    assert {block.language for block in shown} <= LANGUAGES
    assert workshop.try_out(page) == len(shown) == text.count("```") / 2


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file or folder that is there, and a heading in it."""
    for link in links(page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in anchors(target.read_text("utf-8")), link


def test_the_index_names_every_page() -> None:
    """Whoever reads docs/README.md finds everything that is there."""
    index = DOCS / "README.md"
    linked = {(DOCS / link).resolve() for link in links(index.read_text("utf-8"))}
    assert set(PAGES) - {index, ROOT / "CHANGELOG.md"} <= linked
