"""This is the room for what a job type is, and for how an async function becomes one.

Decorating registers nothing and has no side effect: a plugin hands its job types over through a hook.
"""

import enum
import inspect
import math
import re
import typing
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

import attrs
import msgspec

from owlrunner.context import JobContext
from owlrunner.cron import Cron, InvalidCron
from owlrunner.errors import InvalidParams, PluginError
from owlrunner.params import decode_params, encode_params
from owlrunner.raised_errors import named
from owlrunner.retry import NO_RETRY, Retry

P = TypeVar("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class Scope(enum.StrEnum):
    """Who may trigger a job type: a team for one of its projects, or only schedules and the server's owner."""

    PROJECT = "project"
    SYSTEM = "system"


@attrs.frozen(eq=False)
class JobType(Generic[P]):
    """A named kind of work. Call it like the function it was made from: ``await acme_sync(ctx, SyncParams())``.

    Made by the ``job_type`` decorator; write it out by hand where job types are computed.
    """

    name: str
    handler: Callable[..., Awaitable[Any]]
    scope: Scope
    label: str
    description: str
    params_type: type[P] | None
    """The attrs class of the handler's second argument; None for a handler that takes none."""
    timeout: float | None
    """Seconds an attempt may take before its cancel scope ends it as failed; None for no limit."""
    cancel_grace: float
    """Seconds between a cancel request and Trio's ``Cancelled`` in the handler."""
    retry: Retry
    exclusive: bool
    """Whether at most one run (per project) may be pending or running: ``overlap="forbid"``."""
    max_running: int | None
    """How many runs of this type may run at once over all servers; None for no limit."""
    requeue_on_restart: bool
    """Whether a run that lost its server goes back to pending instead of failing."""
    default_schedule: str | None = None
    """The cron expression, in UTC, by which a system job type recurs unless the file of schedules says otherwise."""
    off: Callable[..., str] | None = None
    """Asked with the params of a schedule: why it has nothing to do here, or "". None: it always has."""

    def __call__(self, ctx: JobContext, *args: P) -> Awaitable[Any]:
        """Call the handler."""
        return self.handler(ctx, *args)

    def decode_params(self, raw: object) -> tuple[P, ...]:
        """Return the handler's further arguments for params as they came in JSON (None counts as ``{}``).

        Strings stand for numbers and booleans where those are wanted, because command lines know only strings.

        Raises InvalidParams.
        """
        if self.params_type is None:
            self._require_none(raw)
            return ()
        return (decode_params({} if raw is None else raw, self.params_type),)

    def encode_params(self, raw: object) -> bytes | None:
        """Return the JSON text to store for params as they came in; None stays None.

        ``decode_params`` makes of it what it makes of ``raw``: see ``owlrunner.params``.

        Raises InvalidParams.
        """
        if raw is None:
            self.decode_params(None)
            return None
        if self.params_type is None:
            self._require_none(raw)
            return b"{}"
        return encode_params(raw, self.params_type)

    def _require_none(self, raw: object) -> None:
        if raw is not None and raw != {}:
            raise InvalidParams(f"params: {self.name} takes no params, got {_shown(raw)}")

    def off_because(self, raw: object) -> str:
        """Why a schedule with these params, as they stand in its table, has nothing to do here, or "".

        Raises InvalidParams when the params do not fit, and PluginError when the plugin gives no answer.
        """
        params = self.decode_params(raw)
        if self.off is None:
            return ""
        try:
            reason = self.off(*params)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(f"job type {self.name}: off raised {named(error)}") from error
        if not isinstance(reason, str):
            raise PluginError(f'job type {self.name}: off must return a reason or "", got {_shown(reason)}')
        return reason

    def params_schema(self) -> dict[str, Any]:
        """The params as a self-contained JSON Schema (2020-12)."""
        if self.params_type is None:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        (schema,), components = msgspec.json.schema_components([self.params_type], ref_template="#/$defs/{name}")
        definitions = {
            name: {**part, "additionalProperties": False} if part.get("type") == "object" else part
            for name, part in components.items()
        }
        own = definitions.pop(schema["$ref"].removeprefix("#/$defs/")) if "$ref" in schema else schema
        return {**own, "$defs": definitions} if definitions else own


AnyJobType: TypeAlias = JobType[Any]


class _Decorator(typing.Protocol):
    @overload
    def __call__(self, handler: Callable[[JobContext], Awaitable[R]], /) -> JobType[None]: ...
    @overload
    def __call__(self, handler: Callable[[JobContext, P], Awaitable[R]], /) -> JobType[P]: ...


def job_type(
    *,
    scope: Literal["project", "system"],
    label: str | None = None,
    name: str | None = None,
    timeout: float | None = None,
    cancel_grace: float = 5.0,
    retry: Retry | None = None,
    overlap: Literal["forbid", "allow"] = "forbid",
    max_running: int | None = None,
    on_restart: Literal["fail", "requeue"] = "fail",
    default_schedule: str | None = None,
    off: Callable[..., str] | None = None,
) -> _Decorator:
    """Turn an async function ``(ctx)`` or ``(ctx, params)`` into a JobType.

    ``scope`` says who may trigger it. ``name`` comes from the function and ``label`` from the name unless given; the
    description is the first paragraph of the docstring, and the params class is the annotation of the second argument.
    ``timeout`` and ``cancel_grace`` are seconds; ``default_schedule`` is a cron expression in UTC, for system job types.
    ``off`` is a plain function that takes what the handler takes without ``ctx``; where it returns a reason, a schedule with
    these params is left out, and leaves no row. Whoever triggers a run by hand is not kept from it.

    Raises PluginError when the function or a value cannot be used.
    """

    def decorate(handler: Callable[..., Awaitable[Any]]) -> AnyJobType:
        own_name = name if name is not None else str(getattr(handler, "__name__", ""))
        _check(
            own_name,
            handler,
            scope=scope,
            timeout=timeout,
            cancel_grace=cancel_grace,
            overlap=overlap,
            max_running=max_running,
            on_restart=on_restart,
            default_schedule=default_schedule,
            off=off,
        )
        return JobType(
            name=own_name,
            handler=handler,
            scope=Scope(scope),
            label=label or own_name.replace("_", " ").title(),
            description=" ".join((inspect.getdoc(handler) or "").split("\n\n")[0].split()),
            params_type=_params_type(own_name, handler),
            timeout=timeout,
            cancel_grace=cancel_grace,
            retry=retry or NO_RETRY,
            exclusive=overlap == "forbid",
            max_running=max_running,
            requeue_on_restart=on_restart == "requeue",
            default_schedule=default_schedule,
            off=off,
        )

    return typing.cast(_Decorator, decorate)


def _check(name: str, handler: Callable[..., object], **values: Any) -> None:
    """Raise PluginError for the first value that cannot be used."""
    if not _NAME.fullmatch(name):
        raise PluginError(f"job type {name!r}: a name must match {_NAME.pattern}")
    if not inspect.iscoroutinefunction(handler):
        raise PluginError(f"job type {name}: the handler must be an async function, got {handler!r}")
    allowed = {"scope": ("project", "system"), "overlap": ("forbid", "allow"), "on_restart": ("fail", "requeue")}
    for key, choices in allowed.items():
        if values[key] not in choices:
            raise PluginError(f"job type {name}: {key} must be one of {', '.join(choices)}, got {values[key]!r}")
    if values["timeout"] is not None and not values["timeout"] > 0:
        raise PluginError(f"job type {name}: timeout must be above 0 seconds, got {values['timeout']!r}")
    if not 0 <= values["cancel_grace"] < math.inf:
        raise PluginError(f"job type {name}: cancel_grace must be 0 or more seconds, got {values['cancel_grace']!r}")
    if values["max_running"] is not None and not values["max_running"] >= 1:
        raise PluginError(f"job type {name}: max_running must be 1 or more, got {values['max_running']!r}")
    if values["off"] is not None and values["scope"] != "system":
        raise PluginError(f"job type {name}: off is about schedules, and those are for the scope system")
    if values["default_schedule"] is not None:
        _check_schedule(name, values["scope"], values["default_schedule"])


def _check_schedule(name: str, scope: str, expression: str) -> None:
    """Raise PluginError for a default schedule that cannot be one."""
    if scope != "system":
        raise PluginError(
            f"job type {name}: default_schedule is for the scope system; a project's job has no one project to run for"
        )
    try:
        Cron.parse(expression)
    except InvalidCron as problem:
        raise PluginError(f"job type {name}: default_schedule: {problem}") from None


def _params_type(name: str, handler: Callable[..., object]) -> type[Any] | None:
    """The params class that the handler's signature names, checked to be one that can be decoded."""
    arguments = list(inspect.signature(handler).parameters.values())
    if not 1 <= len(arguments) <= 2:
        raise PluginError(
            f"job type {name}: the handler takes (ctx) or (ctx, params), got {inspect.signature(handler)}"
        )
    if len(arguments) == 1:
        return None
    try:
        wanted = typing.get_type_hints(inspect.unwrap(handler)).get(arguments[1].name)
    except NameError as error:
        raise PluginError(f"job type {name}: the annotation of {arguments[1].name} cannot be read: {error}") from None
    if wanted is None:
        raise PluginError(f"job type {name}: the argument {arguments[1].name} needs its params class as annotation")
    if not (isinstance(wanted, type) and (attrs.has(wanted) or hasattr(wanted, "__struct_fields__"))):
        raise PluginError(f"job type {name}: params must be an attrs class, got {wanted!r}")
    try:
        msgspec.json.schema_components([wanted])
    except TypeError as error:
        raise PluginError(
            f"job type {name}: params of class {wanted.__name__} cannot be read from JSON: {error}"
        ) from None
    return wanted


def _shown(raw: object) -> str:
    """A value as it may stand in an error message: short."""
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:60]}…"
