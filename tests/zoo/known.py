"""What is known to be wrong: known.toml, file names by job and by what is wrong with what it makes.

A name goes when its fault is mended: tests and `make zoo` fail then, as they do at a new fault. `make zoo ZOO=--mended`
takes out what is mended, and adds nothing.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.zoo.trial import Verdict

FILE = Path(__file__).with_name("known.toml")
ANY = "any"
"""The aspect of what is wrong in another way each time."""
_HEAD = '# What is known to be wrong; read by known.py. "make zoo ZOO=--mended" takes out what no longer is.\n'

Known = Mapping[tuple[str, str], frozenset[str]]
"""File names, by job and aspect."""


def read_known(file: Path = FILE) -> Known:
    """Everything that is known to be wrong."""
    jobs = tomllib.loads(file.read_text())
    return {
        (job, aspect): frozenset(names.split()) for job, aspects in jobs.items() for aspect, names in aspects.items()
    }


def surprises(known: Known, verdict: Verdict) -> Iterator[str]:
    """What is not as it is known to be."""
    expected = {aspect for (job, aspect), files in known.items() if job == verdict.job and verdict.file in files}
    if ANY in expected and verdict.faults:
        return
    for aspect in sorted(verdict.aspects - expected):
        yield f"NEW: {verdict.file}: {verdict.job}: {aspect}"
    for aspect in sorted(expected - verdict.aspects):
        yield f"MENDED: {verdict.file}: {verdict.job}: {aspect} (ZOO=--mended takes its mark away)"


def without_mended(known: Known, verdicts: Iterable[Verdict]) -> Known:
    """What remains known; of jobs without a verdict, everything."""
    found = {(each.file, each.job): each.aspects | ({ANY} if each.faults else set[str]()) for each in verdicts}
    return {
        (job, aspect): frozenset(name for name in names if aspect in found.get((name, job), {aspect}))
        for (job, aspect), names in known.items()
    }


def write_known(known: Known, order: list[str], file: Path = FILE) -> None:
    """Write it anew, the names in an order."""
    file.write_text(_HEAD + "".join(_lines(known, order)))


def _lines(known: Known, order: list[str]) -> Iterator[str]:
    for job in dict.fromkeys(job for job, _ in sorted(known)):
        yield f"\n[{job}]\n"
        for of, aspect in sorted(known):
            if of == job and known[of, aspect]:
                names = " ".join(sorted(known[of, aspect], key=order.index))
                wrapped = textwrap.fill(names, 118, break_long_words=False, break_on_hyphens=False)
                yield f'{aspect} = """\n{wrapped}\n"""\n'
