"""The documents of a transcript in the scratch folder, and the figures of the job."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.errors import OutputInvalidError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.transcripts.model import Transcript
from mediajobs_dagster.transcripts.reading import TranscriptError, read_transcript
from mediajobs_dagster.transcripts.writing import cues_of, json_of, srt_of, vtt_of

JSON_NAME, VTT_NAME, SRT_NAME = "transcript.json", "transcript.vtt", "transcript.srt"
SOUND = "sound.pcm"
"""The sound in the scratch folder: samples of one channel, 16 kHz, 16 bits."""


def write_documents(bench: Bench, transcript: Transcript, **figures: float) -> None:
    """Write the three documents, and report what they hold. Raises OutputInvalidError."""
    cues = cues_of(transcript.sentences)
    written = json_of(transcript)
    try:
        read_transcript(written)
    except TranscriptError as error:
        raise OutputInvalidError(f"{JSON_NAME} cannot be read back: {error}") from error
    (bench.folder / JSON_NAME).write_bytes(written)
    _write(bench.folder / VTT_NAME, vtt_of(cues))
    # An empty SubRip file has no bytes, which is what a lost one looks like.
    _write(bench.folder / SRT_NAME, srt_of(cues) or "\n")
    bench.report(
        method=transcript.method,
        language=transcript.language,
        model=transcript.model,
        words=sum(len(sentence.words) or len(sentence.text.split()) for sentence in transcript.sentences),
        sentences=len(transcript.sentences),
        confidence=transcript.confidence,
        **figures,
    )


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
