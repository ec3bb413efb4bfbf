"""Says how many small faults the tests find: `python -m tests.mutation --sample 150 --seed 1`.

Each mutant is tried in a copy of the tree: on the tests of its module, and on a wider set when these let it pass. The
same seed and source give the same mutants.
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

import psutil

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
_RUN = "MEDIAJOBS_MUTATION_RUN"
"""Marks the processes of a session, so that none outlives it."""


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

    def test(self, tests: Sequence[str]) -> Session:
        """Run tests up to the first that fails."""
        run, began = uuid4().hex, time.monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        command = [sys.executable, "-m", "pytest", *tests, "-x", "-n", "0", "--timeout", str(_TEST_S), "--tb=line"]
        with tempfile.TemporaryDirectory(prefix="mutant-") as scratch, tempfile.TemporaryFile("w+") as output:
            Path(scratch).chmod(0o755)  # PostgreSQL runs as another user
            environment |= {"PYTHONPATH": str(self.root), "TMPDIR": scratch, _RUN: run}
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
        failed = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)", text, re.MULTILINE)
        return Session(code, failed and failed[1], time.monotonic() - began, text)


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
    _killers: dict[str, list[str]] = field(default_factory=dict)
    """By module, the tests that found a fault in it. They are asked first."""

    def check(self, modules: Sequence[str]) -> None:
        """Exit unless the tests of the modules pass without a fault."""
        tree = self.trees.get()
        session = tree.test(sorted({test for module in modules for test in self.targets.of(module)[0]}))
        self.trees.put(tree)
        print(f"Without a fault the tests take {session.seconds:.0f} s.", flush=True)
        if session.code:
            sys.exit(f"They fail, so they cannot be asked:\n{session.output}")

    def is_killed(self, mutant: Mutant) -> bool:
        """Whether a test finds the fault."""
        matching, wider = self.targets.of(mutant.path)
        tree = self.trees.get()
        tree.put(mutant.path, mutant.source)
        try:
            session = tree.test([*self._killers.get(mutant.path, [])[:_ASKED_FIRST], *matching])
            if not session.code and wider and self.is_wide:
                session = tree.test(wider)
                tree.put(mutant.path, mutant.before)
                if session.code and session.failed and tree.test([session.failed]).code:
                    print(f"{session.failed} fails without a fault too, and does not count.")
                    session = replace(session, code=0)
            if session.code and not session.failed:
                # A module that cannot be imported fails every test; so does an environment that is broken.
                tree.put(mutant.path, mutant.before)
                if tree.test([*matching, "--collect-only"]).code:
                    sys.exit(f"The tests cannot be asked:\n{session.output}")
        finally:
            tree.put(mutant.path, mutant.before)
            self.trees.put(tree)
        if session.failed and "::" in session.failed:
            known = self._killers.get(mutant.path, [])
            self._killers[mutant.path] = list(dict.fromkeys([session.failed, *known]))
        place = f"{mutant.path}:{mutant.line} {mutant.kind}"
        if session.code:
            how = session.failed or "pytest did not come to any test"
            hung = ", which hung" if "Timeout (>" in session.output else ""
            print(f"killed    {place}, {session.seconds:.0f} s: {how}{hung}", flush=True)
        else:
            print(f"SURVIVED  {place}\n{mutant.diff}", flush=True)
        return bool(session.code)


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
