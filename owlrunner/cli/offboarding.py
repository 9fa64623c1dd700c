"""The commands of ``owlrunner admin`` that show who can do what, and take it away."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click
import msgspec

from owlrunner.accounts.offboarding import Offboarding
from owlrunner.cli.local import in_current_schema
from owlrunner.cli.options import TEAM, Shared, config_option, format_option, pass_shared
from owlrunner.cli.printing import one_line, print_json, say
from owlrunner.cli.tables import table
from owlrunner.storage.postgres import Database

MEMBER_COLUMNS = ("email", "name", "role", "joined_at", "keys")
KEY_COLUMNS = ("id", "name", "key_type", "created_by_email", "created_at", "last_used_at", "expires_at")


@click.command()
@TEAM
@config_option
@format_option
@pass_shared
def list_members(shared: Shared, team: str) -> None:
    """List the members of a team."""

    async def read(db: Database) -> object:
        return [member._asdict() | {"role": member.role.name.lower()} for member in await Offboarding(db).members(team)]

    _show_rows(shared, in_current_schema(shared, read), MEMBER_COLUMNS)


@click.command()
@TEAM
@config_option
@format_option
@pass_shared
def list_keys(shared: Shared, team: str) -> None:
    """List the API keys of a team."""

    async def read(db: Database) -> object:
        return [key._asdict() for key in await Offboarding(db).keys(team)]

    _show_rows(shared, in_current_schema(shared, read), KEY_COLUMNS)


@click.command()
@click.argument("email")
@TEAM
@click.option("--keys-to", help="Address of the member who gets the keys that they made.  [default: the keys end]")
@config_option
@format_option
@pass_shared
def remove_member(shared: Shared, email: str, team: str, keys_to: str | None) -> None:
    """Take somebody out of a team, with the API keys that they made for it."""

    async def remove(db: Database) -> object:
        keys = await Offboarding(db).remove_member(email, team, keys_to)
        return {"removed": email, "keys": keys, "keys_to": keys_to}

    show_fields(shared, in_current_schema(shared, remove))


@click.command()
@click.argument("email")
@click.option(
    "--keys-to", help="Address of whoever gets their keys in the teams that both are in.  [default: the keys end]"
)
@config_option
@format_option
@pass_shared
def delete_user(shared: Shared, email: str, keys_to: str | None) -> None:
    """Take somebody out of all teams, and delete their address, name, sign-ins and codes."""

    async def delete(db: Database) -> object:
        deleted = await Offboarding(db).delete_user(email, keys_to)
        return {"deleted": deleted.email, "teams": deleted.teams, "keys": deleted.keys, "keys_to": keys_to}

    show_fields(shared, in_current_schema(shared, delete))


@click.command()
@click.argument("key_id", type=click.UUID)
@config_option
@format_option
@pass_shared
def revoke_key(shared: Shared, key_id: UUID) -> None:
    """End an API key; list-keys shows the ids."""

    async def revoke(db: Database) -> object:
        await Offboarding(db).revoke_key(key_id)
        return {"revoked": key_id}

    show_fields(shared, in_current_schema(shared, revoke))


@click.command()
@click.argument("email")
@config_option
@format_option
@pass_shared
def end_sessions(shared: Shared, email: str) -> None:
    """Sign somebody out everywhere. They may sign in again as long as they are a member of a team."""

    async def end(db: Database) -> object:
        return {"ended": await Offboarding(db).end_sessions(email)}

    show_fields(shared, in_current_schema(shared, end))


def show_fields(shared: Shared, told: object) -> None:
    """Print one thing: a line for each of its fields that says something."""
    plain: dict[str, Any] = msgspec.to_builtins(told)
    if shared.wants_json:
        print_json(plain)
        return
    for key, value in plain.items():
        if value is not None:
            say(f"{key + ':':<13}{one_line(', '.join(value) if isinstance(value, list) else str(value))}")


def _show_rows(shared: Shared, told: object, columns: Sequence[str]) -> None:
    """Print many of a kind."""
    rows: list[dict[str, Any]] = msgspec.to_builtins(told)
    if shared.wants_json:
        print_json(rows)
        return
    cells = [[one_line("" if row[column] is None else str(row[column])) for column in columns] for row in rows]
    say(table([column.replace("_", " ").capitalize() for column in columns], cells, {}))
