"""``make pictures``: the pictures of the dashboard in the documentation, taken of a demo with a made-up week behind it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect, sync_playwright

from tests.browser import showcase_jobs
from tests.browser.conftest import CHROMIUM

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "how-to" / "use-the-dashboard"
SIZE = ViewportSize(width=1180, height=760)
PHONE = ViewportSize(width=390, height=780)
WEEK = """
select setseed(0.42);
insert into projects (team_id, name, slug) select %(team)s::uuid, name, lower(name) from unnest(array['Bakery', 'Bookshop']) name;
insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions)
    select md5(name), 'owl_agent_' || left(md5(name), 6), 'agent', %(team)s::uuid, name, user_id, '["jobs:write"]'
    from unnest(array['nightly-cron', 'shop-backend']) name,
        (select user_id from team_members where team_id = %(team)s::uuid limit 1) maker;
insert into job_runs (job_type, status, team_id, project_id, triggered_by, cancelled_by, exclusive, created_at, run_at, started_at,
    completed_at, attempt, server_id, error, cancel_requested_at, progress, result)
select type, status::job_status, %(team)s::uuid, project, starter, case when status = 'cancelled' then person end, false,
    at, at, at + interval '1 second', at + took, 1,
    gen_random_uuid(),
    case when status = 'failed' then 'ConnectionError: shop.example.com does not answer (tried 3 times)' end,
    case when status = 'cancelled' then at + took / 2 end,
    jsonb_build_object('processed', case when status = 'completed' then 1200 else 480 end, 'total', 1200),
    case when status = 'completed' then '{"imported": 1200}'::jsonb end
from (
    select now() - age * interval '1 minute' as at,
        (array['import_orders', 'import_orders', 'send_invoices', 'nightly_report'])[1 + floor(random() * 4)::int] as type,
        (select array_agg(id order by name) from projects where team_id = %(team)s::uuid)[1 + floor(random() * 3)::int] as project,
        -- Programs start most of them: a key each; the rest are people's.
        case when random() < 0.7 then programs[1 + floor(random() * 2)::int] else person end as starter,
        person,
        case when random() < 0.05 then 'failed' when random() < 0.04 then 'cancelled' else 'completed' end as status,
        interval '3 seconds' + random() * interval '80 seconds' as took
    from generate_series(9, 10080) age,
        (select array_agg('manual:api_key:' || id order by name) as programs
            from api_keys where name in ('nightly-cron', 'shop-backend')) keys,
        (select 'manual:user:' || id as person from users where email = 'owner@example.com') people
    -- More by day than by night.
    where random() < 0.06 * (1.1 + sin((extract(hour from now() - age * interval '1 minute') - 8) / 24 * 2 * pi()))
) past;
-- What comes next.
insert into job_runs (job_type, team_id, project_id, triggered_by, run_at)
select 'nightly_report', %(team)s::uuid, p.id, 'manual:api_key:' || k.id, now() + interval '1 hour 52 minutes 40 seconds'
from projects p, api_keys k where p.slug = 'bakery' and k.name = 'nightly-cron';
"""


@contextmanager
def demo(folder: Path) -> Iterator[dict[str, str]]:
    """A demo on fresh data, with job types that look well."""
    command = [sys.executable, "-m", "owlrunner", "demo", "--json", "--port", "0", "--data-dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--plugin", showcase_jobs.__name__],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(60)


def sign_in(page: Page, email: str) -> None:
    """As the demo shows it."""
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Mail me a code").click()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Demo Team")).to_be_visible()


def start(page: Page, label: str, project: str) -> None:
    """Start a run by the dialog, and stay on its page."""
    page.goto("/dashboard/jobs")
    page.get_by_role("link", name="Run a job").first.click()
    page.get_by_role("dialog").get_by_role("link", name=label).click()
    page.get_by_label("Project", exact=True).last.select_option(label=project)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()


def take(context: BrowserContext, email: str) -> None:
    """All pictures."""
    page = context.new_page()
    sign_in(page, email)
    start(page, "Send invoices", "Bookshop")
    start(page, "Import orders", "Bakery")
    running = page.url
    page.reload()
    # Enough of a curve to be seen.
    expect(page.locator("#log")).to_contain_text("page 6 of shop", timeout=60_000)
    page.set_viewport_size(ViewportSize(width=SIZE["width"], height=1080))
    page.screenshot(path=PICTURES / "run.png")
    page.set_viewport_size(SIZE)
    for name, path in (("overview", "/dashboard?span=week"), ("jobs", "/dashboard/jobs")):
        page.goto(path)
        expect(page.get_by_role("progressbar").first).to_be_visible()
        page.screenshot(path=PICTURES / f"{name}.png")
    page.get_by_role("link", name="Run a job").first.click()
    page.get_by_role("dialog").get_by_role("link", name="Import orders").click()
    expect(page.get_by_label("Days")).to_be_visible()
    page.screenshot(path=PICTURES / "form.png")
    browser = context.browser
    assert browser is not None
    state: Any = context.storage_state()
    with browser.new_context(base_url=page.url, storage_state=state, viewport=PHONE, color_scheme="dark") as phone:
        small = phone.new_page()
        small.goto(running)
        expect(small.get_by_role("progressbar").first).to_be_visible()
        small.screenshot(path=PICTURES / "phone.png")


def main() -> None:
    """Take them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="owlrunner-pictures-") as folder, demo(Path(folder)) as ready:
        with psycopg.connect(ready["database_url"]) as connection:
            psycopg.ClientCursor(connection).execute(WEEK, {"team": ready["team_id"]})
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            with browser.new_context(base_url=ready["url"], viewport=SIZE, color_scheme="light") as context:
                take(context, ready["email"])


if __name__ == "__main__":
    main()
