"""What can be done to a statement, and how a case is named: scenario, connection, statement, kind of fault."""

import enum

import attrs


class Kind(enum.StrEnum):
    """What becomes of a statement that is struck."""

    CUT_BEFORE = "cut-before"
    """The connection ends; the server never sees the statement."""
    CUT_AFTER = "cut-after"
    """The server executes the statement; the connection ends instead of the answer."""
    DELAY = "delay"
    """The statement waits on its way, and reaches the server after the client has given it up."""
    LATE = "late"
    """The server executes the statement at once; the answer is held back, then delivered."""
    LATE_CUT = "late-cut"
    """The same, but the connection ends instead."""
    SWALLOW = "swallow"
    """The server executes the statement; the answer never comes, and the connection stays open."""
    SILENCE = "silence"
    """From this statement on nothing passes on this connection, in either direction, not even its end."""
    HALF_OPEN = "half-open"
    """The same on all connections that are open; new ones work."""


HOLDS = frozenset((Kind.DELAY, Kind.LATE, Kind.LATE_CUT))
"""Those that take their time; it is added to the time within which things must be well again."""


ANY = "*"
"""As a connection's name: whichever it is. The statement is then counted on all connections together."""


@attrs.frozen(order=True)
class Target:
    """One statement of a scenario: the connection's name, the statement's name, and which of those it is, from 1."""

    connection: str
    statement: str
    number: int

    def __str__(self) -> str:
        return f"{self.connection}/{self.statement}:{self.number}"


@attrs.frozen
class Fault:
    """A kind of fault at one statement."""

    target: Target
    kind: Kind


@attrs.frozen
class Case:
    """A scenario with one fault."""

    scenario: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.scenario}/{self.fault.target}/{self.fault.kind}"

    @classmethod
    def parse(cls, name: str) -> "Case":
        """Read a case's name. Raises ValueError."""
        try:
            scenario, connection, statement, kind = name.split("/")
            statement, number = statement.rsplit(":", 1)
            return cls(scenario, Fault(Target(connection, statement, int(number)), Kind(kind)))
        except ValueError:
            raise ValueError(f"a case is named scenario/connection/statement:number/fault, got {name!r}") from None
