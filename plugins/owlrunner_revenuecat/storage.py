"""The plugin's queries: one function per file of ``sql``."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import attrs
import msgspec

import owlrunner
from owlrunner_revenuecat.properties import OWNED_KEYS


@attrs.frozen
class SyncedUser:
    """What one user is to be given: properties, attribution where that is unset, and revenue unless it is None."""

    user_id: str
    facts: dict[str, str]
    attribution: dict[str, str]
    cents: int | None


@attrs.frozen
class Integration:
    """How RevenueCat is asked for one project; what is not set is empty."""

    id: UUID
    project_id: UUID
    api_key: str = attrs.field(repr=False)
    revenuecat_project: str
    """RevenueCat's id of the project to read, for keys that see several."""


@cache
def _query(name: str) -> bytes:
    return files("owlrunner_revenuecat").joinpath("sql", f"{name}.sql").read_bytes()


async def _rows(connection: owlrunner.Connection, name: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(_query(name), params)
    return await cursor.fetchall()


async def find_integration(connection: owlrunner.Connection, project_id: UUID) -> Integration | None:
    """The project's RevenueCat integration that may be used, or None."""
    rows = await _rows(connection, "integration", {"project_id": project_id})
    if not rows:
        return None
    ((identity, api_key, revenuecat_project),) = rows
    return Integration(identity, project_id, (api_key or "").strip(), (revenuecat_project or "").strip())


async def users(connection: owlrunner.Connection, project_id: UUID) -> list[str]:
    """The ids of the project's users who are not anonymous, those asked about longest ago first."""
    return [user_id for (user_id,) in await _rows(connection, "users", {"project_id": project_id})]


async def insert_users(connection: owlrunner.Connection, project_id: UUID, user_ids: Sequence[str]) -> int:
    """Create the users who are not there yet, and return how many those were."""
    return len(await _rows(connection, "insert_users", {"project_id": project_id, "user_ids": list(user_ids)}))


async def save_users(
    connection: owlrunner.Connection, project_id: UUID, synced: Sequence[SyncedUser]
) -> list[dict[str, str]]:
    """Write the users and return, for each that is still there, the attribution that was filled in."""
    params = {"project_id": project_id, "owned": list(OWNED_KEYS), "users": msgspec.json.encode(synced).decode()}
    return [filled for _, filled in await _rows(connection, "save_users", params)]


async def mark_tried(connection: owlrunner.Connection, project_id: UUID, user_ids: Sequence[str]) -> None:
    """Note that RevenueCat was asked about the users, in vain."""
    await connection.execute(_query("mark_tried"), {"project_id": project_id, "user_ids": list(user_ids)})


async def reserve_requests(
    connection: owlrunner.Connection, key_hash: str, kind: str, *, length: float, made_up_for: float
) -> float:
    """Book ``length`` seconds of a key's time, and return in how many seconds they begin."""
    params = {"key_hash": key_hash, "kind": kind, "length": length, "made_up_for": made_up_for}
    ((wait,),) = await _rows(connection, "reserve_requests", params)
    return float(wait)


async def pause_requests(connection: owlrunner.Connection, key_hash: str, kind: str, seconds: float) -> None:
    """Promise none of a key's requests for so many seconds."""
    await connection.execute(_query("pause_requests"), {"key_hash": key_hash, "kind": kind, "seconds": seconds})
