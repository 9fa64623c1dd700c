"""This is the room for what commands need that ask a server: the client, and the team that is meant."""

from owlrunner.cli.options import Shared
from owlrunner.client import Client
from owlrunner.errors import ConfigError


def open_client(shared: Shared) -> Client:
    """The client that options and environment describe. Raises ConfigError."""
    return Client(shared.require_endpoint(), shared.require_api_key())


def team_of(client: Client, team_id: str | None) -> str:
    """The team that is named, else the only one there is. Raises ConfigError."""
    if team_id:
        return team_id
    told = client.whoami()
    teams = told.get("teams") or ([told["team"]] if told.get("team") else [])
    if len(teams) != 1:
        names = ", ".join(f"{team['id']} ({team['slug']})" for team in teams)
        raise ConfigError(f"no team: set OWLRUNNER_TEAM_ID, or give --team-id; yours are: {names or 'none'}")
    return str(teams[0]["id"])
