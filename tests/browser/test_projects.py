"""Projects and integrations, in a browser: from signing up to a sync, without anybody's help."""

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.site import Site, run_of


def test_from_signing_up_to_a_sync(stranger: BrowserContext, site: Site) -> None:
    """Somebody who signs up makes a project, connects it, and starts a sync; without users the page says that there is none."""
    page = stranger.new_page()
    page.goto("/sign-in")
    page.get_by_label("Email").fill("new@owls.test")
    page.get_by_role("button", name="Mail me a code").click()
    expect(page.get_by_label("Code")).to_have_value(re.compile(r"\d{6}"))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Projects").click()
    expect(page.get_by_text("has no project yet")).to_be_visible()
    page.get_by_label("Name").fill("Night Owls")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", name="Night Owls")).to_be_visible()
    connect(page, "sk_of_the_owls")
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("status").first).to_have_text("The project has no users to sync, so no run was started.")
    site.sql(
        "insert into app_users (project_id, user_id, is_anonymous)"
        " select id, 'owl-1', false from projects where slug = 'night-owls'"
    )
    page.get_by_role("button", name="Sync now").click()
    expect(page).to_have_url(re.compile("/dashboard/jobs/"))
    assert site.sql("select job_type from job_runs where id = %(id)s", id=run_of(page)) == [("revenuecat_sync",)]


def test_a_secret_is_kept_until_another_is_typed(page: Page, site: Site) -> None:
    """A saved configuration shows four characters of its secret, keeps it, and replaces it by one that is typed."""
    page.goto(f"/dashboard/projects/{site.project_id}")
    connect(page, "sk_first")
    for typed, project, stored in (("", "proj1", "sk_first"), ("sk_second", "proj2", "sk_second")):
        page.get_by_text("Configuration", exact=True).click()
        key = page.get_by_label("Secret API Key")
        expect(key).to_have_value("")
        expect(key).to_have_attribute("placeholder", re.compile(r"^sk_.\*{4}$"))
        key.fill(typed)
        page.get_by_label("RevenueCat Project").fill(project)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The configuration is saved.")).to_be_visible()
        ((config,),) = site.sql("select config from project_integrations")
        assert (config["api_key"], config["project_id"]) == (stored, project)


def connect(page: Page, key: str) -> None:
    """Fill in the form that connects a project to RevenueCat."""
    page.get_by_text("Connect", exact=True).first.click()
    page.get_by_label("Secret API Key").fill(key)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("The integration is connected.")).to_be_visible()
