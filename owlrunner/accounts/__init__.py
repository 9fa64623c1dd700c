"""The one door to who somebody is: signing in, API keys, and what the server's owner sets up."""

from owlrunner.accounts.administration import Administration
from owlrunner.accounts.credentials import DEFAULT_PERMISSIONS, Caller
from owlrunner.accounts.door import Accounts, AgentLogin, IssuedCode, KeyRequest, SeveralTeams, SignedIn
from owlrunner.accounts.recent_callers import RecentCallers
from owlrunner.storage.accounts import ApiKey, Membership, Project, Team, User

__all__ = [
    "DEFAULT_PERMISSIONS",
    "Accounts",
    "Administration",
    "AgentLogin",
    "ApiKey",
    "Caller",
    "IssuedCode",
    "KeyRequest",
    "Membership",
    "Project",
    "RecentCallers",
    "SeveralTeams",
    "SignedIn",
    "Team",
    "User",
]
