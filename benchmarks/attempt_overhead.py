"""An attempt beside the bare ffmpeg command it runs, side by side, for every job type.

    python -m benchmarks.attempt_overhead [--quick] [--json FILE]

The source is a generated 1080p H.264 clip with sound. Each round makes one attempt (fetch, probe, plan, ffmpeg, verify,
publish, record; SQLite and a local folder) and runs the very argv of its manifest on the same file, in turn.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.bare import Bench, make_clip
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Upload, new_id

BUDGETS = {EditProxy.name: 1.03, Thumbnail.name: 1.5, AudioEnvelope.name: 1.2}
"""Of attempts that probe their source themselves."""


def measure(bench: Bench, job_type: JobType, upload: Upload, what: str, rounds: int, *, probed: bool) -> Row:
    """Attempts at `upload` beside their bare command; unless `probed`, each on an upload that nobody has probed yet."""
    manifests: list[Manifest] = []

    def ours() -> float:
        subject = upload if probed else bench.history.uploads.add(_as_if_new(upload))
        attempted = bench.attempt(job_type, subject)
        manifests.append(attempted.manifest)
        return attempted.seconds

    ours()  # warms the caches, and says which command is the bare one
    bare = manifests[0]
    pairs = side_by_side(rounds, lambda: bench.bare(upload, bare), ours)
    spent = _median_ms([manifest.time_ledger.to_json() for manifest in manifests[1:]])
    note = ", ".join(f"{name.removesuffix('Ms')} {ms:.0f} ms" for name, ms in spent.items() if name != "queueMs")
    return Row.of_pairs(
        what,
        pairs,
        budget=BUDGETS.get(job_type.name),
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
    with Bench.open() as bench:
        clip = make_clip(bench.folder / "clip.mp4", seconds)
        upload = bench.register(clip, probed=True)
        for job_type in bench.registry.of_uploads():
            times = rounds if not job_type.threads else 3 * rounds
            for probed, how in ((False, "probing its source"), (True, "source probed before")):
                what = f"{job_type.asset} of {seconds} s 1080p, {how}"
                rows.append(measure(bench, job_type, upload, what, times, probed=probed))
    print_report("An attempt beside the bare ffmpeg command", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
