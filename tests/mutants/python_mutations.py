"""Changes of Python: mutmut's, and one of our own, the statement that is not executed.

mutmut's operators are used, not its machinery: that leaves out decorated functions, which context managers, properties and hooks
are, puts all mutants of a function side by side in one process, and knows nothing of servers that tests start. cosmic-ray's
machinery changes the working copy in place, and its operators change annotations and try every arithmetic operator for every other,
but leave arguments and conditional expressions alone.

Left out is what mypy refuses anyway, such as None for an argument, and the wording of texts. So is ``strict`` of ``zip``: like an
assertion, it speaks of what no input can reach.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper
from mutmut.mutation import mutators

from tests.mutants.mutant import Change

_OPERATORS: tuple[tuple[type[cst.CSTNode], Callable[[Any], Iterable[cst.CSTNode]]], ...] = (
    (cst.BaseNumber, mutators.operator_number),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, mutators.operator_unsymmetrical_string_methods_swap),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.Match, mutators.operator_match),
    (cst.IfExp, mutators.operator_if_exp),
)
_SAYINGS = {"debug", "info", "warning", "error", "exception", "critical"}
"""How loggers are called. What is said is changed by nobody here, nor what an error says."""


def changes(source: str) -> Iterator[Change]:
    """All changes of what is inside of functions."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor()
    wrapper.module.visit(visitor)
    spans, places = wrapper.resolve(ByteSpanPositionProvider), _character_places(source)
    for node, mutated, kind in visitor.found:
        if isinstance(node, cst.BaseCompoundStatement):
            # Its lines are indented by what stands around it.
            whole = wrapper.module.deep_replace(node, mutated)
            yield _smallest(Change(0, len(source), cst.ensure_type(whole, cst.Module).code, kind), source)
            continue
        span = spans[node]
        start, end = places[span.start], places[span.start + span.length]
        replacement = wrapper.module.code_for_node(mutated)
        # White space around it may belong to the node, but not to its place.
        replacement = replacement if source[start].isspace() else replacement.lstrip()
        yield _smallest(Change(start, end, replacement, kind), source)


def _smallest(change: Change, source: str) -> Change:
    """The same change without what stays as it is at both ends."""
    start, end, replacement, kind = change
    while start < end and replacement and source[start] == replacement[0]:
        start, replacement = start + 1, replacement[1:]
    while start < end and replacement and source[end - 1] == replacement[-1]:
        end, replacement = end - 1, replacement[:-1]
    return Change(start, end, replacement, kind)


def _character_places(source: str) -> dict[int, int]:
    """Where in the text the byte is that stands at a place of its encoded form."""
    places, at = {}, 0
    for index, character in enumerate(source):
        places[at] = index
        at += len(character.encode())
    places[at] = len(source)
    return places


class _Visitor(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, str]] = []
        self._functions = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        left_alone = cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom | cst.Assert
        if isinstance(node, left_alone) or _is_a_saying(node):
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "zip":
            for argument in node.args:
                # The only one that zip knows by a name is ``strict``.
                if argument.keyword is None:
                    argument.visit(self)
            return False
        if self._functions:
            self._change(node)
        self._functions += isinstance(node, cst.FunctionDef)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._functions -= isinstance(original_node, cst.FunctionDef)

    def _change(self, node: cst.CSTNode) -> None:
        if _does_something(node):
            self.found.append((node, cst.Pass(), "statement"))
        if isinstance(node, cst.Call):
            self.found.extend((node, mutated, "argument") for mutated in _without_a_keyword(node))
        for kind, operator in _OPERATORS:
            if isinstance(node, kind):
                name = operator.__name__.removeprefix("operator_").replace("_", "-")
                self.found.extend((node, mutated, name) for mutated in operator(node))


def _does_something(node: cst.CSTNode) -> bool:
    """Whether a statement can be left out without a name being unknown that another needs."""
    if isinstance(node, cst.Expr):
        return isinstance(node.value, cst.Call | cst.Await) and not _is_a_saying(node.value)
    if isinstance(node, cst.Assign):
        return all(isinstance(one.target, cst.Attribute | cst.Subscript) for one in node.targets)
    return isinstance(node, cst.AugAssign)


def _without_a_keyword(node: cst.Call) -> Iterator[cst.Call]:
    """A call with the default of each argument that is given by its name."""
    for index, argument in enumerate(node.args):
        if argument.keyword is not None:
            yield node.with_changes(args=[*node.args[:index], *node.args[index + 1 :]])


def _is_a_saying(node: cst.CSTNode) -> bool:
    """Whether this logs something, makes an error, or is a docstring."""
    if isinstance(node, cst.Raise):
        return True
    if isinstance(node, cst.Expr):
        return isinstance(node.value, cst.SimpleString)
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Attribute)
        and node.func.attr.value in _SAYINGS
        and isinstance(node.func.value, cst.Name)
        and node.func.value.value.endswith("logger")
    )
