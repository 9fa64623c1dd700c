"""Exceptions that fight back when they are looked at: a name for each way, and what makes one."""

from collections.abc import Callable
from typing import Any, NoReturn

from owlrunner.errors import OwlRunnerError


class HostileText(str):
    """A text that lets nobody use it."""

    def __getitem__(self, _: Any) -> NoReturn:
        """Refuse to be cut."""
        raise RuntimeError("not cut")

    def __format__(self, _: str) -> NoReturn:
        """Refuse to stand in another text."""
        raise RuntimeError("not formatted")

    def replace(self, *_: Any) -> NoReturn:
        """Refuse to be changed."""
        raise RuntimeError("not changed")


class BytesWhenCut(str):
    """A text of which any part is no text."""

    def __getitem__(self, _: Any) -> Any:
        """Return what is no text."""
        return b"\xff"


class HostileRepr(Exception):
    """Lets nobody see it."""

    def __repr__(self) -> str:
        """Fight back."""
        raise RuntimeError("do not look")

    __str__ = __repr__


class ExitsWhenSeen(Exception):
    """Ends the process when somebody looks."""

    def __str__(self) -> str:
        """Fight back."""
        raise SystemExit(9)


class HostileMessage(Exception):
    """Has a message that cannot be used."""

    def __str__(self) -> str:
        """Return a text with methods of its own."""
        return HostileText("as it is")


class HostileSentence(HostileMessage, OwlRunnerError):
    """Claims to be one of our sentences."""


class NoName(type):
    """Hides the name of a class."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        """Fight back."""
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=NoName):
    """Has no name."""


class NoSplit(BaseExceptionGroup[BaseException]):
    """A group that cannot be taken apart."""

    def split(self, *_: Any) -> Any:
        """Fight back."""
        raise RuntimeError("no split")

    subgroup = split

    @property
    def message(self) -> str:
        """Fight back."""
        raise KeyError("message")


class NoDerive(BaseExceptionGroup[BaseException]):
    """A group whose parts cannot be put together."""

    def derive(self, _: Any) -> Any:
        """Fight back."""
        raise SystemExit(2)


class OddSplit(ExceptionGroup[Exception]):
    """A group that takes itself apart into nonsense."""

    def split(self, _: Any) -> Any:
        """Return what is no pair."""
        return 5


def _hiding(attribute: str, problem: BaseException) -> Callable[[], BaseException]:
    """An exception of a class that raises when this attribute is read."""

    def read(_: object) -> NoReturn:
        raise problem

    return lambda: type("Hiding", (Exception,), {attribute: property(read)})("hidden")


def nested_groups(depth: int) -> BaseException:
    """Groups within groups."""
    error: Exception = ValueError("inside")
    for _ in range(depth):
        error = ExceptionGroup("around", [error, ValueError("beside")])
    return error


def doubled_groups(depth: int) -> BaseException:
    """A group that holds a group twice, and that again."""
    error: Exception = ValueError("inside")
    for _ in range(depth):
        error = ExceptionGroup("twice", [error, error])
    return error


def causes(depth: int) -> BaseException:
    """A long chain of causes."""
    error = ValueError("first")
    for _ in range(depth):
        error, error.__cause__ = ValueError("next"), error
    return error


HOSTILE: dict[str, Callable[[], BaseException]] = {
    "repr": HostileRepr,
    "exits": ExitsWhenSeen,
    "message": HostileMessage,
    "sentence": HostileSentence,
    "no name": Nameless,
    "no split": lambda: NoSplit("x", [ValueError("inside")]),
    "no split of two": lambda: NoSplit("x", [ValueError("inside"), SystemExit(3)]),
    "no derive": lambda: NoDerive("x", [ValueError("inside"), ValueError("beside")]),
    "odd split": lambda: OddSplit("x", [ValueError("inside"), ValueError("beside")]),
    "class": _hiding("__class__", RuntimeError("no class")),
    "notes": _hiding("__notes__", SystemExit(3)),
    "traceback": _hiding("__traceback__", SystemExit(4)),
    "cause": _hiding("__cause__", SystemExit(5)),
    "context": _hiding("__context__", MemoryError()),
    "deep": lambda: nested_groups(500),
    "very deep": lambda: nested_groups(20_000),
    "doubled": lambda: doubled_groups(60),
    "many": lambda: ExceptionGroup("many", [ValueError(str(number)) for number in range(5_000)]),
    "causes": lambda: causes(2_000),
}
