"""Writes the part of docs/reference/cli.md that comes from the commands themselves: ``python -m tests.docs.cli_reference``."""

import re
from collections.abc import Iterator
from typing import Any

import click

from owlrunner.cli.entry import cli
from tests.docs.pages import DOCS

PAGE = DOCS / "reference" / "cli.md"
MARK = "<!-- From here on written by tests.docs.cli_reference from the commands themselves. -->\n"
SHARED = {"--config": "config", "--endpoint": "endpoint", "--api-key": "api_key", "--format": "format"}
"""The options that many commands take, by their parameter's name; told once."""


def rendered() -> str:
    """What the page must say below the mark."""
    return "\n".join(line for path, command in _commands(cli, ("owlrunner",)) for line in _described(path, command))


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            yield from _commands(found, (*path, name))


def _described(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    shared = [one.opts[0] for one in options if SHARED.get(one.opts[0]) == one.name]
    own = [one for one in options if one.opts[0] not in shared]
    arguments = [str(one.name).upper() for one in command.params if isinstance(one, click.Argument)]
    yield f"## `{' '.join(path)}`\n"
    yield f"{' '.join((command.help or '').split())}\n"
    yield f"```text\n{' '.join([*path, *(['[options]'] if options else []), *arguments])}\n```\n"
    if own:
        yield "| option | meaning |\n|---|---|"
        for option in own:
            yield f"| {', '.join(f'`{name}`' for name in option.opts)} | {_meaning(option)} |"
        yield ""
    if shared:
        yield f"Also {', '.join(f'`{name}`' for name in sorted(shared))}: see [shared options](#shared-options).\n"


def _meaning(option: click.Option) -> str:
    """The kind of value, the help, the default and the variable of an option."""
    words = [_kind(option)]
    if option.help:
        words.append(re.sub(r" *\[default: (.*)\]", r" Default: \1.", option.help.replace("|", "\\|")))
    if option.required:
        words.append("Required.")
    default: Any = option.default
    if option.show_default and default is not None:
        words.append(f"Default: `{default}`.")
    if option.show_envvar and option.envvar:
        words.append(f"Variable: `{option.envvar}`.")
    return " ".join(filter(None, words))


def _kind(option: click.Option) -> str:
    if option.is_flag:
        return ""
    kind = option.type
    if isinstance(kind, click.Choice):
        return f"One of {', '.join(f'`{choice}`' for choice in kind.choices)}."
    if isinstance(kind, click.IntRange):
        bounds = [str(bound) for bound in (kind.min, kind.max) if bound is not None]
        return f"A number, {' to '.join(bounds)}{'' if len(bounds) == 2 else ' or more'}."
    return {"file": "A file.", "directory": "A folder.", "key=value": "`key=value`."}.get(kind.name, "")


if __name__ == "__main__":
    before = PAGE.read_text("utf-8").partition(MARK)[0]
    PAGE.write_text(f"{before}{MARK}\n{rendered()}", "utf-8")
