"""What a plugin says of a service that projects can be connected to: the keys of its configuration, and the job that syncs it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from owlrunner.decoding import holds_unstorable_text
from owlrunner.errors import InvalidRequest

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
LONGEST_NAME = 50
LONGEST_VALUE = 4096
"""Characters of one value of a configuration: a private key has some 1,700."""
SHOWN = 4
"""How many characters of a secret are shown, to tell one from another."""


def _not_empty(_: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if not value.strip():
        raise ValueError(f"{attribute.name}: expected a text that is not empty")


def _is_name(_: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
        raise ValueError(
            f"{attribute.name}: expected up to {LONGEST_NAME} lower-case letters and digits, parted by - or _, got {value[:60]!r}"
        )


@attrs.frozen
class ConfigField:
    """One key of an integration's configuration; its value is a text.

    A ``secret`` is shown nowhere but for its first four characters. Raises ValueError for an empty key or label.
    """

    key: str = attrs.field(validator=_not_empty)
    label: str = attrs.field(validator=_not_empty)
    required: bool = attrs.field(default=False, kw_only=True)
    secret: bool = attrs.field(default=False, kw_only=True)
    placeholder: str = attrs.field(default="", kw_only=True)
    description: str = attrs.field(default="", kw_only=True)


@attrs.frozen
class Provider:
    """A service that projects can be connected to, under this name, such as ``revenuecat``.

    Raises ValueError for a name that cannot be part of a path, for two fields with the same key, and for a job without what
    goes with it.
    """

    name: str = attrs.field(validator=_is_name)
    label: str = attrs.field(validator=_not_empty)
    description: str = attrs.field(default="", kw_only=True)
    fields: tuple[ConfigField, ...] = attrs.field(default=(), kw_only=True)
    sync_job: str = attrs.field(default="", kw_only=True)
    """The name of the plugin's job type, of scope project, that copies what the service knows; empty where none does."""
    sync_count: str = attrs.field(default="", kw_only=True)
    """An SQL query for one number: how many a sync goes over in the project ``%(project_id)s``. Where it is 0, none is started."""

    webhook_job: str = attrs.field(default="", kw_only=True)
    """The name of the plugin's job type, of scope project and with overlap allowed, that each webhook starts; empty for none."""
    webhook_secret: str = attrs.field(default="", kw_only=True)
    """The key of the configuration whose value the service sends along, as ``Authorization: Bearer``."""
    webhook_params: Callable[[Mapping[str, Any]], dict[str, Any] | None] = attrs.field(
        default=lambda _: None, kw_only=True, repr=False, eq=False
    )
    """Turn the ``event`` of a webhook into the job's params, or None where nothing is to be done. Raises ValueError."""

    def __attrs_post_init__(self) -> None:
        if bool(self.webhook_job) != bool(self.webhook_secret):
            raise ValueError("webhook_job and webhook_secret: expected both, or none of them")
        if self.webhook_secret and self.webhook_secret not in {field.key for field in self.fields if field.secret}:
            raise ValueError(f"webhook_secret: expected the key of a secret field, got {self.webhook_secret!r}")
        if bool(self.sync_job) != bool(self.sync_count):
            raise ValueError("sync_job and sync_count: expected both, or none of them")
        keys = [field.key for field in self.fields]
        if len(set(keys)) < len(keys):
            raise ValueError(f"fields: each key must be there once, got {', '.join(keys)}")

    def check(self, config: Mapping[str, object]) -> None:
        """Raise InvalidRequest, which names the key and never a value, for a configuration that cannot be used."""
        for field in self.fields:
            if field.required and config.get(field.key) in (None, ""):
                raise InvalidRequest(f'Missing required config field: "{field.key}" ({field.label})')
        keys = [field.key for field in self.fields]
        for key, value in config.items():
            if key not in keys:
                raise InvalidRequest(
                    f'Unknown config field: "{key[:60]}". Valid fields for {self.label}: {", ".join(keys)}'
                )
            if not isinstance(value, str):
                raise InvalidRequest(f'Config field "{key}" must be a string')
            if len(value) > LONGEST_VALUE or holds_unstorable_text(value):
                raise InvalidRequest(
                    f'Config field "{key}" must have at most {LONGEST_VALUE} characters, without NUL or lone surrogates'
                )

    def shown(self, config: Mapping[str, object]) -> dict[str, str]:
        """Return the configuration as people may see it. A key that is not known may be a secret, and so may what is no text."""
        public = {field.key for field in self.fields if not field.secret}
        return {
            key: value if key in public and isinstance(value, str) else hidden(value) for key, value in config.items()
        }


def hidden(value: object) -> str:
    """A secret, as it is shown."""
    text = "" if value is None else str(value)
    return f"{text[:SHOWN]}****" if len(text) > SHOWN else "****"
