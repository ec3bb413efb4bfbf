"""Finds which tests run which statement: in a copy of a module, each statement says so when it is run.

Only the tests that come to a line can find a fault in it. The processes that a test starts tell too, since they inherit
its name; so do its threads.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from os import close, open, write  # tests put others into the module

from tests.mutation.mutants import Mutant, is_docstring

FILE = "MUTATION_RAN"
"""Names the file that all processes write to. Not a name of ours: tests of the command line remove those."""
_FIRST = 20
"""Quick tests that are asked before all others."""
_PHASES = re.compile(r" \((setup|call|teardown)\)$")
_DURATION = re.compile(r"^([\d.]+)s (?:setup|call|teardown) +(\S.*)$", re.MULTILINE)
_told: set[tuple[str, str, int]] = set()


@dataclass(frozen=True)
class Ran:
    """What a session of all tests told."""

    tests: dict[tuple[str, int], set[str]]
    """By module and line of the statement, what ran it: tests, and files of which a fixture did; "" for an import."""
    seconds: dict[str, float]
    """How long each test took, with its fixtures."""

    @classmethod
    def read(cls, told: str, output: str) -> Ran:
        """From what `ran` wrote, and from what pytest printed with `--durations`."""
        tests: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        for record in told.splitlines():
            path, line, test = record.split("\t", 2)
            name, phase, _ = _PHASES.split(test) if test else ("", "", "")
            # What a fixture made may be there for all tests of the file.
            tests[path, int(line)] |= {name, name.partition("::")[0]} if phase == "setup" else {name}
        seconds: Counter[str] = Counter()
        for took, name in _DURATION.findall(output):
            seconds[name] += float(took)
        return cls(dict(tests), dict(seconds))

    def of(self, mutant: Mutant) -> set[str] | None:
        """What came to the fault; None if an import did, so that no test has to come to it by itself."""
        line = _statement(mutant)
        found = {""} if line is None else self.tests.get((mutant.path, line), set())
        return None if "" in found else found

    def first(self, mutant: Mutant, preferred: Collection[str]) -> list[str]:
        """The quickest tests that came to the fault, or at least to its module: of each function one, then another."""
        found = self.of(mutant)
        if found is None:
            found = {test for (path, _), tests in self.tests.items() if path == mutant.path for test in tests}
        turns: Counter[str] = Counter()
        ranked: list[tuple[bool, int, float, str]] = []
        for test in sorted(found & self.seconds.keys(), key=lambda test: (self.seconds[test], test)):
            function = test.partition("[")[0]
            turns[function] += 1
            ranked.append((function not in preferred, turns[function], self.seconds[test], test))
        return [test for *_, test in sorted(ranked)[:_FIRST]]


def ran(path: str, line: int) -> None:
    """Note that the test which is running, or an import, came to a statement."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    if (test, path, line) in _told or not os.environ.get(FILE):
        return
    _told.add((test, path, line))
    record = f"{path}\t{line}\t{'' if _is_importing(path) else test}\n"
    # Opened each time: a process may have closed what it did not open itself. One that may not write tells nothing.
    with suppress(OSError):
        file = open(os.environ[FILE], os.O_WRONLY | os.O_APPEND)
        write(file, record.encode())
        close(file)


def _is_importing(path: str) -> bool:
    """Whether a module of the package is being imported: what it makes then is there for all tests."""
    package = f"/{path.partition('/')[0]}/"
    frame = sys._getframe()
    while frame := frame.f_back:
        is_module = frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__"
        if is_module and package in frame.f_code.co_filename:
            return True
    return False


def telling(path: str, source: str) -> str:
    """The module with a call of `ran` before each statement of its functions."""
    tree = ast.parse(source)
    for block in list(_blocks(tree)):
        for number in reversed(range(len(block))):
            if not is_docstring(block[number]):
                block.insert(number, ast.parse(f"_ran({path!r}, {block[number].lineno})").body[0])
    head = max((number for number, statement in enumerate(tree.body, 1) if _is_future(statement)), default=0)
    tree.body[head:head] = ast.parse(f"from {__name__} import ran as _ran").body
    return ast.unparse(tree)


def _statement(mutant: Mutant) -> int | None:
    """Where the innermost statement begins that the fault is in, if that is in a function."""
    lines = [
        statement.lineno
        for block in _blocks(ast.parse(mutant.before))
        for statement in block
        if statement.lineno <= mutant.line <= (statement.end_lineno or 0)
    ]
    return max(lines, default=None)


def _blocks(node: ast.AST, is_inside: bool = False) -> Iterator[list[ast.stmt]]:
    """The lists of statements of all functions."""
    is_inside = is_inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for _, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        if is_inside and children and isinstance(children[0], ast.stmt):
            yield children
        for child in children:
            if isinstance(child, ast.AST):
                yield from _blocks(child, is_inside)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
