"""OwlRunner: background jobs for Trio and PostgreSQL. These are the names that a plugin author needs, and no others."""

from typing import TYPE_CHECKING

from owlrunner.context import JobContext
from owlrunner.errors import OwlRunnerError, Undeliverable
from owlrunner.hookspecs import Migrations, Settings, hookimpl
from owlrunner.job_run import JobRun, Progress
from owlrunner.job_type import AnyJobType, JobType, Scope, job_type
from owlrunner.missed_fires import MissedFires
from owlrunner.notification import MailSender, Notification, Notifier
from owlrunner.provider import ConfigField, Provider
from owlrunner.proxies import proxy_for
from owlrunner.retry import Retry

if TYPE_CHECKING:
    from owlrunner.connection import Connection

__all__ = [
    "AnyJobType",
    "ConfigField",
    "Connection",
    "JobContext",
    "JobRun",
    "JobType",
    "MailSender",
    "Migrations",
    "MissedFires",
    "Notification",
    "Notifier",
    "OwlRunnerError",
    "Progress",
    "Provider",
    "Retry",
    "Scope",
    "Settings",
    "Undeliverable",
    "hookimpl",
    "job_type",
    "proxy_for",
]


def __getattr__(name: str) -> object:
    """Import the one name that brings psycopg along when somebody asks for it."""
    if name == "Connection":
        from owlrunner.connection import Connection  # noqa: PLC0415

        return Connection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
