"""The page on which a team's admins read what has been done in it."""

from datetime import datetime
from urllib.parse import urlencode

import attrs
from quart import Blueprint, request

from owlrunner.storage.audit import AuditEntry, AuditFilters
from owlrunner.web.api import Api
from owlrunner.web.dashboard.drawing import draw
from owlrunner.web.dashboard.visitor import visitor
from owlrunner.web.inputs import run_cursor
from owlrunner.web.rendering import cursor_text

ON_A_PAGE = 50
VERBS = {"create": "created", "update": "changed", "delete": "removed"}
NOUNS = {
    "job_run": "run",
    "api_key": "API key",
    "team_member": "member",
    "team": "team",
    "project": "project",
    "integration": "integration",
}


@attrs.frozen
class Act:
    """What somebody has done, in words."""

    at: datetime
    who: str
    what: str
    subject: str
    link: str
    """Where the subject is shown, if it is."""
    client: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "Act":
        """Put it into words."""
        about = entry.metadata or {}
        verb = "cancelled" if about.get("cancel_requested") else VERBS[entry.action]
        if entry.resource_type == "team_member" and entry.action == "create":
            verb = "added"
        role = (entry.changes or {}).get("role")
        named = (about[name] for name in ("job_type", "name", "email", "provider") if about.get(name))
        return cls(
            entry.at,
            entry.actor_name or entry.actor_id,
            f"{verb} {NOUNS.get(entry.resource_type, entry.resource_type)}",
            next(named, entry.resource_id) + (f" as {role['after']}" if role else ""),
            f"/dashboard/jobs/{entry.resource_id}" if entry.resource_type == "job_run" else "",
            entry.client or "",
        )


def add_routes(pages: Blueprint, api: Api) -> None:
    """Add it."""

    @pages.get("/dashboard/audit")
    async def audit() -> str:
        who = await visitor(api.accounts)
        if not who.administered:
            return draw("no_team", who=who)
        team = who.team(request.args.get("team"))
        before = run_cursor(request.args.get("cursor") or None)
        entries, after = await api.audit.page(who.actor, team.id, AuditFilters(), before, ON_A_PAGE)
        more = urlencode({"team": team.slug, "cursor": cursor_text(after)}) if after is not None else ""
        return draw(
            "audit",
            who=who,
            team=team,
            here="audit",
            acts=[Act.of(entry) for entry in entries],
            more=f"/dashboard/audit?{more}" if more else None,
            is_first=before is None,
        )
