"""The one door to who somebody is: signing in, API keys, and what the server's owner sets up."""

from owlrunner.accounts.administration import Administration
from owlrunner.accounts.credentials import DEFAULT_PERMISSIONS, Caller
from owlrunner.accounts.door import Accounts, AgentLogin, IssuedCode, SignedIn
from owlrunner.accounts.members import Members
from owlrunner.accounts.new_keys import KeyRequest, SeveralTeams
from owlrunner.accounts.origin import Origin
from owlrunner.accounts.recent_callers import RecentCallers
from owlrunner.accounts.sign_up import SignUp
from owlrunner.storage.accounts import ApiKey, Membership, Team, User
from owlrunner.storage.projects import Project

__all__ = [
    "DEFAULT_PERMISSIONS",
    "Accounts",
    "Administration",
    "AgentLogin",
    "ApiKey",
    "Caller",
    "IssuedCode",
    "KeyRequest",
    "Members",
    "Membership",
    "Origin",
    "Project",
    "RecentCallers",
    "SeveralTeams",
    "SignUp",
    "SignedIn",
    "Team",
    "User",
]
