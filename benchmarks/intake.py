"""A folder of a thousand small clips, taken in by `mediajobs add`: how long that takes, and what of it.

    python -m benchmarks.intake [--files 1000] [--rounds 3] [--quick] [--json FILE]

Each round adds a folder of distinct clips to an empty platform (SQLite and a local folder) as a shell does, and then a
second time, when everything is known. The parts are measured in this process, on as many threads: probing alone,
storing alone, and registering the uploads with three jobs each alone.
"""

from __future__ import annotations

import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.intake.batch import Prober
from mediajobs_dagster.intake.candidates import Candidate
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import new_id, new_trace_id
from mediajobs_dagster.system import MediaJobs

PROGRAM = [sys.executable, "-c", "from mediajobs_dagster.cli.main import main; main()"]
Result = TypeVar("Result")

KINDS = 5
THREADS = 8
CHUNK = 200


@dataclass(frozen=True)
class Round:
    """Seconds of one round."""

    first_s: float
    second_s: float
    probing_s: float
    storing_s: float
    registering_s: float


def make_folder(folder: Path, count: int) -> int:
    """Fill `folder` with distinct clips: copies of a few, with a box of another number at the end. Their bytes."""
    ffmpeg, clips = find_tools().ffmpeg, list[bytes]()
    for number in range(KINDS):
        clip = folder.parent / f"kind{number}.mp4"
        source = f"testsrc2=size=640x360:rate=30:duration={number + 2}"
        command = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=440"]
        command += ["-shortest", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", clip]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        clips.append(clip.read_bytes())
    folder.mkdir()
    for number in range(count):
        box = struct.pack(">I4sI", 12, b"free", number)
        (folder / f"clip{number:06}.mp4").write_bytes(clips[number % KINDS] + box)
    os.sync()  # so that what is measured does not wait for this
    return sum(path.stat().st_size for path in folder.iterdir())


def add(folder: Path, home: Path) -> float:
    """Seconds that one `mediajobs add` takes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAJOBS_")}
    start = time.perf_counter()
    subprocess.run(
        [*PROGRAM, "add", folder],
        env=environment | {"MEDIAJOBS_HOME": str(home)},
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def measure(folder: Path, home: Path) -> Round:
    """One round, on a platform of its own."""
    first, second = add(folder, home), add(folder, home)
    with MediaJobs.open(_env_file=None, home=home.with_suffix(".parts")) as media:
        settings, intake = media.settings, Intake(media.history, media.storage)
        candidates = [find for find in Search(intake.storage).find([str(folder)]) if isinstance(find, Candidate)]
        prober, order = Prober.from_settings(settings), Order(media.registry.of_uploads())
        probing, _ = on_threads(lambda each: prober.probe(each, Cancellation()), candidates)
        storing, stored = on_threads(lambda each: intake.store(each, new_id(), new_trace_id()), candidates)
        start = time.perf_counter()
        for at in range(0, len(stored), CHUNK):
            intake.commit(stored[at : at + CHUNK], order)
        registering = time.perf_counter() - start
    shutil.rmtree(home)
    shutil.rmtree(settings.home)
    return Round(first, second, probing, storing, registering)


def on_threads(work: Callable[[Candidate], Result], candidates: list[Candidate]) -> tuple[float, list[Result]]:
    """Seconds, and what the work returned."""
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(work, candidates))
    return time.perf_counter() - start, done


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    files, rounds = (200, 1) if arguments.quick else (arguments.files, arguments.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "footage"
        size = make_folder(folder, files)
        results = [measure(folder, Path(scratch) / f"home{number}") for number in range(rounds)]

    def row(what: str, figures: list[float], note: str = "") -> Row:
        spread = (min(figures), max(figures))
        return Row(what, statistics.median(figures), "s", rounds=rounds, spread=spread, note=note)

    first = [each.first_s for each in results]
    rate = files / statistics.median(first)
    rows = [
        row("added for the first time", first, f"{rate:.0f} files a second; start of the command included"),
        row("added again", [each.second_s for each in results], "nothing is probed or stored; start included"),
        row("of the first: probing alone", [each.probing_s for each in results]),
        row("of the first: storing alone", [each.storing_s for each in results], "copied, synced, renamed"),
        row("of the first: registering alone", [each.registering_s for each in results], "uploads, three jobs each"),
    ]
    print_report(f"{files:,} clips, {size / 2**20:,.0f} MiB, into an empty platform", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
