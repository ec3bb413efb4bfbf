"""Says how many small faults the tests find: `python -m tests.mutation --sample 150 --seed 1`.

Each mutant is tried in a copy of the tree: on the tests of its module, and on a wider set when these let it pass. Tests
that do not come to the fault are left out; the quickest of the others are asked first. The same seed and source give
the same mutants.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

import psutil

from tests.mutation.lines import FILE, Ran, telling
from tests.mutation.mutants import Mutant, mutants_of

PROJECT = Path(__file__).parents[2]
PACKAGE = "mediajobs_dagster"
FOLDER = Path(__file__).parent

_TEST_S = 60
"""A test that takes longer is taken for one that hangs: it fails, and so the fault is found."""
_SESSION_S = 1800
"""And a session that takes longer is ended."""
_ASKED_FIRST = 5
"""Tests that found the last faults in a module."""
_RUN = "MUTATION_RUN"
"""Marks the processes of a session, so that none outlives it."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


@dataclass(frozen=True)
class Targets:
    """Which tests go with which module."""

    sampled: Sequence[str]
    tests: dict[str, Sequence[str]]
    wider: dict[str, Sequence[str]]

    @classmethod
    def load(cls) -> Targets:
        """As the file beside this one says."""
        return cls(**tomllib.loads((FOLDER / "targets.toml").read_text()))

    def modules(self, names: Sequence[str]) -> list[str]:
        """The modules of the given files and folders below the package, or of all that are to be sampled."""
        found: set[Path] = set()
        for name in names or self.sampled:
            path = PROJECT / PACKAGE / name.removeprefix(f"{PACKAGE}/")
            found |= set(path.rglob("*.py")) if path.is_dir() else {path}
        return sorted(str(path.relative_to(PROJECT)) for path in found)

    def of(self, module: str) -> tuple[Sequence[str], Sequence[str]]:
        """The tests of a module, and the wider ones."""
        name = module.removeprefix(f"{PACKAGE}/")
        folder, _, file = name.rpartition("/")
        own = f"tests/{folder}/test_{file}"
        by_name = [own] if (PROJECT / own).exists() else None
        matching = self.tests.get(name) or by_name or self.tests.get(folder) or [f"tests/{folder}"]
        return matching, self.wider.get(folder.partition("/")[0], ())


@dataclass(frozen=True)
class Session:
    """What a session of pytest came to."""

    code: int
    failed: str | None
    """The first test that failed."""
    seconds: float
    output: str


@dataclass
class Tree:
    """A copy of the project, in which one mutant at a time is tried."""

    root: Path
    _times: Iterator[int] = field(default_factory=lambda: count(1))

    def put(self, path: str, source: str) -> None:
        """Write a module. Its time is never the same twice, or Python would take what it compiled of the last one."""
        (self.root / path).write_text(source)
        os.utime(self.root / path, times=(next(self._times),) * 2)

    def test(self, tests: Sequence[str], *options: str, told: str = "") -> Session:
        """Run tests, with options of pytest; what `telling` modules tell is written to a file."""
        run, began = uuid4().hex, time.monotonic()
        # What Python compiles is kept, or each session would compile the whole tree anew.
        dropped = ("PYTEST_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        command = [sys.executable, "-m", "pytest", *tests, *options, "-n", "0", "--timeout", str(_TEST_S), "--tb=line"]
        with tempfile.TemporaryDirectory(prefix="mutant-") as scratch, tempfile.TemporaryFile("w+") as output:
            Path(scratch).chmod(0o755)  # PostgreSQL runs as another user
            environment |= {"PYTHONPATH": str(self.root), "TMPDIR": scratch, _RUN: run, FILE: told}
            # In a session of its own: whatever a mutant signals, it is not us.
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                code = process.wait(_SESSION_S)
            except subprocess.TimeoutExpired:
                code = -1
            finally:
                _end(run)
            process.wait()
            output.seek(0)
            text = output.read()
        return Session(code, next(iter(_FAILED.findall(text)), None), time.monotonic() - began, text)


def _end(run: str) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(_RUN) == run:
                process.kill()


@contextmanager
def copied_tree() -> Iterator[Tree]:
    """A copy of what is under version control, and of what could be."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, text=True)
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        for path in filter(lambda path: (PROJECT / path).is_file(), listed.splitlines()):
            (Path(name) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / path, Path(name) / path)
        yield Tree(Path(name))


@dataclass
class Trial:
    """All mutants of a sample, tried one after another in each of the trees."""

    targets: Targets
    trees: SimpleQueue[Tree]
    is_wide: bool
    _ran: Ran = field(default_factory=lambda: Ran({}, {}))
    _killers: dict[str, list[str]] = field(default_factory=dict)
    """By module, the tests that found a fault in it. They are asked first."""
    _sound: dict[str, bool] = field(default_factory=dict)
    """Whether a test that failed passes without a fault, asked alone."""

    def check(self, modules: Sequence[str]) -> None:
        """See which tests come to which lines. Exit unless the tests of the modules pass without a fault."""
        of = [self.targets.of(module) for module in modules]
        matching = {test for tests, _ in of for test in tests}
        wider = {test for _, tests in of for test in tests} if self.is_wide else set[str]()
        tree = self.trees.get()
        sources = {module: (PROJECT / module).read_text() for module in modules}
        with tempfile.NamedTemporaryFile("r", prefix="mutation-") as told:
            Path(told.name).chmod(0o666)
            for module, source in sources.items():
                tree.put(module, telling(module, source))
            session = tree.test(sorted(matching | wider), "--durations=0", "--durations-min=0", told=told.name)
            for module, source in sources.items():
                tree.put(module, source)
            self._ran = Ran.read(told.read(), session.output)
        print(f"Without a fault the tests take {session.seconds:.0f} s.", flush=True)
        failed = _FAILED.findall(session.output)
        # One that only failed among all the others, as on a machine that was busy, may be asked.
        self._sound |= {test: not tree.test([test]).code for test in dict.fromkeys(failed)}
        self.trees.put(tree)
        unsound = [test for test, is_sound in self._sound.items() if not is_sound and _is_of(test, matching)]
        if unsound or (session.code and not failed):
            sys.exit(f"They fail, so they cannot be asked: {', '.join(unsound)}\n{session.output}")

    def is_killed(self, mutant: Mutant) -> bool:
        """Whether a test finds the fault."""
        tree, began = self.trees.get(), time.monotonic()
        tree.put(mutant.path, mutant.source)
        session = None
        try:
            for tests in filter(None, self._sessions(mutant)):
                session = tree.test(tests, "-x")
                if session.code and self._counts(session, tests, mutant, tree):
                    break
                session = None
        finally:
            tree.put(mutant.path, mutant.before)
            self.trees.put(tree)
        place, seconds = f"{mutant.path}:{mutant.line} {mutant.kind}", time.monotonic() - began
        if session:
            how = session.failed or "pytest did not come to any test"
            hung = ", which hung" if "Timeout (>" in session.output else ""
            print(f"killed    {place}, {seconds:.0f} s: {how}{hung}", flush=True)
        else:
            print(f"SURVIVED  {place}, {seconds:.0f} s\n{mutant.diff}", flush=True)
        return bool(session)

    def _sessions(self, mutant: Mutant) -> Iterator[list[str]]:
        """The tests to be asked, some after the others. One that does not come to the fault cannot find it."""
        first = self._ran.first(mutant, self._killers.get(mutant.path, [])[:_ASKED_FIRST])
        yield [test for test in first if self._sound.get(_name(test), True)]
        came, asked = self._ran.of(mutant), {*first}
        matching, wider = self.targets.of(mutant.path)
        for tests in (matching, wider if self.is_wide else ()):
            yield sorted({test for test in came if _is_of(test, tests)} - asked) if came else [*tests]
            asked |= {test for test in came or () if _is_of(test, tests)}

    def _counts(self, session: Session, tests: Sequence[str], mutant: Mutant, tree: Tree) -> bool:
        """Whether a session that failed did so by the fault: without it, the test that failed passes."""
        failed = session.failed or ""
        tree.put(mutant.path, mutant.before)
        try:
            # A module that cannot be imported fails every test; so does an environment that is broken.
            if not failed and tree.test(tests, "--collect-only").code:
                print(f"The tests cannot be asked:\n{session.output}")
                return False
            if failed and failed not in self._sound:
                self._sound[failed] = not tree.test([failed], "-x").code
        finally:
            tree.put(mutant.path, mutant.source)
        if not self._sound.get(failed, True):
            print(f"{failed} fails without a fault too, and does not count.")
            return False
        if "::" in failed:
            known = self._killers.get(mutant.path, [])
            self._killers[mutant.path] = list(dict.fromkeys([failed, *known]))
        return True


def _name(test: str) -> str:
    """Without its parameters, as it is printed when it fails."""
    return re.split(r"[\s\[]", test, maxsplit=1)[0]


def _is_of(test: str, names: Iterable[str]) -> bool:
    """Whether a test or file is one of the given files and folders, or in one."""
    path = Path(test.partition("::")[0])
    return any(path.is_relative_to(name) for name in names)


def equivalents() -> dict[tuple[str, tuple[str, ...], tuple[str, ...]], str]:
    """The reasons of the mutants that no test can find, by module, lines taken away and lines put in."""
    listed = tomllib.loads((FOLDER / "equivalent.toml").read_text()).get("mutant", [])
    return {(entry["module"], tuple(entry["before"]), tuple(entry["after"])): entry["reason"] for entry in listed}


def main() -> None:
    """Try a sample and report; exit with 1 when fewer are killed than asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", help=f"files and folders below {PACKAGE}; by default as targets.toml says"
    )
    parser.add_argument("--sample", type=int, default=150, help="mutants to try (0: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    parser.add_argument("--quick", action="store_true", help="ask the tests of the module only, no wider ones")
    parser.add_argument("--at-least", type=float, default=0, metavar="PERCENT", help="that must be killed")
    options = parser.parse_args()

    targets = Targets.load()
    modules = targets.modules(options.modules)
    every = [mutant for module in modules for mutant in mutants_of(module, (PROJECT / module).read_text())]
    size = min(options.sample or len(every), len(every))
    sample = random.Random(options.seed).sample(every, size)
    known = equivalents()
    made = {(mutant.path, *mutant.change) for mutant in every}
    for module, before, after in (key for key in known if key[0] in modules and key not in made):
        print(f"Listed as equivalent, but no longer to be made: {module}: {before} to {after}")
    asked = [mutant for mutant in sample if (mutant.path, *mutant.change) not in known]
    print(f"{len(every)} mutants of {len(modules)} modules; {size} sampled with seed {options.seed}.", flush=True)

    trees: SimpleQueue[Tree] = SimpleQueue()
    trial = Trial(targets, trees, not options.quick)
    contexts = [copied_tree() for _ in range(options.jobs)]
    for context in contexts:
        trees.put(context.__enter__())
    try:
        trial.check(modules)
        with ThreadPoolExecutor(options.jobs) as pool:
            killed = list(pool.map(trial.is_killed, asked))
    finally:
        for context in contexts:
            context.__exit__(None, None, None)
    share = 100 * sum(killed) / max(1, len(asked))
    print(f"\nKilled {sum(killed)} of {len(asked)} ({share:.0f} %); {size - len(asked)} more are listed as equivalent.")
    for mutant, is_killed in zip(asked, killed, strict=True):
        if not is_killed:
            print(f"\nSurvived: {mutant.path}:{mutant.line} {mutant.kind}\n{mutant.diff}")
    if share < options.at_least:
        sys.exit(1)


if __name__ == "__main__":
    main()
