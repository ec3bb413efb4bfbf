"""What the source says of a name and Python forgets: the string below an attribute."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from types import FunctionType, ModuleType

_LONG = 100


@dataclass(frozen=True)
class Attribute:
    """An attribute of a class, or a name of a module."""

    name: str
    type: str
    """As it is annotated; empty where it is not."""
    doc: str


def own_attributes(what: type | ModuleType) -> list[Attribute]:
    """Its attributes, in their order."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(what)))
    first = tree.body[0]
    return list(_attributes(first.body if isinstance(first, ast.ClassDef) and isinstance(what, type) else tree.body))


def attributes(kind: type) -> list[Attribute]:
    """Those of a class and of its bases in the package, the most basic first."""
    bases = [each for each in reversed(kind.__mro__) if each.__module__.startswith("mediajobs_dagster")]
    return [attribute for each in bases for attribute in own_attributes(each)]


def first_paragraph(what: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(what) or "").split("\n\n")[0].split())


def whole_doc(what: object) -> str:
    """A docstring; each paragraph on one line."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(what) or "").split("\n\n"))


def signature(function: FunctionType) -> str:
    """A method's name, arguments and result, as they are called: without what it is bound to."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(found, ast.FunctionDef)
    whole = ast.unparse(found.args).partition(", ")[2]
    result = ast.unparse(found.returns) if found.returns else "None"
    line = f"{found.name}({whole}) -> {result}"
    if len(line) <= _LONG:
        return line
    # One by one, and a bare `*` between those by position and those by name.
    arguments = ast.unparse(found.args)
    return f"{found.name}(\n{_one_a_line(arguments)}) -> {result}"


def _one_a_line(arguments: str) -> str:
    pieces, depth, piece = list[str](), 0, ""
    for letter in arguments + ",":
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            pieces.append(f"    {piece.strip()},\n")
            piece = ""
        else:
            piece += letter
    return "".join(pieces[1:])


def _attributes(body: list[ast.stmt]) -> Iterable[Attribute]:
    for statement, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, kind = statement.target.id, ast.unparse(statement.annotation)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name, kind = statement.targets[0].id, ""
        else:
            continue
        yield Attribute(name, kind, _string(below))


def _string(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""
