"""`make zoo`: every job on every file, against the truth; tells what is wrong, and what no longer is."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.platform import Platform
from tests.zoo.cases import CASES
from tests.zoo.known import read_known, surprises, without_mended, write_known
from tests.zoo.making import Maker
from tests.zoo.trial import SETTINGS, Trial, Verdict
from tests.zoo.truth import Case

_BATCH = 20
"""Files that are in the queue at once."""


def main() -> int:
    """Run it; 1 if anything is not as it is known to be."""
    wanted = _wanted()
    cases = [case for case in CASES.values() if fnmatch.fnmatch(case.name, wanted.only)]
    with tempfile.TemporaryDirectory(prefix="zoo-") as temporary:
        verdicts = list(_verdicts(cases, wanted.keep or Path(temporary) / "files", Path(temporary) / "home"))
    known = read_known()
    if wanted.mended:
        known = without_mended(known, verdicts)
        write_known(known, list(CASES))
    unknown = [surprise for verdict in verdicts for surprise in surprises(known, verdict)]
    faulty = sum(bool(verdict.faults) for verdict in verdicts)
    print(f"{len(cases)} files, {len(verdicts)} jobs, {faulty} of them with faults; not as known: {len(unknown)}")
    print("\n".join(unknown))
    return 1 if unknown else 0


def _wanted() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("--only", default="*", help="a shell pattern of file names")
    parser.add_argument("--mended", action="store_true", help="take out of known.toml what is no longer wrong")
    parser.add_argument("--keep", type=Path, help="folder to leave the files in")
    return parser.parse_args()


def _verdicts(cases: Sequence[Case], files: Path, home: Path) -> Iterator[Verdict]:
    files.mkdir(parents=True, exist_ok=True)
    tools = find_tools()
    settings = Settings.load(_env_file=None, home=home, **SETTINGS)
    begun = time.monotonic()
    with MediaJobs(settings) as media:
        trial = Trial(Platform(media), Maker(files, tools), tools)
        for start in range(0, len(cases), _BATCH):
            for verdict in trial.take(cases[start : start + _BATCH]):
                for fault in verdict.faults:
                    print(f"{verdict.file}: {verdict.job}: {fault}")
                yield verdict
            done = min(start + _BATCH, len(cases))
            print(f"{done} of {len(cases)} files, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
