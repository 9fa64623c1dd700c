"""This is the room for the machinery's configuration: read once from a file and the environment, into frozen values."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from owlrunner.config_checks import (
    above_zero,
    checked_connection_string,
    checked_domains,
    checked_email,
    checked_host,
    checked_networks,
    checked_port,
    checked_sender,
    checked_url,
)
from owlrunner.decoding import Undecodable, decode
from owlrunner.errors import ConfigError
from owlrunner.toml_file import read_toml

DEFAULT_FILE = Path("config/owlrunner.toml")
SCHEDULES_FILE = "schedules.toml"
PREFIX = "OWLRUNNER_"
SHORT_NAMES = {
    "DATABASE_URL": ["database", "url"],
    "SYSTEM_JOBS_ALERT_EMAIL": ["notifications", "alert_email"],
}
"""Variables with names of their own."""
SUPERVISED = ("INVOCATION_ID", "NOTIFY_SOCKET", "KUBERNETES_SERVICE_HOST")
"""Variables that a supervisor sets: systemd for a unit, Kubernetes for a container."""


@attrs.frozen
class ServerConfig:
    """``[server]``: how this process takes part in running jobs. All times are seconds."""

    name: str = ""
    """Unique among servers on one database; a starting server of the same name supersedes the former one at once.
    Empty: ``<host name>:<port>``."""
    plugins: list[str] = attrs.Factory(list)
    """Modules to load as plugins besides the installed ones (entry points of the group ``owlrunner``)."""
    capacity: int = attrs.field(default=500, validator=attrs.validators.ge(1))
    """How many runs this server executes at once."""
    lease: float = attrs.field(default=30.0, validator=above_zero)
    """How long the others take this server for alive after its last heartbeat; it beats three times in that time."""
    stall_limit: float = attrs.field(default=120.0, validator=above_zero)
    """How long a handler may block the event loop before the heartbeat gives the server up."""
    exit_when_stalled: bool | None = None
    """Whether the process ends when the heartbeat has given up on the event loop, so that its supervisor starts it
    anew. Unset: where there
    is one (systemd, Kubernetes, or the process is a container's first)."""
    fail_waiting_after: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(0))
    )
    """A starting server fails due runs that waited for so long, when no server was alive for as long. Unset: one lease."""
    shutdown_grace: float = attrs.field(default=25.0, validator=attrs.validators.ge(0))
    """How long runs may go on after SIGTERM before their cancel scopes are cancelled."""
    wakeups: Literal["listen", "poll"] = "listen"
    """``poll`` works behind a connection pooler in transaction mode."""
    schedules: Path | None = None
    """The file of schedules. Unset: ``schedules.toml`` beside the configuration file, where there is one."""
    poll_interval: float | None = attrs.field(default=None, validator=above_zero)
    """How long to sleep at most before looking for work. Unset: 30 with ``listen``, 1 with ``poll``."""

    @property
    def longest_sleep(self) -> float:
        """Seconds after which a loop looks at the database though nothing woke it."""
        return self.poll_interval or (30.0 if self.wakeups == "listen" else 1.0)

    @property
    def exits_when_stalled(self) -> bool:
        """Whether to end the process when the event loop has been blocked for ``stall_limit``."""
        if self.exit_when_stalled is not None:
            return self.exit_when_stalled
        return any(variable in os.environ for variable in SUPERVISED) or os.getpid() == 1

    @property
    def remember_callers(self) -> float:
        """Seconds for which it remembers who holds a key. With ``listen`` it hears of changes at once, unless a ring is lost."""
        return 5.0 if self.wakeups == "listen" else 1.0


@attrs.frozen
class DatabaseConfig:
    """``[database]``: where the state is kept."""

    url: str = attrs.field(default="", repr=False, validator=checked_connection_string)
    """Usually given as DATABASE_URL. Empty: OwlRunner keeps its own PostgreSQL under ``data_dir``."""
    data_dir: Path = Path(".owlrunner")
    pool_size: int = attrs.field(default=10, validator=attrs.validators.ge(2))
    """Connections for the API. The runtime holds six more at most, and handlers have theirs besides."""
    handler_connections: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    """How many runs may have connections by ``ctx.connect()`` at once; others wait for their first."""
    connect_timeout: float = attrs.field(default=10.0, validator=above_zero)


@attrs.frozen
class WebConfig:
    """``[web]``: the HTTP side."""

    enabled: bool = True
    """False: this server executes runs and answers nobody."""
    host: str = attrs.field(default="127.0.0.1", validator=checked_host)
    port: int = attrs.field(default=8321, validator=checked_port)
    graceful_timeout: float = attrs.field(default=3.0, validator=attrs.validators.ge(0))
    max_connections: int = attrs.field(default=500, validator=attrs.validators.ge(1))
    """How many clients may be connected at once. Further ones take the place of those that do nothing."""
    public_url: str = attrs.field(default="", validator=checked_url)
    """Where people reach this server: for links in notifications, and to know its own pages from others'. Empty: no links."""
    hosts: list[str] = attrs.field(factory=list)
    """Further names under which browsers reach it. Addresses and localhost need not be named."""
    sign_up: Literal["open", "closed"] = "open"
    """Whether an address that is not known becomes a user, with a team of their own, by signing in."""
    sign_up_domains: list[str] = attrs.field(factory=list, validator=checked_domains)
    """Only addresses of these domains do. Empty: any."""
    trusted_proxies: list[str] = attrs.field(factory=list, validator=checked_networks)
    """Addresses and networks of the proxies in front, whose X-Forwarded-For says from where a request comes."""
    secure_cookies: bool = False
    """Set it where browsers reach the server through TLS and ``public_url`` does not say so."""
    show_codes: bool = False
    """For demonstrations on the loopback address: the sign-in page shows the code that it mails, so anybody is anybody."""

    def __attrs_post_init__(self) -> None:
        if self.show_codes and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("show_codes lets anybody sign in as anybody, so host must be the loopback address")


@attrs.frozen
class MailConfig:
    """``[mail]``: how mail leaves the house. Without a host it is written to the log instead."""

    host: str = ""
    port: int = attrs.field(default=587, validator=checked_port)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    sender: str = attrs.field(default="OwlRunner <owlrunner@localhost>", validator=checked_sender)
    timeout: float = attrs.field(default=30.0, validator=above_zero)


@attrs.frozen
class NotificationsConfig:
    """``[notifications]``: who is told how runs ended, and how hard that is tried."""

    alert_email: str = attrs.field(default="", validator=checked_email)
    """Who is told how system jobs ended; usually given as SYSTEM_JOBS_ALERT_EMAIL. Empty: nobody."""
    alerts: Literal["all", "failures", "changes"] = "all"
    """Of which ends of system jobs: all of them, those that failed, or the first failure and the recovery from it."""
    missed_after: float = attrs.field(default=300.0, validator=above_zero)
    """How old a fire time that was missed must be for the owner to be told: a short restart is no news."""
    notifiers: list[str] | None = None
    """Through which of the plugins' notifiers. Unset: through all."""
    send_timeout: float = attrs.field(default=60.0, validator=above_zero)
    """How long one try may take."""
    retry_delay: float = attrs.field(default=10.0, validator=above_zero)
    """How long to wait after the first try that failed; doubled for each further one, up to an hour."""
    give_up_after: float = attrs.field(default=172_800.0, validator=above_zero)
    """How long it is tried."""


@attrs.frozen
class LogConfig:
    """``[log]``: what goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


@attrs.frozen
class Config:
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    database: DatabaseConfig = DatabaseConfig()
    web: WebConfig = WebConfig()
    mail: MailConfig = MailConfig()
    notifications: NotificationsConfig = NotificationsConfig()
    log: LogConfig = LogConfig()
    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict, repr=False)
    """Each plugin's own table, not yet typed: that is the plugin's business."""


def load_config(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration: the file, then DATABASE_URL, SYSTEM_JOBS_ALERT_EMAIL and ``OWLRUNNER_<SECTION>__<KEY>`` over it.

    An empty variable is unset. ``file`` None means OWLRUNNER_CONFIG, else ``config/owlrunner.toml`` where that exists, else
    defaults alone.

    Raises ConfigError naming file or variable, key, what was expected and what was found.
    """
    if file is None and environ.get("OWLRUNNER_CONFIG", "").strip():
        file = Path(environ["OWLRUNNER_CONFIG"])
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    table = read_toml(file) if file is not None else {}
    _strip_url(table)
    try:
        config = decode(table, Config, where="")
    except Undecodable as problem:
        raise ConfigError(f"{file}: {str(problem).removeprefix('.')}") from None
    for variable, path, value in _overrides(environ):
        _put(table, path, value, variable)
        _strip_url(table)
        try:
            # One at a time, so that a complaint can name the variable it is about.
            config = decode(table, Config, where="", strict=False)
        except Undecodable as problem:
            raise ConfigError(f"environment variable {variable}: {str(problem).removeprefix('.')}") from None
    return _with_schedules_beside(config, file)


def _with_schedules_beside(config: Config, file: Path | None) -> Config:
    """The configuration with the file of schedules that lies beside its own, unless it names another."""
    beside = file.parent / SCHEDULES_FILE if file is not None else None
    if config.server.schedules is not None or beside is None or not beside.exists():
        return config
    return attrs.evolve(config, server=attrs.evolve(config.server, schedules=beside))


def _overrides(environ: Mapping[str, str]) -> list[tuple[str, list[str], Any]]:
    """Variable, path and value of everything that the environment sets. An empty variable sets nothing."""
    filled = {variable: text for variable, text in environ.items() if text.strip()}
    found: list[tuple[str, list[str], Any]] = [
        (variable, list(path), filled[variable]) for variable, path in SHORT_NAMES.items() if variable in filled
    ]
    found += (
        (variable, variable.removeprefix(PREFIX).lower().split("__"), _value(filled[variable]))
        for variable in sorted(filled)
        if variable.startswith(PREFIX) and "__" in variable
    )
    return found


def _value(text: str) -> Any:
    """A variable's text; arrays and tables are written as in TOML."""
    if text.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            return text
    return text


def _strip_url(table: dict[str, Any]) -> None:
    """Drop white space around ``database.url``: secrets come from files, and files end with a line break."""
    database = table.get("database")
    if isinstance(database, dict) and isinstance(database.get("url"), str):
        database["url"] = database["url"].strip()


def _put(table: dict[str, Any], path: list[str], value: Any, variable: str) -> None:
    """Set ``table[path[0]][path[1]]… = value``."""
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"environment variable {variable}: {key} is a value, not a table")
    table[path[-1]] = value
