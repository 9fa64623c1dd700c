"""This is the room for every error that OwlRunner raises on purpose; each is named for what its reader does next.

OwlRunnerError
├── ConfigError              fix the file, the key or the variable that the message names
├── PluginError              fix or remove the plugin that the message names
├── SchemaOutdated           run ``owlrunner migrate``
├── SchemaTooNew             run a newer OwlRunner
├── SchemaChanged            bring back the migration that was changed after it had been applied
├── UnsuitableDatabase       create the database as the message says
├── Superseded               give each server a name of its own
├── RunsCancelled            find the handler that cancels a nursery that is not its own
├── Undeliverable            correct the address: no try would bring the notification there
├── DatabaseTrouble
│   ├── DatabaseUnavailable      wait: PostgreSQL cannot be reached
│   └── StatementFailed          report it, unless it is transient: PostgreSQL refused a statement of ours
└── Refused                  a request that was understood and declined; nothing was changed
    ├── Unauthenticated          send a valid credential
    ├── PermissionDenied         ask for the permission or the role
    ├── InvalidRequest           correct the field that the message names
    │   ├── UnknownJobType
    │   ├── NotTriggerable
    │   ├── InvalidParams
    │   └── RunAlreadyEnded
    ├── NotFound                 the thing is not there, or not for you
    ├── RunAlreadyActive         follow the run whose id it carries
    ├── AlreadyExists            choose another name
    └── TooManyRequests          come back after the stated time
"""

from collections.abc import Iterable
from uuid import UUID


class OwlRunnerError(Exception):
    """Something that OwlRunner can explain in one sentence; ``str()`` is that sentence."""


class ConfigError(OwlRunnerError):
    """The configuration cannot be used. The message names file, key, what was expected and what was found."""


class PluginError(OwlRunnerError):
    """A plugin cannot be used. The message names the plugin and the cause; the server does not start without it."""


class SchemaOutdated(OwlRunnerError):
    """The database is older than this code: run ``owlrunner migrate``."""


class SchemaTooNew(OwlRunnerError):
    """The database was migrated by a newer OwlRunner in a way that older ones cannot live with, so this one refuses to touch it."""


class SchemaChanged(OwlRunnerError):
    """A migration that was applied has another text now. What it did cannot be undone by editing it: write a new one."""


class UnsuitableDatabase(OwlRunnerError):
    """The database has an encoding, or the server a version, that OwlRunner cannot work with."""


class Superseded(OwlRunnerError):
    """Another server has started under this server's name, so this one ends. Restarting it would end the other one."""


class RunsCancelled(OwlRunnerError):
    """A handler cancelled the nursery that the tasks of all runs belong to, so the server has ended. Start it again."""


class Undeliverable(OwlRunnerError):
    """Raised by a notifier: this notification cannot be delivered, now or later. The message says why."""


class DatabaseTrouble(OwlRunnerError):
    """Something is wrong between us and PostgreSQL; a loop that meets it says so and goes on."""


class DatabaseUnavailable(DatabaseTrouble):
    """PostgreSQL cannot be reached, or the connection broke in the middle.

    ``unknown`` says that a statement had been sent: it may have taken effect, now or in a while. Look it up, never assume.
    """

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class StatementFailed(DatabaseTrouble):
    """PostgreSQL refused a statement and undid it.

    ``transient`` says that the data is not to blame, so that the same statement may succeed later: a deadlock, a statement timeout,
    a read-only session, a schema that is just being restored. Without it the data itself cannot be stored.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class Refused(OwlRunnerError):
    """A request that was understood and declined. Nothing was changed."""


class Unauthenticated(Refused):
    """No credential was sent, or it is not valid (any more)."""


class PermissionDenied(Refused):
    """The credential is valid but lacks the permission, the role or the team."""


class InvalidRequest(Refused):
    """A field has a value that cannot be used; the message says which and what was expected."""


class UnknownJobType(InvalidRequest):
    """No plugin offers a job type of that name."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__(f"Invalid job_type. Must be one of: {', '.join(known)}")


class NotTriggerable(InvalidRequest):
    """System job types are started by schedules and by the owner, never through the API."""

    def __init__(self, job_type: str) -> None:
        super().__init__(f'Cannot trigger system job "{job_type}" via API')


class InvalidParams(InvalidRequest):
    """The params do not fit the job type's params class; the message names the field by its path."""


class RunAlreadyEnded(InvalidRequest):
    """The run has reached a final status, so there is nothing to cancel."""

    def __init__(self, status: str) -> None:
        super().__init__(f'Cannot cancel a job with status "{status}"')
        self.status = status


class NotFound(Refused):
    """There is no such thing, or it belongs to somebody else: both look the same from outside."""


class RunAlreadyActive(Refused):
    """A run of this job type (and project) is pending or running; ``existing_run_id`` says which."""

    def __init__(self, existing_run_id: UUID) -> None:
        super().__init__("A job of this type is already running or pending")
        self.existing_run_id = existing_run_id


class AlreadyExists(Refused):
    """Something of that name is there already."""


class TooManyRequests(Refused):
    """A limit was reached. ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerBusy(TooManyRequests):
    """Others have all that the server can do at once. ``retry_after`` is in seconds."""
