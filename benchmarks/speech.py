"""How well and how fast speech is recognised, by the default model.

    python -m benchmarks.speech [--quick] [--json FILE]

A text of ours is read aloud by eSpeak NG, at 150 words a minute, which takes ten minutes. The word error rate is
the number of words that have to be changed, put in or taken out of what was recognised to get the text, as a share of
the words of the text. It is counted without capitals and punctuation. The whole attempt is timed, by the real-time
factor: seconds of sound in a second. `--quick` reads the first tenth.
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row, options, print_report
from mediajobs_dagster import MediaJobs
from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.job_types.transcript.current import current_transcript
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.media.voice import speak
from mediajobs_dagster.speech.models import find_model
from mediajobs_dagster.speech.recogniser import recogniser
from mediajobs_dagster.transcripts.model import Transcript

READING = Path(__file__).parent / "reading.txt"
_SILENT_MINUTES = 60


def spoken(text: str, folder: Path) -> Path:
    """The text, read aloud, as a file of sound."""
    path = folder / "reading.wav"
    speak(text, path, words_a_minute=122)
    return path


def silence(folder: Path) -> Path:
    """An hour in which nobody speaks."""
    path = folder / "silence.flac"
    graph = f"anullsrc=sample_rate=16000:channel_layout=mono:duration={_SILENT_MINUTES * 60}"
    command = [str(find_tools().ffmpeg), "-nostdin", "-v", "error", "-f", "lavfi", "-i", graph, str(path)]
    subprocess.run(command, check=True)
    return path


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def errors_between(wanted: Sequence[str], found: Sequence[str]) -> int:
    """The Levenshtein distance of two lists of words."""
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, start=1):
        before, row[0] = row[0], number
        for place, other in enumerate(found, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def transcribed(media: MediaJobs, path: Path) -> tuple[Transcript, float]:
    """The transcript of a file, and the seconds that the attempt took."""
    added = media.add(path, types=[TranscriptJob.name])
    begin = time.perf_counter()
    with media.worker() as worker:
        dispatch = worker.history.leases.assign(TranscriptJob.name, limit=1, lease_s=300)
        assert dispatch is not None
        work_off(worker, TranscriptJob(), dispatch.id, run_id="benchmark", listeners=Listeners())
    seconds = time.perf_counter() - begin
    transcript = current_transcript(media.history, media.storage, added.uploads[0].upload.id)
    assert transcript is not None, "the job has failed"
    return transcript, seconds


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__).parse_args()
    text = READING.read_text()
    if arguments.quick:
        text = text[: len(text) // 10].rpartition(".")[0] + "."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        recogniser(find_model("tiny.en"), 0)  # the attempts use the same one
        loading = time.perf_counter() - begin
        with MediaJobs.open(_env_file=None, home=folder / "home", scratch_reserve_mb=1) as media:
            transcript, seconds = transcribed(media, spoken(text, folder))
            quiet, quiet_seconds = transcribed(media, silence(folder))
    wanted, found = words_of(text), words_of(transcript.text)
    errors = errors_between(wanted, found)
    length = transcript.duration_seconds
    rows = [
        Row(f"word error rate, {len(wanted)} words in {length / 60:.1f} min", 100 * errors / len(wanted), unit="%"),
        Row("real-time factor of the attempt", length / seconds, unit="x real time", at_least=True),
        Row(f"real-time factor of {_SILENT_MINUTES} min of silence", quiet.duration_seconds / quiet_seconds, unit="x"),
        Row("loading the model", loading * 1000, unit="ms"),
        Row("peak memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, unit="MB"),
    ]
    print_report("Speech recognition by tiny.en", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
