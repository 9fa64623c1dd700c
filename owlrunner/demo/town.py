"""This is the room for who lives in the demo: a team, a project, three users, a key, and the people who use their apps.

They are the same each time: what is there is kept, what is missing is made.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import attrs

from owlrunner.accounts import Accounts, Administration, Project, Team
from owlrunner.errors import NotFound, Unauthenticated
from owlrunner.storage.postgres import Database, mapped_errors

SLUG = "demo"
USERS = {"owner@example.com": "owner", "admin@example.com": "admin", "member@example.com": "member"}
OWNER = "owner@example.com"
PROVIDER = "revenuecat"
ANONYMOUS = "owl_anon_"


@attrs.frozen
class Town:
    """What one needs to find one's way."""

    team_id: UUID
    project_id: UUID
    email: str
    api_key: str = attrs.field(repr=False)


async def settle(db: Database, keepsake: Path, provider_key: str, app_users: Sequence[str]) -> Town:
    """Make what is missing, and return it all. The API key is kept in the file ``keepsake``, readable for nobody else."""
    owner = Administration(db)
    team = await _team(owner)
    for email, role in USERS.items():
        await owner.create_user(email, str(team.id), role)
    project = await _project(owner)
    await owner.set_integration(str(project.id), PROVIDER, {"api_key": provider_key})
    await _populate(db, project.id, app_users)
    return Town(team.id, project.id, OWNER, await _key(db, owner, team, keepsake))


async def _team(owner: Administration) -> Team:
    try:
        return await owner.team(SLUG)
    except NotFound:
        return await owner.create_team("Demo Team", SLUG)


async def _project(owner: Administration) -> Project:
    try:
        return await owner.project(f"{SLUG}/{SLUG}")
    except NotFound:
        return await owner.create_project(SLUG, "Demo Project", SLUG)


async def _populate(db: Database, project_id: UUID, app_users: Sequence[str]) -> None:
    params = {
        "project_id": project_id,
        "user_ids": list(app_users),
        "anonymous": [user_id.startswith(ANONYMOUS) for user_id in app_users],
    }
    async with db.session() as session:
        with mapped_errors():
            await session.connection.execute(files(__package__).joinpath("sql", "populate.sql").read_bytes(), params)


async def _key(db: Database, owner: Administration, team: Team, keepsake: Path) -> str:
    """The key of last time while it is good, else a new one."""
    kept = _kept(keepsake)
    if kept is not None:
        with contextlib.suppress(Unauthenticated):
            caller = await Accounts(db).resolve(kept)
            if caller.team is not None and caller.team.id == team.id:
                return kept
    raw, _ = await owner.create_key(str(team.id), "Demo", created_by=OWNER)
    _keep(keepsake, raw)
    return raw


def _kept(keepsake: Path) -> str | None:
    try:
        return str(json.loads(keepsake.read_text("utf-8"))["api_key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(keepsake: Path, raw: str) -> None:
    """Write the file whole or not at all: the demo may be killed at any time."""
    making = keepsake.with_suffix(".new")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"api_key": raw}, file)
    making.replace(keepsake)
