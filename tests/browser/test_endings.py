"""The moment in which a run ends while somebody is about to cancel it, in a browser."""

import re

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.site import Site

AT_THE_MOMENT = """([x, y]) => {
  window.hit = [];
  new MutationObserver(() => {
    if (document.getElementById("cancel") || window.hit.length) return;
    for (const one of [document.elementFromPoint(x, y), document.activeElement]) {
      window.hit.push(one.tagName);
      one.click();
    }
  }).observe(document.body, { childList: true, subtree: true });
}"""
"""Click what is under the pointer, and what has the focus, as soon as the Cancel button is gone."""


@pytest.mark.parametrize("width", [1200, 390])
def test_who_means_to_cancel_never_starts_a_run(page: Page, site: Site, width: int) -> None:
    """When a run ends under the pointer and the focus, a click there and Enter start nothing; focus is on the heading."""
    page.set_viewport_size(ViewportSize(width=width, height=850))
    page.goto(f"/dashboard/jobs/{site.trigger('hold')}")
    cancel = page.get_by_role("button", name="Cancel")
    cancel.focus()
    box = cancel.bounding_box()
    assert box is not None
    corners = [(box["x"] + box["width"] * part, box["y"] + box["height"] / 2) for part in (0.02, 0.5, 0.98)]
    page.mouse.move(*corners[1])
    page.evaluate(AT_THE_MOMENT, corners[1])
    site.release()
    heading = page.get_by_role("heading", name=re.compile("completed"))
    expect(heading).to_be_focused()
    for corner in corners:
        page.mouse.click(*corner)
    heading.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert "BUTTON" not in page.evaluate("window.hit")
    assert page.evaluate("window.hit.length") == 2
    expect(page.get_by_text(re.compile(r"^Completed \d+s ago$"))).to_be_visible()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    assert site.sql("select count(*) from job_runs") == [(1,)]
