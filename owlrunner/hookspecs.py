"""This is the room for the hooks that a plugin may implement: each is called once at start and only returns values."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import attrs
import pluggy

from owlrunner.decoding import Undecodable, decode
from owlrunner.errors import PluginError, Undeliverable
from owlrunner.job_type import AnyJobType
from owlrunner.notification import MailSender, Notifier
from owlrunner.provider import Provider

T = TypeVar("T")

hookspec = pluggy.HookspecMarker("owlrunner")
hookimpl = pluggy.HookimplMarker("owlrunner")


class NoMail:
    """The mailer where nothing is sent, because plugins are only asked what they offer."""

    async def send(self, to: str, subject: str, text: str, html: str | None = None, *, message_id: str = "") -> None:
        """Raise Undeliverable."""
        raise Undeliverable(
            f"no mail is sent from here: {subject!r} to {to}, {message_id} ({len(text + (html or ''))} characters)"
        )


@attrs.frozen
class Migrations:
    """A plugin's migrations: a folder with files named ``0001_<what>.sql`` and on."""

    folder: Path | Traversable
    after: tuple[str, ...] = ()
    """Names of the plugins whose migrations come first, because these refer to their tables."""


@attrs.define
class Settings:
    """One plugin's own table, ``[plugins.<name>]``, before it has been given a type."""

    plugin: str
    table: dict[str, object] = attrs.field(repr=False)
    mailer: MailSender = attrs.field(factory=NoMail, repr=False)
    """Sends mail as the section ``[mail]`` of the server says."""
    was_loaded: bool = attrs.field(default=False, init=False)
    """Whether the plugin looked: a table that nobody reads is a mistake worth telling."""

    def load(self, wanted: type[T]) -> T:
        """Return the table as an instance of the attrs class ``wanted``.

        Raises PluginError naming the key, what was expected and what was found; unknown keys are refused.
        """
        self.was_loaded = True
        try:
            # Not strict: values set through environment variables come as strings.
            return decode(self.table, wanted, where=f"plugins.{self.plugin}", strict=False)
        except Undecodable as problem:
            raise PluginError(str(problem)) from None


@hookspec
def owlrunner_job_types(settings: Settings) -> list[AnyJobType]:  # type: ignore[empty-body]
    """Return the plugin's job types."""


@hookspec
def owlrunner_notifiers(settings: Settings) -> dict[str, Notifier]:  # type: ignore[empty-body]
    """Return the plugin's notifiers by name."""


@hookspec
def owlrunner_providers() -> list[Provider]:  # type: ignore[empty-body]
    """Return the providers that projects can be connected to, whose integrations the plugin uses."""


@hookspec
def owlrunner_migrations() -> Path | Traversable | Migrations:  # type: ignore[empty-body]
    """Return the folder that holds the plugin's migrations, files named ``0001_<what>.sql`` and on.

    Return ``Migrations`` where they refer to tables of other plugins.
    """
