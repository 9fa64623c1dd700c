"""RevenueCat's lists: a page, and the cursor of the page that follows."""

from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import attrs

T = TypeVar("T")

LARGEST_PAGE = 100
"""How many items RevenueCat gives at once at most. Unless asked for more it gives 20."""
MOST_PAGES = 1000
"""Where a list is given up that never ends."""


@attrs.frozen
class Page(Generic[T]):
    """One page of a list; ``next_page`` may be a relative address."""

    items: tuple[T, ...] = ()
    next_page: str | None = None


def next_cursor(next_page: str | None) -> str | None:
    """The ``starting_after`` of a list's ``next_page``, decoded once; None at the end, and when it holds none."""
    if not next_page:
        return None
    try:
        return parse_qs(urlsplit(next_page).query).get("starting_after", [None])[0]
    except ValueError:
        return None
