"""OwlRunner: background jobs for Trio and PostgreSQL. These are the names that a plugin author needs, and no others."""

from owlrunner.context import Connection, JobContext
from owlrunner.errors import OwlRunnerError, Undeliverable
from owlrunner.hookspecs import Migrations, Settings, hookimpl
from owlrunner.job_run import Progress
from owlrunner.job_type import AnyJobType, JobType, Scope, job_type
from owlrunner.notification import MailSender, Notification, Notifier
from owlrunner.proxies import proxy_for
from owlrunner.retry import Retry

__all__ = [
    "AnyJobType",
    "Connection",
    "JobContext",
    "JobType",
    "MailSender",
    "Migrations",
    "Notification",
    "Notifier",
    "OwlRunnerError",
    "Progress",
    "Retry",
    "Scope",
    "Settings",
    "Undeliverable",
    "hookimpl",
    "job_type",
    "proxy_for",
]
