"""The faults that are put into the code, and where they are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.__main__ import PROJECT, Targets, equivalents
from tests.mutation.mutants import mutants_of


def faults(source: str) -> set[str]:
    """What comes for the lines of a module, in its mutants."""
    return {" ".join(mutant.change[1]) for mutant in mutants_of("module.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = (a <= b)", "x = (a >= b)"}),
        ("x = a is b", {"x = (a is not b)"}),
        ("x = a and b", {"x = (a or b)", "x = a", "x = b"}),
        ("x = not a", {"x = a"}),
        ("x = a + b", {"x = (a - b)"}),
        ("x = 3", {"x = 4"}),
        ("x = True", {"x = False"}),
        ("x = -y[-1]", {"x = -y[-2]"}),
        ("x = min(a)", {"x = max(a)"}),
        ("x = f(a=b, c=d)", {"x = f(c=d)", "x = f(a=b)"}),
        ("x = {a: b, c: d}", {"x = {c: d}", "x = {a: b}"}),
        ("x = q.where(a, b).order_by(c)", {"x = q.where(a, b)", "x = q.order_by(c)"} | {
            f"x = q.where({rest}).order_by(c)" for rest in "ab"
        }),
        ('x = r"aa|b(c|dd)"', {"x = 'b(c|dd)'", "x = 'aa|b(dd)'", "x = 'aa|b(c)'"}),
        ("if a:\n    raise b", {"if (not a):", "pass"}),
        ("def f():\n    return a", {"return"}),
        ("a.b = c", {"pass"}),
        ("f(a)", {"pass"}),
        ("'ä' in a", {"('ä' not in a)", "pass"}),  # columns are counted in bytes
    ],
)  # fmt: skip
def test_each_kind_of_fault(source: str, expected: set[str]) -> None:
    """A module of a line or two, and all that it can be made into."""
    assert faults(source) == expected


@pytest.mark.parametrize(
    "source",
    ['"""A module of 3."""', "x: a | 3", "def f(x: a[3]) -> b[3]:\n    x", "_log.info(3)", "x = f'{3}'", "x = 'a' + b"],
)
def test_what_no_test_should_ask_for_is_left_alone(source: str) -> None:
    """Docstrings, annotations, logs and messages have no faults that matter here."""
    assert not faults(source) - {"pass"}


def test_the_same_source_gives_the_same_mutants() -> None:
    """In the same order, which is what a sample is drawn from; and each of them is another."""
    source = (PROJECT / "mediajobs_dagster/resilience/retry.py").read_text()
    once, again = mutants_of("retry.py", source), mutants_of("retry.py", source)
    assert once == again
    assert len({mutant.source for mutant in once}) == len(once) > 10


def test_modules_and_their_tests_are_there() -> None:
    """A name that was changed would be looked for in vain."""
    targets = Targets.load()
    modules = targets.modules(())
    assert "mediajobs_dagster/resilience/retry.py" in modules
    assert targets.of("mediajobs_dagster/resilience/retry.py")[0] == ["tests/resilience/test_retry.py"]
    named = [*modules, *(f"mediajobs_dagster/{name}" for name in targets.tests)]
    tests = [test for sets in (targets.tests, targets.wider) for found in sets.values() for test in found]
    assert [name for name in (*named, *tests) if not (PROJECT / name).exists()] == []


def test_each_equivalent_mutant_has_a_reason() -> None:
    """And its module exists."""
    for (module, _, _), reason in equivalents().items():
        assert reason
        assert (PROJECT / Path(module)).exists()
