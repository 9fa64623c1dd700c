"""Pages that stay true while somebody looks at them, in a browser."""

import re
import signal

import trio
from playwright.sync_api import Page, Route, expect

from tests.browser.site import Site


def test_the_bar_moves_and_cancel_is_real(page: Page, site: Site) -> None:
    """Progress moves, a cancelled run is shown as cancelling until its work has ended, and focus stays where it was."""
    page.goto(f"/dashboard/jobs/{site.trigger('dry')}")
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_be_visible()
    seen = bar.get_attribute("value") or ""
    page.get_by_role("button", name="Cancel").focus()
    expect(bar).not_to_have_attribute("value", seen)
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("cancelling"))).to_be_visible()
    expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    seen = bar.get_attribute("value") or ""
    expect(bar).not_to_have_attribute("value", seen)
    expect(page.get_by_role("heading", name=re.compile("cancelling"))).to_be_visible()
    site.release()
    expect(page.get_by_role("heading", name=re.compile("cancelled"))).to_be_visible()
    expect(page.get_by_text("Cancel requested by you")).to_be_visible()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_the_log_is_a_tail(page: Page, site: Site) -> None:
    """Lines of the log appear as they are written, at the end, where one is; level and search narrow them, live, too."""
    run = site.trigger("dry")
    page.goto(f"/dashboard/jobs/{run}")
    log = page.get_by_role("list", name="Log")
    expect(log).to_contain_text("still wet after 20")
    page.get_by_label("Search").fill("after 3")
    page.get_by_role("button", name="Show").click()
    expect(log).to_contain_text("still wet after 30")
    expect(log).not_to_contain_text("still wet after 20")
    page.goto(f"/dashboard/jobs/{run}?level=warning")
    expect(page.get_by_text("No line fits.")).to_be_visible()


def test_a_list_is_live(page: Page, site: Site) -> None:
    """Runs appear in the list, and in the counts, as they are triggered; a new one waits while somebody is on the list."""
    page.goto("/dashboard/jobs")
    expect(page.get_by_text("No job has run for Acme yet.")).to_be_visible()
    site.trigger("dry")
    expect(page.get_by_role("row", name=re.compile("running"))).to_be_visible()
    expect(page.get_by_role("navigation", name="By status")).to_contain_text("Running 1")
    page.get_by_role("link", name="Watch paint dry").hover()
    site.trigger("crowd")
    newer = page.get_by_role("button", name="Show 1 newer run")
    expect(newer).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("heading", name="Jobs").hover()
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page.get_by_role("row").nth(1)).to_contain_text("Crowd")
    expect(newer).to_be_hidden()


def test_filters(page: Page, site: Site) -> None:
    """Filters stand in the URL, also after a reload, and what does not fit stays away though the page is live."""
    for _ in range(2):
        site.trigger("crowd")
    page.goto("/dashboard/jobs")
    page.get_by_label("Type").select_option("paint")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("No run fits these filters.")).to_be_visible()
    site.trigger("crowd")
    site.trigger("paint", '{"walls": 1}')
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Failed").click()
    expect(page.get_by_text("No run fits these filters.")).to_be_visible()
    page.reload()
    expect(page).to_have_url(re.compile("type=paint.*status=failed|status=failed.*type=paint"))
    expect(page.get_by_label("Type")).to_have_value("paint")
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_role("row")).to_have_count(5)


def test_a_server_that_is_away(page: Page, site: Site) -> None:
    """When the server is lost the page says that it may be out of date, and goes on with the next one."""
    page.goto("/dashboard/jobs")
    expect(page.get_by_text("No job has run for Acme yet.")).to_be_visible()
    site.server.signal(signal.SIGKILL)
    expect(page.get_by_text("What you see may be out of date.")).to_be_visible()
    site.sql("update servers set lease_expires_at = now(), buried_at = now()")
    site.start()
    site.trigger("crowd")
    expect(page.get_by_role("row")).to_have_count(2, timeout=45_000)
    expect(page.get_by_text("What you see may be out of date.")).to_be_hidden()


def test_where_no_stream_gets_through(page: Page, site: Site) -> None:
    """Behind something that lets no stream through the page asks every few seconds, and is true all the same."""

    def only_questions(route: Route) -> None:
        if "text/event-stream" in route.request.headers.get("accept", ""):
            route.abort()
        else:
            route.continue_()

    page.route("**/live*", only_questions)
    page.goto(f"/dashboard/jobs/{site.trigger('dry')}")
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_be_visible(timeout=30_000)
    for _ in range(2):
        expect(bar).not_to_have_attribute("value", bar.get_attribute("value") or "")
    expect(page.get_by_text("What you see may be out of date.")).to_be_hidden()


def test_a_server_stops_though_pages_are_open(page: Page, site: Site) -> None:
    """Open streams do not keep a server from stopping."""
    page.goto("/dashboard/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    site.server.signal(signal.SIGTERM)
    assert trio.run(site.server.ended) == 0


def test_the_overview(page: Page, site: Site) -> None:
    """The first page shows what is running and what failed, and how the last day went."""
    site.trigger("dry")
    site.trigger("paint", '{"walls": 13}')
    page.goto("/dashboard")
    expect(page.locator("#failures")).to_contain_text("ValueError: thirteen walls")
    expect(page.locator("#now")).to_contain_text("Watch paint dry")
    page.get_by_text("As a table").click()
    expect(page.locator("#hours table")).to_contain_text(re.compile("1 failed"), timeout=30_000)
    site.trigger("crowd")
    page.get_by_role("link", name="Last 7 days").click()
    expect(page.locator("#typical")).to_contain_text("Crowd")
