"""An attempt beside the bare ffmpeg command it runs, side by side, for every job type that runs one on an upload.

    python -m benchmarks.attempt_overhead [--quick] [--json FILE]

The source is a generated 1080p H.264 clip with sound. Each round makes one attempt (claim, fetch, probe, plan, ffmpeg,
verify, publish, record; SQLite and a local folder) and runs the very argv of its manifest on the same file, in turn.
The worker has made attempts before; the first attempt of a process has a row of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bare import Installation, make_clip
from benchmarks.report import Pairs, Row, options, print_report, side_by_side
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Upload, new_id

BUDGETS = {EditProxy.name: 1.03, Thumbnail.name: 1.5, AudioEnvelope.name: 1.2}
"""Budgets for attempts that probe their source."""


@dataclass(frozen=True)
class Measured:
    """Measures attempts at `upload` beside their bare command."""

    bench: Installation
    job_type: JobType
    upload: Upload
    probed: bool
    """Whether the upload is probed before the attempt."""
    worker: Worker | None
    """None: each is the first of a new worker."""

    def row(self, what: str, rounds: int, budget: float | None) -> Row:
        """Measure `rounds` pairs."""
        manifests: list[Manifest] = []

        def ours() -> float:
            subject = self.upload if self.probed else self.bench.history.uploads.add(_as_if_new(self.upload))
            attempted = self.bench.attempt(self.job_type, subject, self.worker)
            manifests.append(attempted.manifest)
            return attempted.seconds

        ours()  # warms the caches, and records the bare command
        bare = manifests[0]
        pairs = side_by_side(rounds, lambda: self.bench.bare(self.upload, bare), ours)
        return _row_of(what, pairs, manifests[1:], budget)


def _row_of(what: str, pairs: Pairs, manifests: list[Manifest], budget: float | None) -> Row:
    spent = _median_ms([manifest.time_ledger.to_json() for manifest in manifests])
    note = ", ".join(f"{name.removesuffix('Ms')} {ms:.0f} ms" for name, ms in spent.items() if name != "queueMs")
    return Row.of_pairs(
        what,
        pairs,
        budget=budget,
        note=note,
        details={"ledgerMs": spent},
    )


def _as_if_new(upload: Upload) -> Upload:
    return upload.model_copy(update={"id": new_id(), "media_info": None})


def _median_ms(ledgers: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(ledger[name] for ledger in ledgers) for name in ledgers[0]}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=int, default=None, help="length of the source (60; 10 if --quick)")
    parser.add_argument("--rounds", type=int, default=None, help="of the proxy (5; 2 if --quick); others take thrice")
    arguments = parser.parse_args()
    seconds = arguments.seconds or (10 if arguments.quick else 60)
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    rows: list[Row] = []
    with Installation.open() as bench, bench.media.worker() as warm:
        clip = make_clip(bench.folder / "clip.mp4", seconds)
        upload = bench.register(clip, probed=True)
        for job_type in map(bench.registry.__getitem__, BUDGETS):
            times = rounds if not job_type.threads else 3 * rounds
            for probed, worker, how in (
                (False, warm, "probing its source"),
                (True, warm, "source probed before"),
                (False, None, "probing its source, first of a process"),
            ):
                budget = BUDGETS.get(job_type.name) if worker else None
                what = f"{job_type.asset} of {seconds} s 1080p, {how}"
                rows.append(Measured(bench, job_type, upload, probed, worker).row(what, times, budget))
    print_report("An attempt beside the bare ffmpeg command", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
