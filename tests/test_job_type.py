"""Job types: made from a function, checked when made, and strict about params."""

from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import owlrunner
from owlrunner.errors import InvalidParams, PluginError
from owlrunner.job_type import Scope
from owlrunner.retry import Retry


@attrs.frozen
class Limits:
    """Params inside params."""

    upper: int = 10


@attrs.frozen
class SyncParams:
    """Params of all kinds."""

    since_days: int = attrs.field(default=7, validator=attrs.validators.ge(1))
    dry_run: bool = False
    tags: list[str] = attrs.Factory(list)
    limits: Limits = Limits()


@owlrunner.job_type(scope="project")
async def acme_sync(ctx: owlrunner.JobContext, params: SyncParams) -> dict[str, int]:
    """Copy subscriber data from Acme.

    More about it.
    """
    return {"days": params.since_days}


@owlrunner.job_type(scope="system", label="Spring Cleaning", name="clean", overlap="allow", on_restart="requeue")
async def other(ctx: owlrunner.JobContext) -> None:
    """Clean."""


def test_everything_comes_from_the_function() -> None:
    """Name, label, description and params class are read off the function unless given."""
    assert (acme_sync.name, acme_sync.label, acme_sync.scope) == ("acme_sync", "Acme Sync", Scope.PROJECT)
    assert acme_sync.description == "Copy subscriber data from Acme."
    assert acme_sync.params_type is SyncParams
    assert (other.name, other.label, other.params_type) == ("clean", "Spring Cleaning", None)
    assert (other.exclusive, other.requeue_on_restart) == (False, True)


class Client:
    """A job type that needs an object of its own is a decorated method."""

    async def pull(self, ctx: owlrunner.JobContext, params: SyncParams) -> int:
        """Pull."""
        return params.since_days * ctx.attempt


def test_a_bound_method_can_be_a_handler() -> None:
    """``job_type(…)(client.pull)`` holds the client."""
    job_type = owlrunner.job_type(scope="system")(Client().pull)
    assert (job_type.name, job_type.params_type) == ("pull", SyncParams)


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        (None, SyncParams()),
        ({}, SyncParams()),
        ({"since_days": 3, "tags": ["a"]}, SyncParams(since_days=3, tags=["a"])),
        ({"since_days": "3", "dry_run": "true"}, SyncParams(since_days=3, dry_run=True)),
        ({"limits": {"upper": 5}}, SyncParams(limits=Limits(5))),
    ],
)
def test_params_are_decoded(raw: object, decoded: SyncParams) -> None:
    """JSON becomes the params class; strings of a command line become numbers and booleans."""
    assert acme_sync.decode_params(raw) == (decoded,)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"since_day": 3}, "params.since_day: unknown key"),
        ({"limits": {"uper": 3}}, "params.limits.uper: unknown key"),
        ({"since_days": 0}, "params: 'since_days' must be >= 1: 0"),
        ({"since_days": "soon"}, "params.since_days: expected int, got str"),
        ({"tags": [1]}, "params.tags[0]: expected str, got int"),
        ("text", "params: expected object, got str"),
        ([], "params: expected object, got array"),
    ],
)
def test_params_that_do_not_fit_are_refused(raw: object, complaint: str) -> None:
    """The message names the field by its path, what was expected and what was found."""
    with pytest.raises(InvalidParams) as told:
        acme_sync.decode_params(raw)
    assert str(told.value) == complaint


def test_a_job_type_without_params_takes_none() -> None:
    """Params for a handler without a second argument are refused, except none at all."""
    assert other.decode_params(None) == other.decode_params({}) == ()
    with pytest.raises(InvalidParams, match="clean takes no params"):
        other.decode_params({"a": 1})


def test_the_schema_is_self_contained() -> None:
    """The params as JSON Schema, with nested classes under $defs and nothing else allowed."""
    schema = acme_sync.params_schema()
    assert schema["properties"]["since_days"] == {"type": "integer", "default": 7}
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Limits"]["properties"]["upper"]["type"] == "integer"
    assert other.params_schema() == {"type": "object", "properties": {}, "additionalProperties": False}


async def no_arguments() -> None:
    """Takes nothing."""


async def three_arguments(a: object, b: object, c: object) -> None:
    """Takes too much."""


async def unannotated(ctx: owlrunner.JobContext, params) -> None:  # type: ignore[no-untyped-def]
    """Does not say what it takes."""


async def takes_a_dict(ctx: owlrunner.JobContext, params: dict[str, int]) -> None:
    """Takes a dict."""


@attrs.frozen
class Unreadable:
    """Params that no JSON can hold."""

    thing: object = attrs.field(factory=object)
    function: type[int] = int


async def takes_the_unreadable(ctx: owlrunner.JobContext, params: Unreadable) -> None:
    """Takes what cannot be sent."""


def plain(ctx: owlrunner.JobContext) -> None:
    """Is not async."""


async def fine(ctx: owlrunner.JobContext) -> None:
    """Is fine."""


@pytest.mark.parametrize(
    ("handler", "options", "complaint"),
    [
        (no_arguments, {}, r"takes \(ctx\) or \(ctx, params\)"),
        (three_arguments, {}, r"takes \(ctx\) or \(ctx, params\)"),
        (unannotated, {}, "needs its params class as annotation"),
        (takes_a_dict, {}, "params must be an attrs class"),
        (takes_the_unreadable, {}, "params of class Unreadable cannot be read from JSON"),
        (plain, {}, "must be an async function"),
        (fine, {"scope": "galaxy"}, "scope must be one of project, system, got 'galaxy'"),
        (fine, {"name": "Not A Name"}, "a name must match"),
        (fine, {"timeout": 0}, "timeout must be above 0"),
        (fine, {"cancel_grace": -1}, "cancel_grace must be 0 or more"),
        (fine, {"cancel_grace": float("nan")}, "cancel_grace must be 0 or more"),
        (fine, {"max_running": 0}, "max_running must be 1 or more"),
        (fine, {"overlap": "maybe"}, "overlap must be one of forbid, allow"),
        (fine, {"on_restart": "shrug"}, "on_restart must be one of fail, requeue"),
    ],
)
def test_what_cannot_be_a_job_type_is_refused(handler: Any, options: dict[str, Any], complaint: str) -> None:
    """The mistake is told when the module is imported, with the job type's name."""
    with pytest.raises(PluginError, match=complaint):
        owlrunner.job_type(**{"scope": "system", **options})(handler)


def test_retry_delays_grow_to_a_limit() -> None:
    """Exponential, bounded by max_delay, also for attempts without number."""
    retry = Retry(max_attempts=1000, first_delay=2.0, factor=2.0, max_delay=60.0, jitter=0.0)
    assert [retry.delay_after(n) for n in (1, 2, 3, 5, 6, 999)] == [2.0, 4.0, 8.0, 32.0, 60.0, 60.0]


@given(
    attempt=st.integers(1, 1_000_000),
    first_delay=st.floats(0, exclude_min=True, allow_infinity=False),
    factor=st.one_of(st.floats(1), st.integers(1, 10**400)),
    max_delay=st.floats(0, 1e9, exclude_min=True),
    jitter=st.floats(0, 1),
)
@example(attempt=65, first_delay=5.0, factor=1e6, max_delay=3600.0, jitter=0.0)
def test_any_retry_policy_has_a_delay_for_any_attempt(
    attempt: int, first_delay: float, factor: float, max_delay: float, jitter: float
) -> None:
    """No policy that can be made overflows: each wait is finite, from none to max_delay, and the next is no shorter."""
    retry = Retry(1000, first_delay, factor, max_delay, jitter)
    assert 0 <= retry.delay_after(attempt) <= max_delay
    steady = attrs.evolve(retry, jitter=0.0)
    assert 0 < steady.delay_after(attempt) <= steady.delay_after(attempt + 1) <= max_delay


def test_jitter_only_shortens() -> None:
    """With jitter the wait is between (1 - jitter) and all of the delay, and not always the same."""
    retry = Retry(first_delay=100.0, jitter=0.25)
    delays = {retry.delay_after(1) for _ in range(200)}
    assert all(75.0 <= delay <= 100.0 for delay in delays)
    assert len(delays) > 1


@pytest.mark.parametrize(
    "options",
    [{"max_attempts": 0}, {"factor": 0.5}, {"jitter": 2.0}, {"first_delay": 0.0}, {"max_delay": 1e10}],
)
def test_a_retry_policy_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """Values out of range are told at once."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Retry(**options)
