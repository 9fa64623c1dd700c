"""Signing in and out, in a browser."""

import re

from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.site import ADMIN, Site


def test_a_code_leads_in_and_the_menu_out(stranger: BrowserContext, site: Site) -> None:
    """Who follows a deep link signs in with a code, is where they wanted to go, and can sign out again."""
    run = site.trigger("crowd")
    page = stranger.new_page()
    page.goto(f"/dashboard/jobs/{run}")
    page.get_by_label("Email").fill(ADMIN)
    page.get_by_role("button", name="Mail me a code").click()
    expect(page.get_by_label("Code")).to_have_value(re.compile(r"\d{6}"))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(run))
    page.locator("summary").get_by_text("Acme").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/dashboard/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_sign_in_that_ended_elsewhere(admins: BrowserContext, site: Site) -> None:
    """A page that is open when its sign-in ends leads to the sign-in by itself."""
    page = admins.new_page()
    page.goto("/dashboard/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    site.sql("delete from user_sessions")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_without_javascript(chromium: Browser, site: Site) -> None:
    """Reading, starting and cancelling need no script."""
    with chromium.new_context(base_url=site.url, java_script_enabled=False) as context:
        context.add_cookies([site.cookie()])
        page = context.new_page()
        page.goto("/dashboard")
        page.get_by_role("link", name="Run a job").click()
        page.get_by_role("link", name="Watch paint dry").click()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_text("Started.")).to_be_visible()
        site.release()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Watch paint dry")).to_be_visible()
        page.goto("/dashboard/jobs")
        expect(page.get_by_role("row")).to_have_count(2)
