"""This is the room for ``owlrunner admin``: what the owner sets up straight on the database."""

import sys
from pathlib import Path

import click

from owlrunner.accounts import DEFAULT_PERMISSIONS, Administration
from owlrunner.cli.local import catalog_of, configured, in_current_schema
from owlrunner.cli.offboarding import (
    delete_user,
    end_sessions,
    list_keys,
    list_members,
    remove_member,
    revoke_key,
    show_fields,
)
from owlrunner.cli.options import TEAM, Shared, config_option, format_option, pass_shared
from owlrunner.errors import InvalidRequest
from owlrunner.storage.integrations import Connected
from owlrunner.storage.postgres import Database


@click.group()
@config_option
@format_option
def admin() -> None:
    """Set up teams, projects, users, keys and integrations, and take away what people hold, straight on the database."""


@admin.command()
@click.argument("name")
@click.option("--slug", help="Its name in addresses.  [default: made from the name]")
@config_option
@format_option
@pass_shared
def create_team(shared: Shared, name: str, slug: str | None) -> None:
    """Create a team."""

    async def create(db: Database) -> object:
        return (await Administration(db).create_team(name, slug))._asdict()

    show_fields(shared, in_current_schema(shared, create))


@admin.command()
@click.argument("name")
@TEAM
@click.option("--slug", help="Its name in addresses.  [default: made from the name]")
@config_option
@format_option
@pass_shared
def create_project(shared: Shared, name: str, team: str, slug: str | None) -> None:
    """Create a project in a team."""

    async def create(db: Database) -> object:
        return (await Administration(db).create_project(team, name, slug))._asdict()

    show_fields(shared, in_current_schema(shared, create))


@admin.command()
@click.argument("email")
@TEAM
@click.option("--role", type=click.Choice(["owner", "admin", "member"]), default="member", show_default=True)
@click.option("--name", help="What to call them.  [default: made from the address]")
@config_option
@format_option
@pass_shared
def create_user(shared: Shared, email: str, team: str, role: str, name: str | None) -> None:
    """Give a user a role in a team; a new address becomes a new user."""

    async def create(db: Database) -> object:
        user, is_new = await Administration(db).create_user(email, team, role, name)
        return {"id": user.id, "email": user.email, "name": user.name, "role": role, "is_new": is_new}

    show_fields(shared, in_current_schema(shared, create))


@admin.command()
@TEAM
@click.option("--name", default="Made by the owner", show_default=True, help="What it is for.")
@click.option("--type", "key_type", type=click.Choice(sorted(DEFAULT_PERMISSIONS)), default="agent", show_default=True)
@click.option(
    "--permission", "permissions", multiple=True, help="May be repeated.  [default: all that its type may hold]"
)
@click.option("--expires-in-days", type=click.IntRange(1))
@click.option("--created-by", help="Address of the user who is told about what it starts.  [default: the team's owner]")
@config_option
@format_option
@pass_shared
def create_key(
    shared: Shared,
    *,
    team: str,
    name: str,
    key_type: str,
    permissions: tuple[str, ...],
    expires_in_days: int | None,
    created_by: str | None,
) -> None:
    """Create an API key of a team. It is printed this once."""

    async def create(db: Database) -> object:
        raw, key = await Administration(db).create_key(
            team,
            name,
            key_type=key_type,
            permissions=permissions or None,
            expires_in_days=expires_in_days,
            created_by=created_by,
        )
        shown = {"id": key.id, "team_id": key.team_id, "name": key.name, "permissions": key.permissions}
        return {"key": raw} | shown | {"expires_at": key.expires_at}

    show_fields(shared, in_current_schema(shared, create))


@admin.command()
@click.option("--project", "--project-id", required=True, help="The project's id, or the slugs team/project.")
@click.option("--provider", default="revenuecat", show_default=True)
@click.option("--api-key-stdin", is_flag=True, help="Read the provider's API key from standard input.")
@click.option("--api-key-file", type=click.Path(path_type=Path, dir_okay=False), help="Read the API key from a file.")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that is no secret, such as project_id; may be repeated.",
)
@click.option("--enable", is_flag=True, help="Enable it where it is disabled.")
@config_option
@format_option
@pass_shared
def set_integration(
    shared: Shared,
    *,
    project: str,
    provider: str,
    api_key_stdin: bool,
    api_key_file: Path | None,
    settings: tuple[str, ...],
    enable: bool,
) -> None:
    """Connect a project to a provider, such as RevenueCat.

    Where it is connected already, settings that are not given stay as they are. The provider's API key
    is asked for, or read; it is never an argument, which others could see, and never shown.
    """
    catalog_of(configured(shared)).require_provider(provider)
    config = _settings(settings) | {"api_key": _secret(provider, from_stdin=api_key_stdin, file=api_key_file)}

    async def put(db: Database) -> Connected:
        return await Administration(db).set_integration(project, provider, config, enable=enable)

    identity, enabled = in_current_schema(shared, put)
    show_fields(shared, {"id": identity, "provider": provider, "enabled": enabled})


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    """The settings by name."""
    found = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise click.UsageError("--setting: expected KEY=VALUE")
        if "key" in key or "secret" in key:
            raise click.UsageError(f"--setting: {key} is a secret, which others could see in the list of processes")
        found[key] = value
    return found


def _secret(provider: str, *, from_stdin: bool, file: Path | None) -> str:
    """The provider's API key, from wherever it shall come."""
    if from_stdin and file is not None:
        raise click.UsageError("--api-key-stdin and --api-key-file cannot both be given")
    if from_stdin:
        text = sys.stdin.read()
    elif file is not None:
        text = file.read_text("utf-8", "replace")
    elif sys.stdin.isatty():
        text = click.prompt(f"API key of {provider}", hide_input=True, err=True)
    else:
        raise click.UsageError("there is no terminal to ask for the API key: give --api-key-stdin or --api-key-file")
    secret = text.strip()
    if not secret.isascii() or not secret.isprintable() or not secret or " " in secret:
        # Not shown, not even what is wrong with it.
        raise InvalidRequest("api_key: expected one word of printable ASCII characters")
    return secret


for command in (list_members, list_keys, remove_member, delete_user, revoke_key, end_sessions):
    admin.add_command(command)
