"""A browser for all tests, and for each a server process and a page in which the team's admin is signed in."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from owlrunner.accounts import Administration
from owlrunner.storage.postgres import Database
from tests.browser.browser_jobs import FOLDER
from tests.browser.site import ADMIN, Site
from tests.promises.serving import ServerProcess

CHROMIUM = os.environ.get("OWLRUNNER_TEST_CHROMIUM") or shutil.which("chromium") or "chromium"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium. As root it cannot have a sandbox; it sees nothing but our own pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        expect.set_options(timeout=15_000)
        yield browser
        browser.close()


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A server process on a fresh database."""

    async def settle() -> tuple[object, object]:
        async with Database(database_url) as db:
            admin = Administration(db)
            team = await admin.create_team("Acme")
            await admin.create_user(ADMIN, "acme", "admin")
            return team.id, (await admin.create_project("acme", "Site")).id

    team_id, project_id = trio.run(settle)
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    processes: list[ServerProcess] = []

    def start() -> ServerProcess:
        environ = {
            "OWLRUNNER_SERVER__PLUGINS": '["tests.browser.browser_jobs"]',
            "OWLRUNNER_WEB__PORT": str(port),
            "OWLRUNNER_WEB__SHOW_CODES": "true",
            FOLDER: str(tmp_path),
        }
        processes.append(ServerProcess(database_url, "browsed", environ, shutdown_grace=0))
        trio.run(processes[-1].ready)
        return processes[-1]

    yield Site(database_url, port, start, tmp_path, team_id, project_id, start())  # type: ignore[arg-type]
    for process in processes:
        process.kill()


@pytest.fixture
def stranger(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser in which nobody is signed in; a script that fails, or a resource that is refused, fails the test."""
    with chromium.new_context(base_url=site.url, viewport={"width": 1200, "height": 850}) as context:
        mistakes: list[str] = []
        context.on("weberror", lambda error: mistakes.append(str(error.error)))
        context.on(
            "console", lambda message: mistakes.append(message.text) if "Content Security" in message.text else None
        )
        context.set_default_timeout(15_000)
        yield context
        assert mistakes == []


@pytest.fixture
def admins(stranger: BrowserContext, site: Site) -> BrowserContext:
    """The browser of the team's admin."""
    stranger.add_cookies([site.cookie()])
    return stranger


@pytest.fixture
def page(admins: BrowserContext) -> Page:
    """A page of the admin's."""
    return admins.new_page()
