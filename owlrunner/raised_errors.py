"""Look at what a plugin's code raised.

An exception is the plugin's code, too: its ``__str__``, ``split`` or ``__class__`` runs when somebody looks at it, and may raise
anything, return what is no text, or never come to an end. So it is looked at here and nowhere else. Types are asked instead of
instances, what C keeps is read past attributes that hide it, texts are copied into plain ones, and a group is walked, not asked.
"""

import traceback
from collections.abc import Iterator

from owlrunner.decoding import storable_text
from owlrunner.errors import OwlRunnerError

MAX_ERROR = 10_000
"""How many characters of an error message are kept; the log has the traceback."""
MAX_SHOWN = 1_000
"""How many exceptions a group may hold to be shown with its traceback. A group may hold itself twice, and that again."""
_PARTS_TOLD = 5
"""How many parts of a group are told in its text."""
_DEPTH_TOLD = 3
"""In how many groups within groups."""

# What C keeps of classes and groups, however a class of a plugin's hides it.
_name_of = type.__dict__["__name__"].__get__
_bases_of = type.__dict__["__mro__"].__get__
_message_of = BaseExceptionGroup.__dict__["message"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__
_split = BaseExceptionGroup.__dict__["split"]


def is_a(error: BaseException, kind: type[BaseException]) -> bool:
    """Return whether the exception is of this class or of one derived from it."""
    return any(base is kind for base in _bases_of(type(error)))


def parts_of(error: BaseException) -> list[BaseException]:
    """Return the exceptions that a group holds in the end, each once, or the exception itself."""
    seen: set[int] = set()
    parts, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if is_a(one, BaseExceptionGroup):
            waiting.extend(reversed(_members_of(one)))
        else:
            parts.append(one)
    return parts


def without(error: BaseException, kind: type[BaseException]) -> BaseException:
    """Return a group without what is of this class, and out of groups of one; the exception as it is where that cannot be done."""
    if is_a(error, BaseExceptionGroup) and _is_of_a_size_to_show(error):
        try:
            # Not the group's own, which may be anything; but this calls its ``derive``.
            _, rest = _split(error, kind)
        except BaseException:  # noqa: BLE001 - so it is shown whole
            rest = None
        error = error if rest is None else rest
    while is_a(error, BaseExceptionGroup) and len(_members_of(error)) == 1:
        error = _members_of(error)[0]
    return error


def can_be_shown(error: BaseException) -> bool:
    """Return whether the exception's traceback can be formatted."""
    if not _is_of_a_size_to_show(error):
        return False
    try:
        traceback.format_exception(error)
    except BaseException:  # noqa: BLE001 - whatever it raises, the answer is no
        return False
    return True


def named(error: BaseException) -> str:
    """Return class and message of any exception."""
    message = _text_of(error)
    return f"{class_name(error)}: {message}" if message else class_name(error)


def class_name(error: BaseException) -> str:
    """Return the name of the exception's class."""
    return str.__str__(_name_of(type(error)))


def describe(error: BaseException) -> str:
    """Return an exception as the error text of a run: its message, with the class where it is not one of our sentences."""
    return storable_text(_described(error, _DEPTH_TOLD)[:MAX_ERROR])


def _described(error: BaseException, depth: int) -> str:
    if is_a(error, BaseExceptionGroup):
        members = _members_of(error)
        if len(members) == 1 and depth:
            return _described(members[0], depth - 1)
        told = [_described(part, depth - 1) for part in members[:_PARTS_TOLD]] if depth else ["…"]
        return f"{str.__str__(_message_of(error))}: " + "; ".join(told)
    if is_a(error, OwlRunnerError):
        return _text_of(error) or class_name(error)
    return named(error)


def _text_of(error: BaseException) -> str:
    try:
        # A copy: what ``__str__`` returns may be of a class derived from str, with methods of its own.
        return str.__str__(str(error))
    except BaseException:  # noqa: BLE001 - the first error is the one that matters
        return "(its message cannot be shown)"


def _is_of_a_size_to_show(error: BaseException) -> bool:
    return all(count < MAX_SHOWN for count, _ in enumerate(_walk(error)))


def _walk(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what it holds, as often as it holds it."""
    waiting = [error]
    while waiting:
        one = waiting.pop()
        yield one
        if is_a(one, BaseExceptionGroup):
            waiting.extend(_members_of(one))
