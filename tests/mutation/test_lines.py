"""Which tests are asked first for a fault: those that come to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import lines
from tests.mutation.__main__ import PROJECT, Targets
from tests.mutation.lines import FILE, Ran, ran, telling
from tests.mutation.mutants import Mutant

SOURCE = '''"""A module."""

from __future__ import annotations

LIMIT = 3


def f(a):
    """A function."""
    if a > (
        LIMIT
    ):
        return 1
    elif a:
        return 2
    return 0
'''
OUTPUT = """
============================= slowest durations ==============================
1.50s call     tests/test_a.py::test_slow
0.20s setup    tests/test_a.py::test_quick
0.10s call     tests/test_a.py::test_quick
0.01s call     tests/test_b.py::test_each[a b]
0.02s call     tests/test_b.py::test_each[c]
"""


def told(*records: tuple[int, str]) -> Ran:
    """What is known after the given lines were run by the given tests."""
    return Ran.read("".join(f"m.py\t{line}\t{test}\n" for line, test in records), OUTPUT)


def fault(line: int) -> Mutant:
    """A mutant of the module, of which only the place is asked for."""
    return Mutant("m.py", line, "", SOURCE, "")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is told is written there."""
    (path := tmp_path / "told").touch()
    monkeypatch.setenv(FILE, str(path))
    monkeypatch.setattr(lines, "_told", set[object]())
    return path


def test_a_telling_module_does_the_same_and_says_what_it_ran(file: Path) -> None:
    """Each statement once for each test, by the line that it has in the module itself."""
    names: dict[str, object] = {"__name__": "m"}
    exec(telling("m.py", SOURCE), names)
    f = names["f"]
    assert callable(f)
    assert [f(4), f(2), f(2)] == [1, 2, 2]
    assert f.__doc__ == "A function."
    test = f"tests/mutation/test_lines.py::{test_a_telling_module_does_the_same_and_says_what_it_ran.__name__} (call)"
    assert file.read_text().splitlines() == [f"m.py\t{line}\t{test}" for line in (10, 13, 14, 15)]


def test_what_an_import_runs_is_there_for_all_tests(file: Path, tmp_path: Path) -> None:
    """Also if it is imported in the midst of a test; and no test has to come to it by itself."""
    module = tmp_path / "package" / "m.py"
    code = compile(telling("package/m.py", SOURCE + "\nX = f(4)\n"), str(module), "exec", dont_inherit=True)
    names: dict[str, Any] = {"__name__": "package.m"}
    exec(code, names)
    names["f"](2)
    known = Ran.read(file.read_text(), "")
    assert known.of(replace(fault(13), path="package/m.py")) is None
    assert known.of(replace(fault(15), path="package/m.py")) == {
        f"tests/mutation/test_lines.py::{test_what_an_import_runs_is_there_for_all_tests.__name__}"
    }


def test_what_cannot_be_told_changes_nothing(file: Path) -> None:
    """A process may be one that is not allowed to write there."""
    file.unlink()
    ran("m.py", 1)
    assert not file.exists()


def test_every_module_can_be_made_to_tell() -> None:
    """And is still one that Python can compile."""
    for module in Targets.load().modules(()):
        compile(telling(module, (PROJECT / module).read_text()), module, "exec", dont_inherit=True)


def test_a_fault_is_come_to_by_the_tests_that_run_its_statement() -> None:
    """Also in a further line of it; and no test comes to a statement that none ran."""
    known = told((10, "tests/test_a.py::test_slow (call)"), (16, "tests/test_b.py::test_each[a b] (call)"))
    assert known.of(fault(11)) == known.of(fault(10)) == {"tests/test_a.py::test_slow"}
    assert known.of(fault(16)) == {"tests/test_b.py::test_each[a b]"}
    assert known.of(fault(15)) == set()


def test_what_a_fixture_ran_may_be_there_for_all_tests_of_the_file() -> None:
    """It may have been made once for all of them."""
    assert told((10, "tests/test_a.py::test_quick (setup)")).of(fault(10)) == {
        "tests/test_a.py",
        "tests/test_a.py::test_quick",
    }


def test_the_quickest_come_first_and_one_of_each_function_before_another() -> None:
    """Those that found the last faults come before all others."""
    tests = ("tests/test_a.py::test_slow", "tests/test_a.py::test_quick", "tests/test_b.py::test_each[a b]")
    known = told(*((10, f"{test} (call)") for test in (*tests, "tests/test_b.py::test_each[c]")))
    slow, quick, each = tests
    assert known.first(fault(10), ()) == [each, quick, slow, "tests/test_b.py::test_each[c]"]
    assert known.first(fault(10), [slow])[0] == slow


def test_no_test_comes_to_a_constant_of_a_module_by_itself() -> None:
    """All that come to the module may find a fault in it."""
    known = told((10, "tests/test_a.py::test_slow (call)"))
    assert known.of(fault(5)) is None
    assert known.first(fault(5), ()) == ["tests/test_a.py::test_slow"]
