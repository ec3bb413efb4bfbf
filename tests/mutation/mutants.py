"""Makes mutants of a module: copies of its source with one small fault each. Pure and deterministic.

Left alone are annotations, decorators, docstrings, f-strings (messages) and what is logged.
"""

from __future__ import annotations

import ast
import copy
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_CLAUSES = ("where", "order_by", "having", "limit")
"""Methods of a query that it would run without."""
_TERMS = (*_CLAUSES, "and_", "or_")
"""What takes conditions that may be left out one by one."""
_PATH = re.compile(r"(path|folder|root|home|unborn|url)$", re.IGNORECASE)
"""What is joined with something by `/` or `+` rather than divided."""
_SKIPPED_FIELDS = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True)
class Mutant:
    """A module with a fault."""

    path: str
    line: int
    kind: str
    before: str
    """The whole source without the fault."""
    source: str
    """The whole source with it."""

    @property
    def change(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The lines that were taken away and those that came for them, without indentation."""
        lines = list(difflib.ndiff(self.before.splitlines(), self.source.splitlines()))
        removed, added = (tuple(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
        return removed, added

    @property
    def diff(self) -> str:
        """The change, as a unified diff without context."""
        lines = (self.before.splitlines(), self.source.splitlines())
        return "\n".join(difflib.unified_diff(*lines, self.path, self.path, n=0, lineterm=""))


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines. Each of them can be compiled."""
    found: dict[str, Mutant] = {}
    for node in _nodes(ast.parse(source)):
        for kind, target, new in _variants(node):
            mutated = _replaced(source, target, new)
            if mutated != source and mutated not in found and _compiles(mutated):
                found[mutated] = Mutant(path, target.lineno, kind, source, mutated)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            is_code = isinstance(child, ast.AST) and name not in _SKIPPED_FIELDS
            if is_code and not isinstance(child, ast.JoinedStr) and not is_docstring(child) and not _is_log(child):
                yield from _nodes(child)


def is_docstring(node: ast.AST) -> bool:
    """Whether it is nothing but a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("_log.")


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.AST]]:
    """What kind of fault, what it replaces, and with what."""
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                for other in _OPERATORS[type(operator)]:
                    yield "comparison", node, _with(node, "ops", number, other())
        case ast.BoolOp():
            yield "boolean operator", node, _with(node, "op", None, _OPERATORS[type(node.op)][0]())
            for number in range(len(node.values)):
                yield "condition dropped", node, _without(node, "values", number)
        case ast.UnaryOp(op=ast.Not()):
            yield "not dropped", node, node.operand
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _OPERATORS and not _joins(node):
            yield "arithmetic", node, _with(node, "op", None, _OPERATORS[type(node.op)][0]())
        case ast.Constant():
            for value in _constants(node.value):
                yield "constant", node, ast.Constant(value)
        case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
            yield "nothing returned", node, ast.Return(None)
        case ast.Dict():
            for number in range(len(node.keys)):
                yield "key dropped", node, _without(_without(node, "keys", number), "values", number)
        case ast.Call():
            yield from _calls(node)
        case _:
            pass
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(node.test, (ast.Compare, ast.BoolOp)):
        yield "condition inverted", node.test, ast.UnaryOp(ast.Not(), node.test)
    if isinstance(node, (ast.AugAssign, ast.Raise, ast.Delete, ast.Continue, ast.Break)) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Yield, ast.YieldFrom))
    ):
        yield "statement removed", node, ast.Pass()
    if isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple)):
        yield "statement removed", node, ast.Pass()


def _is_nothing(node: ast.expr) -> bool:
    # None for False is no other answer to who asks whether something is so.
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _joins(node: ast.BinOp | ast.AugAssign) -> bool:
    parts = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    is_text = any(isinstance(part, ast.JoinedStr | ast.Constant) and not _is_number(part) for part in parts)
    return is_text or (isinstance(node.op, ast.Div | ast.Add) and bool(_PATH.search(ast.unparse(parts[0]))))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.expr, ast.AST]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if isinstance(node.func, ast.Name) and name in _OPPOSITES:
        yield f"{name} for {_OPPOSITES[name]}", node, _with(node, "func", None, ast.Name(_OPPOSITES[name]))
    for number, keyword in enumerate(node.keywords):
        if keyword.arg:
            yield "keyword dropped", node, _without(node, "keywords", number)
    if isinstance(node.func, ast.Attribute) and name in _CLAUSES:
        yield "clause dropped", node, node.func.value
    if name in _TERMS and len(node.args) > 1:
        for number in range(len(node.args)):
            yield "condition dropped", node, _without(node, "args", number)


def _constants(value: object) -> Iterator[object]:
    """Other values; of a regular expression, each without one of its alternatives."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str) and re.search(r"\w\|\w", value):
        # One with a group within it is left as it is.
        for plain in (*re.finditer(r"(?:^|(?<=\())[^|()]+\|", value), *re.finditer(r"\|[^|()]+(?=$|[|)])", value)):
            yield value[: plain.start()] + value[plain.end() :]


def _with(node: ast.AST, name: str, number: int | None, new: ast.AST) -> ast.AST:
    changed = copy.deepcopy(node)
    if number is None:
        setattr(changed, name, new)
    else:
        getattr(changed, name)[number] = new
    return changed


def _without(node: ast.AST, name: str, number: int) -> ast.AST:
    changed = copy.deepcopy(node)
    del getattr(changed, name)[number]
    is_single = isinstance(changed, ast.BoolOp) and len(changed.values) == 1
    return changed.values[0] if is_single and isinstance(changed, ast.BoolOp) else changed


def _replaced(source: str, target: ast.expr | ast.stmt, new: ast.AST) -> str:
    lines = [line.encode() for line in source.splitlines(keepends=True)]  # columns are counted in bytes
    text = ast.unparse(ast.fix_missing_locations(new))
    is_atom = isinstance(new, (ast.Constant, ast.Name, ast.Call, ast.Attribute, ast.Dict, ast.stmt))
    assert target.end_lineno
    head = lines[target.lineno - 1][: target.col_offset]
    tail = lines[target.end_lineno - 1][target.end_col_offset :]
    middle = head + (text if is_atom else f"({text})").encode() + tail
    return b"".join([*lines[: target.lineno - 1], middle, *lines[target.end_lineno :]]).decode()


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True
