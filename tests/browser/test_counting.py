"""Pages that do not pretend: what they count, and when they stop, in a browser."""

import signal

from playwright.sync_api import Page, expect

from tests.browser.site import Site


def test_nothing_goes_on_while_the_server_is_away(page: Page, site: Site) -> None:
    """When the server is killed, no duration counts on and no end is foretold on the page that it left behind."""
    page.clock.install()
    page.goto(f"/dashboard/jobs/{site.trigger('dry')}")
    expect(page.get_by_text("left at this pace")).to_be_visible()
    site.server.signal(signal.SIGKILL)
    expect(page.get_by_text("What you see may be out of date.")).to_be_visible()
    duration = page.locator("[data-ticking]")
    seen = duration.inner_text()
    page.clock.fast_forward(5_000)
    assert duration.inner_text() == seen
    expect(page.get_by_text("left at this pace")).to_be_hidden()


def test_a_time_that_comes_is_counted_down(page: Page, site: Site) -> None:
    """A run that is due later counts down to it on its page."""
    run = site.trigger("crowd", delay="2 hours")
    page.goto(f"/dashboard/jobs/{run}")
    expect(page.get_by_text("scheduled, due in 1h 59m")).to_be_visible()


def test_more_runs_than_a_page_holds_are_not_counted_as_fewer(page: Page, site: Site) -> None:
    """When more runs came than a page holds, the button that shows them says that there are more than it counts."""
    site.trigger("crowd")
    page.goto("/dashboard/jobs")
    page.get_by_role("row").nth(1).hover()
    for _ in range(60):
        site.trigger("crowd")
    expect(page.get_by_role("button", name="Show 50+ newer runs")).to_be_visible()
