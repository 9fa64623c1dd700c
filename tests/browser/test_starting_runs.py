"""The dialog that starts runs, in a browser."""

import re

from playwright.sync_api import Page, expect

from tests.browser.site import Site, run_of


def test_a_run_with_params(page: Page, site: Site) -> None:
    """The dialog has a field for each param, says at a field what is wrong with it, and leads to the run that it started."""
    page.goto("/dashboard/jobs")
    page.get_by_role("link", name="Run a job").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name="Paint", exact=True).click()
    walls = dialog.get_by_label("Walls")
    expect(walls).to_have_accessible_description("How many walls there are. 1 to 100")
    expect(dialog.get_by_label("Colour")).to_have_value("white")
    expect(dialog.get_by_label("Primer")).to_be_checked()
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog.get_by_text("Must be given")).to_be_visible()
    expect(walls).to_be_focused()
    walls.fill("500")
    dialog.get_by_label("Rooms").fill("hall\nbath")
    dialog.get_by_label("Note").fill("careful")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(walls).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_text("Expected int <= 100")).to_be_visible()
    expect(dialog.get_by_label("Rooms")).to_have_value("hall\nbath")
    walls.fill("4")
    dialog.get_by_label("Colour").select_option("red")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("Paint completed"))).to_be_visible()
    ((params, result),) = site.sql("select params, result from job_runs where id = %(id)s", id=run_of(page))
    wanted = {"walls": 4, "colour": "red", "rooms": ["hall", "bath"], "note": "careful", "primer": True}
    assert (params, result) == (wanted, wanted)


def test_a_duplicate_leads_to_the_run_that_exists(page: Page, site: Site) -> None:
    """Starting what is active already starts nothing; the dialog shows the run that is."""
    run = site.trigger("dry")
    page.goto("/dashboard/jobs")
    page.get_by_role("link", name="Run a job").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name="Watch paint dry").click()
    dialog.get_by_role("button", name="Run", exact=True).click()
    dialog.get_by_role("link", name="see the run that exists").click()
    expect(page).to_have_url(re.compile(f"/dashboard/jobs/{run}"))
    assert site.sql("select count(*) from job_runs") == [(1,)]


def test_the_dialog_goes_away(page: Page) -> None:
    """Escape closes the dialog, and focus is back on what opened it."""
    page.goto("/dashboard/jobs")
    opener = page.get_by_role("link", name="Run a job").first
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_run_again(page: Page, site: Site) -> None:
    """A run that failed is run again with the same params by one button."""
    run = site.trigger("paint", '{"walls": 13}')
    page.goto(f"/dashboard/jobs/{run}")
    expect(page.get_by_role("heading", name=re.compile("Paint failed"))).to_be_visible()
    expect(page.locator("#outcome")).to_contain_text("ValueError: thirteen walls")
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Started.")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("Paint failed"))).to_be_visible()
    assert site.sql("select params from job_runs") == [({"walls": 13},), ({"walls": 13},)]
