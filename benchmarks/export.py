"""A timeline's export beside bare ffmpeg, beside the same edit pass by pass, and beside `melt`; ranges and memory.

    python -m benchmarks.export [--quick] [--json FILE] [--only attempt,passes,melt,range,memory] [--rounds N]

The edit: 28 s of 1080p out of four recordings with cuts and dissolves, picture in picture, a title and ducked music, at
the standard profile (x264 veryfast, CRF 20; AAC 128k). `melt` is looked for on PATH.

- attempt: the whole attempt (fetch, sound beforehand, render, verify, publish, record) beside its own two ffmpeg
  commands on the same files
- passes: beside a pass for the parts, their joints, the inset, the title and the sound; SSIM of both against the
  export's own graph rendered without loss
- melt: beside MLT with two frames at a time, at the same encoder settings: cuts and dissolves, then inset and title too
- range: two seconds out of a two-hour file on an S3 server (rclone)
- memory: 50 clips of 50 files
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.bare import Attempted, Installation
from benchmarks.export_edit import Edit, of_many, the_edit
from benchmarks.export_melt import Melt
from benchmarks.export_passes import Passes
from benchmarks.export_sources import FPS, footage, many, two_hours
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.attempts.machine import ThisMachine
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.intake.export_requests import Prepared
from mediajobs_dagster.job_types.material import Material, Source
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.system import MediaJobs
from tests.job_types.planning import make_calls, planned
from tests.servers.s3 import running_s3

EXPORT = VideoExport()
SHARE_READ = 0.03
MEMORY_MB = 1536


@dataclass(frozen=True)
class Footage:
    """The recordings, as files and as uploads."""

    bench: Installation
    files: Mapping[str, Path]

    @cached_property
    def uploads(self) -> dict[str, str]:
        """The uploads' ids by name."""
        return {name: self.bench.register(path, probed=True).id for name, path in self.files.items()}

    def export(self, document: JsonObject) -> Exported:
        """Request an export and make the attempt at it."""
        prepared = self.bench.media.prepare_export(document)
        requested = self.bench.media.export(prepared, force=True)
        return Exported(self.bench, prepared, requested.job.id, self.bench.work_next(EXPORT))


@dataclass(frozen=True)
class Exported:
    """An attempt at an export, with everything needed to run its commands again."""

    bench: Installation
    prepared: Prepared
    job_id: str
    attempted: Attempted

    @property
    def manifest(self) -> Manifest:
        """The attempt's record."""
        return self.attempted.manifest

    @property
    def video(self) -> Path:
        """The export."""
        path = self.bench.storage.local_path(self.manifest.outputs[0].key)
        assert path is not None
        return path

    @property
    def renders(self) -> list[tuple[str, ...]]:
        """The commands that make it: the pass over the sound, then the render."""
        return [each.argv for each in self.manifest.ffmpeg_commands if "-filter_complex" in each.argv]

    def lay_out(self, folder: Path) -> Path:
        """Put everything that the commands read into `folder`, as in the attempt's folder."""
        folder.mkdir()
        for name, key in self.manifest.files.items():
            path = self.bench.storage.local_path(key)
            if name.startswith("source_") and path:
                (folder / name).symlink_to(path)
        sources = {
            name: Source(upload, upload.media_info, f"source_{number}")
            for number, (name, upload) in enumerate(self.prepared.uploads.items())
            if upload.media_info
        }
        job = self.bench.history.jobs.get(self.job_id)
        timeline = self.bench.history.timelines.get(job.subject_id)
        machine = ThisMachine(lambda: Runner.from_settings(self.bench.settings))
        plan = planned(EXPORT, Material(job, timeline, sources), EXPORT.parse({}), machine)
        make_calls(plan, folder)
        return folder

    def bare(self, folder: Path) -> float:
        """Run its commands again in a folder made by `lay_out`; returns the seconds it takes."""
        start = time.perf_counter()
        for argv in self.renders:
            _run(argv, folder)
        return time.perf_counter() - start


def _run(argv: tuple[str, ...], folder: Path) -> None:
    program = find_tools().ffmpeg
    subprocess.run([program, *argv[1:]], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)


# --- beside its own commands -----------------------------------------------------------------------------------------


def beside_bare(taken: Footage, edit: Edit, rounds: int) -> list[Row]:
    """The attempt beside its own commands, and where its time goes."""
    document = edit.document(taken.uploads)
    first = taken.export(document)
    folder = first.lay_out(taken.bench.folder / "bare")
    manifests: list[Manifest] = []

    def ours() -> float:
        made = taken.export(document)
        manifests.append(made.manifest)
        return made.attempted.seconds

    pairs = side_by_side(rounds, lambda: first.bare(folder), ours)
    seconds = edit.frames / FPS
    ledgers = [manifest.time_ledger.to_json() for manifest in manifests]
    note = ", ".join(
        f"{name.removesuffix('Ms')} {statistics.median(ledger[name] for ledger in ledgers):.0f} ms"
        for name in ("downloadMs", "probeMs", "ffmpegMs", "verifyMs", "uploadMs", "otherMs")
    )
    whole = statistics.median(pairs.ours_s)
    return [
        Row.of_pairs(f"export of {seconds:.0f} s, beside its own commands", pairs, budget=1.03, note=note),
        _beside_render_alone(manifests),
        _share("of it, going through the sound first", manifests, lambda each: _command_ms(each, "-filter_complex", 0)),
        _share("of it, verification", manifests, lambda each: each.time_ledger.verify_ms),
        _share("of it, everything but ffmpeg and verification", manifests, _rest_ms),
        Row("seconds of export a second", seconds / whole, rounds=rounds),
    ]


def _beside_render_alone(manifests: list[Manifest]) -> Row:
    """The attempt beside its render command alone, so that the pass over the sound counts as overhead."""
    ratios = [each.duration_ms / _command_ms(each, "-crf", 0) for each in manifests]
    spread = (min(ratios), max(ratios))
    what = "the same beside the render alone"
    return Row(what, statistics.median(ratios), budget=1.03, rounds=len(ratios), spread=spread)


def _share(what: str, manifests: list[Manifest], ms: Callable[[Manifest], float]) -> Row:
    shares = [100 * ms(manifest) / manifest.duration_ms for manifest in manifests]
    note = f"{statistics.median(ms(manifest) for manifest in manifests):.0f} ms"
    spread = (min(shares), max(shares))
    return Row(what, statistics.median(shares), "%", rounds=len(shares), spread=spread, note=note)


def _command_ms(manifest: Manifest, option: str, number: int) -> float:
    return [each for each in manifest.ffmpeg_commands if option in each.argv][number].duration_ms


def _rest_ms(manifest: Manifest) -> float:
    ledger = manifest.time_ledger
    return manifest.duration_ms - ledger.ffmpeg_ms - ledger.verify_ms


# --- beside the same edit pass by pass -------------------------------------------------------------------------------


def beside_passes(taken: Footage, edit: Edit, rounds: int) -> list[Row]:
    """How much faster than pass by pass, and which picture is closer to the lossless one."""
    document = edit.document(taken.uploads)
    folder = taken.bench.folder / "passes"
    folder.mkdir()
    passes = Passes(edit, taken.files, folder)
    made: list[Exported] = []

    def ours() -> float:
        made.append(taken.export(document))
        return made[-1].attempted.seconds

    pairs = side_by_side(rounds, passes.make, ours)
    exported = made[-1]
    lossless = _without_loss(exported, exported.lay_out(taken.bench.folder / "lossless"))
    here, there = _ssim(exported.video, lossless), _ssim(folder / "passes.mp4", lossless)
    sizes = f"{_mb(exported.video):.1f} MB, pass by pass {_mb(folder / 'passes.mp4'):.1f} MB"
    return [
        Row.of_pairs("as fast as pass by pass", pairs, budget=2.5, throughput=True),
        Row("SSIM, beside that of pass by pass", here, "", budget=there, at_least=True, note=sizes),
    ]


def _without_loss(exported: Exported, folder: Path) -> Path:
    """The graph of the export, encoded without loss."""
    (argv,) = [argv for argv in exported.renders if "-crf" in argv]
    at = argv.index("-crf")
    _run((*argv[:at], "-qp", "0", *argv[at + 2 :]), folder)
    return folder / "video.mp4"


def _ssim(video: Path, reference: Path) -> float:
    graph = "[0:v]setpts=N/TB/30[a];[1:v]setpts=N/TB/30[b];[a][b]ssim"
    command = [find_tools().ffmpeg, "-hide_banner", "-nostdin", "-i", video, "-i", reference, "-lavfi", graph]
    done = subprocess.run([*command, "-f", "null", "-"], check=True, capture_output=True, text=True)
    found = re.search(r"SSIM .*All:([\d.]+)", done.stderr)
    assert found, done.stderr
    return float(found[1])


def _mb(path: Path) -> float:
    return path.stat().st_size / 1e6


# --- beside melt -----------------------------------------------------------------------------------------------------


def beside_melt(taken: Footage, edit: Edit, rounds: int) -> list[Row]:
    """How much faster than MLT, for the base track alone and with inset and title."""
    kinds = {
        "as fast as melt, cuts and dissolves": edit.cuts_and_dissolves(),
        "as fast as melt, inset and title too": edit.without_music(),
    }
    program = Melt.find()
    if program is None:
        return [Row(what, 0.0, rounds=0, note="melt is not on PATH (Debian: apt-get install melt)") for what in kinds]
    rows: list[Row] = []
    for number, (what, cut) in enumerate(kinds.items()):
        folder = taken.bench.folder / f"melt{number}"
        folder.mkdir()
        melt = Melt(program, cut, taken.files, folder)
        document = cut.document(taken.uploads, loudness=False)
        made: list[Exported] = []

        def ours(document: JsonObject = document, made: list[Exported] = made) -> float:
            made.append(taken.export(document))
            return made[-1].attempted.seconds

        pairs = side_by_side(rounds, lambda melt=melt: melt.make("melt.mp4"), ours)
        alike = _ssim(folder / "melt.mp4", made[-1].video)
        note = f"SSIM of both {alike:.3f}, {_mb(made[-1].video):.1f} MB, melt {_mb(folder / 'melt.mp4'):.1f} MB"
        rows.append(Row.of_pairs(what, pairs, budget=1.0, throughput=True, note=note))
    return rows


# --- ranges and memory -----------------------------------------------------------------------------------------------


def of_two_hours(rounds: int) -> list[Row]:
    """Two seconds out of two hours on S3."""
    with _on_s3() as bench:
        upload = bench.register(two_hours(bench.folder), probed=True)
        clip = {"kind": "clip", "source": upload.id, "in": 4000.5, "out": 4002.5}
        taken = Footage(bench, {})
        made = [taken.export({"version": "create_video_v1", "track": [clip]}) for _ in range(rounds)]
    shares = [_bytes_read(each.manifest) / upload.bytes for each in made]
    seconds = [each.attempted.seconds for each in made]
    read = f"{statistics.median(shares) * upload.bytes / 1e6:.1f} of {upload.bytes / 1e6:.0f} MB"
    return [
        Row(
            "read of a two-hour file for two seconds",
            100 * statistics.median(shares),
            "%",
            budget=100 * SHARE_READ,
            rounds=rounds,
            ours_s=statistics.median(seconds),
            spread=(100 * min(shares), 100 * max(shares)),
            note=read,
        )
    ]


def _bytes_read(manifest: Manifest) -> int:
    return sum(each.bytes for each in manifest.s3_ops if each.op == "range_read")


@contextmanager
def _on_s3() -> Generator[Installation]:
    with tempfile.TemporaryDirectory() as name, running_s3(Path(name)) as server:
        settings = server.settings(server.make_bucket(), Path(name) / "home")
        with MediaJobs(settings) as media:
            yield Installation(Path(name), media)


def of_fifty(bench: Installation, frames: int) -> list[Row]:
    """The memory of a render that opens 50 files."""
    files = {path.stem: path for path in many(bench.folder, 50)}
    taken = Footage(bench, files)
    edit = of_many(list(files), frames)
    exported = taken.export(edit.document(taken.uploads))
    peak = exported.manifest.metrics.mem_rss_mb_max
    note = f"{edit.frames / FPS:.0f} s of export"
    return [
        Row("memory, 50 clips of 50 files", peak, "MB", budget=MEMORY_MB, ours_s=exported.attempted.seconds, note=note)
    ]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    kinds = ("attempt", "passes", "melt", "range", "memory")
    parser.add_argument("--only", default=",".join(kinds), help=f"some of {', '.join(kinds)}")
    parser.add_argument("--rounds", type=int, default=None, help="5; 1 if --quick")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    wanted = arguments.only.split(",")
    edit = the_edit(0.2 if arguments.quick else 1)
    rows: list[Row] = []
    with Installation.open() as bench:
        if {"attempt", "passes", "melt"} & set(wanted):
            taken = Footage(bench, footage(bench.folder, 5 if arguments.quick else 20))
            measures = {"attempt": beside_bare, "passes": beside_passes, "melt": beside_melt}
            for name, measure in measures.items():
                if name in wanted:
                    rows += measure(taken, edit, rounds)
        if "memory" in wanted:
            rows += of_fifty(bench, 10 if arguments.quick else 30)
    if "range" in wanted:
        rows += of_two_hours(rounds)
    print_report("Exports", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
