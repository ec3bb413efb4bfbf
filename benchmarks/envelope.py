"""The audio envelope of an hour of sound beside bare ffmpeg decoding the same file, side by side.

    python -m benchmarks.envelope [--quick] [--json FILE]

Each round makes one envelope (a whole attempt: fetch, probe, plan, ffmpeg, verify, publish, record; SQLite and a local
folder) and runs the very argv of its manifest, 48 kHz mono PCM to nowhere, in turn.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.bare import Installation
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.media.tools import find_tools

BUDGET = 1.2
CODECS = {"aac": ("aac", "m4a"), "mp3": ("libmp3lame", "mp3"), "flac": ("flac", "flac"), "pcm": ("pcm_s16le", "wav")}


def make_source(folder: Path, codec: str, seconds: int) -> Path:
    """Pink noise in 44.1 kHz stereo: one encoded minute, repeated by stream copy."""
    encoder, suffix = CODECS[codec]
    minute, whole = folder / f"minute.{suffix}", folder / f"whole.{suffix}"
    noise = "anoisesrc=d=60:c=pink:a=0.3:r=44100,aformat=channel_layouts=stereo"
    start = [find_tools().ffmpeg, "-v", "error", "-y"]
    subprocess.run([*start, "-f", "lavfi", "-i", noise, "-c:a", encoder, minute], check=True)
    subprocess.run([*start, "-stream_loop", "-1", "-i", minute, "-t", str(seconds), "-c", "copy", whole], check=True)
    return whole


def measure(codec: str, seconds: int, rounds: int) -> Row:
    """Envelopes of sound in that codec."""
    with Installation.open() as bench:
        upload = bench.register(make_source(bench.folder, codec, seconds), probed=False)
        bare = bench.attempt(AudioEnvelope(), upload).manifest  # warms the caches, and records the bare command
        before = time.process_time()
        bench.attempt(AudioEnvelope(), upload)
        own_s = time.process_time() - before
        pairs = side_by_side(
            rounds, lambda: bench.bare(upload, bare), lambda: bench.attempt(AudioEnvelope(), upload).seconds
        )
    what = f"{seconds / 60:g} min of {codec}"
    return Row.of_pairs(what, pairs, budget=BUDGET, note=f"{own_s:.2f} s of own CPU time", details={"ownCpuS": own_s})


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--codec", choices=CODECS, action="append", help="one or more (all; aac and pcm if --quick)")
    parser.add_argument("--seconds", type=int, default=None, help="length of the source (3600; 600 if --quick)")
    parser.add_argument("--rounds", type=int, default=None, help="5; 3 if --quick")
    arguments = parser.parse_args()
    codecs = arguments.codec or (["aac", "pcm"] if arguments.quick else list(CODECS))
    seconds = arguments.seconds or (600 if arguments.quick else 3600)
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    rows = [measure(codec, seconds, rounds) for codec in codecs]
    print_report("An audio envelope beside bare decoding", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
