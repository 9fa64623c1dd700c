"""All scenarios by their names."""

from collections.abc import Awaitable, Callable, Mapping

import attrs

from tests.lab.arena import Arena

Act = Callable[[Arena], Awaitable[None]]


@attrs.frozen
class Scenario:
    """What is done, and what the server needs to know for it."""

    name: str
    act: Act
    environ: Mapping[str, str] = attrs.field(factory=dict)
    slots: tuple[str, ...] = ()
    """Job types that must be free at the end: one more run of each completes."""
    empty: bool = False
    """Whether the database has no tables yet."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, *slots: str, environ: Mapping[str, str] | None = None, empty: bool = False
) -> Callable[[Act], Act]:
    """Enter a function into SCENARIOS."""

    def enter(act: Act) -> Act:
        SCENARIOS[name] = Scenario(name, act, environ or {}, slots, empty)
        return act

    return enter
