"""Runs the whole set of hostile files: `python -m tests.hostile --fuzzed 500 --seed 1`.

Prints what came of them; exits with 1 if any was blamed on the system, kept a good job from running, or never ended.
Every ffmpeg is limited in memory and time, and so is this process.
"""

from __future__ import annotations

import argparse
import fnmatch
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.hostile.clips import real_clips
from tests.hostile.fuzzed import fuzzed_files
from tests.hostile.made import made_files
from tests.hostile.trial import LIMITS, Trial
from tests.platform import Platform

_MEMORY = 4 << 30
"""Address space of this process, and of each one it starts, bytes."""
_TOLD_EVERY_S = 30.0


def main() -> int:
    """Run it; the answer is the exit code."""
    wanted = _arguments()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    folder = Path(tempfile.mkdtemp(prefix="mediajobs-hostile-"))
    try:
        return _run(wanted, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="Try hostile files on everything.")
    parser.add_argument("--fuzzed", type=int, default=500, help="how many fuzzed files, beside those made by hand")
    parser.add_argument("--seed", type=int, default=1, help="seed of the fuzzed files")
    parser.add_argument("--only", default="*", help="files whose names match, such as 'cmov_*'")
    parser.add_argument("--every", type=int, default=1, help="take one of so many files")
    parser.add_argument("--keep", type=Path, help="folder to leave the files in")
    return parser.parse_args()


def _run(wanted: argparse.Namespace, folder: Path) -> int:
    tools = find_tools()
    made, hostile = folder / "made", folder / "hostile"
    made.mkdir()
    hostile.mkdir()
    real = real_clips(tools, made)
    good = Clips(made, tools).short()
    paths = list(_written(wanted, real, hostile))
    if wanted.keep:
        shutil.copytree(hostile, wanted.keep, dirs_exist_ok=True)
    with MediaJobs(Settings.load(_env_file=None, home=folder / "home", **LIMITS)) as media:
        trial = Trial(Platform(media), good)
        trial.take_folder(hostile, _among(hostile, good))  # first: later its files are known already
        told = time.monotonic()
        for path in paths:
            trial.take(path)
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{trial.tally.files} of {len(paths)} files", file=sys.stderr, flush=True)
        print("\n".join(trial.tally.lines()))
        return 0 if trial.tally.is_good else 1


def _written(wanted: argparse.Namespace, real: dict[str, bytes], folder: Path) -> Iterator[Path]:
    files = made_files(real) | dict(fuzzed_files(real, wanted.fuzzed, wanted.seed))
    chosen = [name for name in files if fnmatch.fnmatch(name, wanted.only)]
    for name in chosen[:: wanted.every]:
        path = folder / name
        path.write_bytes(files[name])
        yield path


def _among(folder: Path, good: Path) -> list[Path]:
    """Five good clips in the folder of the hostile ones."""
    copies = [folder / f"good_{letter}.mp4" for letter in "agmtz"]
    for path in copies:
        shutil.copy(good, path)
    return copies


if __name__ == "__main__":
    sys.exit(main())
