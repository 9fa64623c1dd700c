"""Asks the server under test over HTTP, as a patient client does."""

from typing import Any
from uuid import UUID

import httpx
import trio

from tests.lab.arena import Arena
from tests.lab.broken import Broken

REPEAT = 0.3
"""Seconds until a client that got a 503 asks again."""


async def trigger_over_http(arena: Arena, **fields: Any) -> UUID:
    """Trigger ``lab_project`` at the server under test; where the answer to a first try was lost, meet what that has made."""
    tenant = arena.setting.tenant
    body = {"job_type": "lab_project", "project_id": str(tenant.project_id), **fields}
    response = await _post(arena, f"/v1/teams/{tenant.team_id}/jobs/trigger", body)
    answer = response.json()
    if response.status_code == 409:
        return UUID(answer["existing_run_id"])
    if response.status_code != 201:
        raise Broken(f"the trigger was answered {response.status_code}: {response.text}")
    run_id = UUID(answer["job_run"]["id"])
    arena.acknowledged.add(run_id)
    return run_id


async def cancel_over_http(arena: Arena, run_id: UUID) -> None:
    """Ask the server under test for a cancel."""
    response = await _post(arena, f"/v1/jobs/{run_id}/cancel")
    if response.is_success:
        arena.cancelled.add(run_id)


async def _post(arena: Arena, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    """Ask the server under test as a patient client does: again after each 503, for as long as it may take to be well."""
    started = trio.current_time()
    while True:
        response = await _post_once(arena, path, body)
        if response.status_code != 503 or trio.current_time() > arena.limit(started):
            break
        await trio.sleep(REPEAT)
    if response.status_code >= 500:
        raise Broken(f"POST {path} was answered {response.status_code}")
    return response


async def _post_once(arena: Arena, path: str, body: dict[str, Any] | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {arena.setting.tenant.key}"}
    async with httpx.AsyncClient(verify=False, timeout=None, trust_env=False, headers=headers) as client:  # noqa: S113, S501 - the limit is ours
        with trio.move_on_after(arena.bound):
            try:
                return await client.post(arena.url + path, json=body or {})
            except httpx.TransportError as error:
                arena.check_alive()
                raise Broken(f"POST {path} failed: {error!r}") from error
    raise Broken(f"POST {path} was not answered within {arena.bound:g} s")
