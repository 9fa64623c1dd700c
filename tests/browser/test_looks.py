"""How pages look and read: accessible by the rules of WCAG AA, in light and dark, on a phone, and nothing that jumps."""

import json
import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.site import SHOTS, Site

AXE = os.environ.get("OWLRUNNER_TEST_AXE", "build/axe-core/package/axe.min.js")
Scheme = Literal["light", "dark"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def pages(site: Site) -> dict[str, str]:
    """Every page there is, with something on it, by a name for its picture."""
    running, failed = site.trigger("dry"), site.trigger("paint", '{"walls": 13}')
    site.trigger("crowd")
    site.connect()
    return {
        "overview": "/dashboard",
        "runs": "/dashboard/jobs",
        "nothing": "/dashboard/jobs?type=nothing",
        "running": f"/dashboard/jobs/{running}",
        "failed": f"/dashboard/jobs/{failed}",
        "job-types": "/dashboard/jobs/new",
        "form": "/dashboard/jobs/new?type=paint",
        "projects": "/dashboard/projects",
        "project": f"/dashboard/projects/{site.project_id}",
        "audit": "/dashboard/audit",
        "no-such-run": "/dashboard/jobs/00000000-0000-4000-8000-000000000000",
        "sign-in": "/sign-in",
    }


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_everybody_can_read_them(chromium: Browser, site: Site, scheme: Scheme, width: int) -> None:
    """No page breaks a rule of WCAG 2.2 AA that a program can check, and none is wider than its window."""
    size = ViewportSize(width=width, height=850)
    with chromium.new_context(base_url=site.url, color_scheme=scheme, viewport=size, bypass_csp=True) as context:
        context.add_cookies([site.cookie()])
        page = context.new_page()
        for name, path in pages(site).items():
            page.goto(path)
            if name in {"running", "failed"}:
                expect(page.locator("#log li").first).to_be_visible()
            if name == "project":
                page.evaluate(
                    "document.querySelectorAll('details.card, .card details').forEach((one) => one.open = true)"
                )
            SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOTS / f"{name}-{scheme}.png", full_page=True)
            assert broken_rules(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") == width, path


def broken_rules(page: Page) -> list[str]:
    """What axe-core finds on the page."""
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]}: {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def test_nothing_jumps(page: Page, site: Site) -> None:
    """While a run goes on and its page is live, nothing on it moves but what was meant to."""
    site.trigger("dry")
    page.goto("/dashboard/jobs")
    bar = page.get_by_role("progressbar")
    expect(bar).to_be_visible()
    page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries()"
        ".forEach((one) => window.shift += one.value)).observe({type: 'layout-shift', buffered: false})"
    )
    for _ in range(3):
        expect(bar).not_to_have_attribute("value", bar.get_attribute("value") or "")
    assert page.evaluate("window.shift") < 0.01
