"""This is the room for the options that many commands share, and for what they mean together.

They may stand before or behind the names of commands: ``owlrunner --format json jobs list`` and
``owlrunner jobs list --format json`` are the same.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from owlrunner.errors import ConfigError

C = TypeVar("C", bound=Callable[..., Any])


@attrs.define
class Shared:
    """What the shared options were given as."""

    format: str = "table"
    endpoint: str | None = None
    api_key: str | None = attrs.field(default=None, repr=False)
    config: Path | None = None

    @property
    def wants_json(self) -> bool:
        """Whether only JSON may go to standard output."""
        return self.format == "json"

    def require_endpoint(self) -> str:
        """The server's address. Raises ConfigError."""
        return _required(self.endpoint, "OWLRUNNER_ENDPOINT", "endpoint", "--endpoint")

    def require_api_key(self) -> str:
        """The key to the server's API. Raises ConfigError."""
        return _required(self.api_key, "OWLRUNNER_API_KEY", "API key", "--api-key")


def _required(given: str | None, variable: str, what: str, option: str) -> str:
    value = given or os.environ.get(variable, "")
    if not value.strip():
        raise ConfigError(f"no {what}: set {variable}, or give {option}")
    return value


def shared_option(*names: str, **settings: Any) -> Callable[[C], C]:
    """An option whose value goes into Shared; the command function does not get it."""

    def store(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        shared = ctx.ensure_object(Shared)
        if value is not None and parameter.name is not None:
            setattr(shared, parameter.name, value)

    return click.option(*names, callback=store, expose_value=False, **settings)


def format_option(command: C) -> C:
    """``--format``, for whatever prints something."""
    return shared_option(
        "--format",
        type=click.Choice(["table", "json"]),
        help="json prints JSON alone on standard output.  [default: table]",
    )(command)


def api_options(command: C) -> C:
    """The options of whatever asks a server."""
    command = shared_option("--endpoint", metavar="URL", help="The server's address.  [env: OWLRUNNER_ENDPOINT]")(
        command
    )
    return shared_option(
        "--api-key",
        metavar="KEY",
        help="Better set in the environment: others can read arguments.  [env: OWLRUNNER_API_KEY]",
    )(command)


def config_option(command: C) -> C:
    """``--config``, for whatever works on this machine."""
    return shared_option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The configuration file.  [env: OWLRUNNER_CONFIG; default: config/owlrunner.toml where there is one]",
    )(command)


pass_shared = click.make_pass_decorator(Shared, ensure=True)
"""Hands the shared options to a command function as its first argument."""

TEAM = click.option("--team", "--team-id", required=True, help="The team's id or slug.")
"""For the owner's commands, which ask no server what the team is."""
