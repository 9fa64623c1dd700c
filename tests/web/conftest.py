"""A small world for the web tests: two teams, users of every role, keys of every state, and clients."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from owlrunner.accounts import Accounts, Administration
from owlrunner.accounts.credentials import hashed, new_token
from owlrunner.config import Config
from owlrunner.jobs import Jobs
from owlrunner.storage import accounts as stored_accounts
from owlrunner.storage.postgres import Database
from owlrunner.web.app import build_app
from owlrunner.web.login_codes import login_mails
from tests.web.web_world import CATALOG, Outbox, World, asgi_client


async def _key(admin: Administration, team: str, **options: Any) -> str:
    raw, _ = await admin.create_key(team, "test key", **options)
    return raw


async def _sign_in(db: Database, admin: Administration, email: str) -> str:
    token = new_token()
    await stored_accounts.start_session(db, (await admin.user(email)).id, hashed(token), 3600)
    return token


@pytest.fixture
async def world(db: Database) -> AsyncIterator[World]:
    """Two teams with everything."""
    admin = Administration(db)
    team, other_team = await admin.create_team("Acme"), await admin.create_team("Rival")
    for email, where, role in (
        ("owner@acme.test", "acme", "owner"),
        ("admin@acme.test", "acme", "admin"),
        ("member@acme.test", "acme", "member"),
        ("owner@rival.test", "rival", "owner"),
    ):
        await admin.create_user(email, where, role)
    credentials = {
        "key": await _key(admin, "acme"),
        "reading key": await _key(admin, "acme", permissions=["jobs:read"]),
        "writing key": await _key(admin, "acme", permissions=["jobs:write"]),
        "powerless key": await _key(admin, "acme", permissions=["events:read"]),
        "client key": await _key(admin, "acme", key_type="client"),
        "expired key": await _key(admin, "acme", expires_in_days=1),
        "revoked key": await _key(admin, "acme"),
        "rival key": await _key(admin, "rival"),
        "unknown key": "owl_agent_" + "0" * 48,
        "member": await _sign_in(db, admin, "member@acme.test"),
        "admin": await _sign_in(db, admin, "admin@acme.test"),
        "owner": await _sign_in(db, admin, "owner@acme.test"),
        "rival": await _sign_in(db, admin, "owner@rival.test"),
        "expired token": await _sign_in(db, admin, "owner@acme.test"),
        "unknown token": "0" * 64,
    }
    outbox, accounts = Outbox(), Accounts(db)
    async with login_mails(accounts, outbox, longest_pause=0.0) as mails:
        world = World(
            db=db,
            app=build_app(Jobs(db, CATALOG), accounts, mails, Config()),
            mails=mails,
            outbox=outbox,
            team=team,
            project=await admin.create_project("acme", "Site"),
            other_team=other_team,
            other_project=await admin.create_project("rival", "Site"),
            credentials=credentials,
        )
        hashes = {name: hashed(raw) for name, raw in credentials.items()}
        expired = "update api_keys set expires_at = now() - interval '1 second' where key_hash = %(key)s"
        await world.sql(expired, key=hashes["expired key"])
        await world.sql("update api_keys set deleted_at = now() where key_hash = %(key)s", key=hashes["revoked key"])
        await world.sql(
            "update user_sessions set expires_at = now() where token_hash = %(t)s", t=hashes["expired token"]
        )
        yield world


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with asgi_client(world.app) as client:
        yield client


@pytest.fixture
async def as_key(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the team's key."""
    async with asgi_client(world.app) as client:
        client.headers.update(world.auth("key"))
        yield client


@pytest.fixture
async def as_owner(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the sign-in of the team's owner."""
    async with asgi_client(world.app) as client:
        client.headers.update(world.auth("owner"))
        yield client


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which nobody has signed in; it follows no redirect by itself."""
    async with asgi_client(world.app) as client:
        yield client


@pytest.fixture
async def admins(world: World, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """The browser of a team's admin."""
    browser.cookies.set("token", world.credentials["admin"])
    return browser
