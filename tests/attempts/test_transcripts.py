"""What is said in a file, whole attempts: where the words come from, and what has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import InputNoAudioError
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.transcripts.model import Method, Transcript
from mediajobs_dagster.transcripts.reading import read_transcript
from mediajobs_dagster.transcripts.subtitles import read_captions
from tests.clips import Clips
from tests.platform import Platform
from tests.speeches import SAID, Speeches

NAME = TranscriptJob.name


def made(platform: Platform, path: Path, **params: str) -> tuple[Transcript, dict[str, Any], list[str]]:
    """The transcript of a file, the figures of its job, and the notes."""
    upload = platform.register(path)
    job = TranscriptJob().request(upload, trace_id=upload.trace_id, params=params)
    platform.history.jobs.enqueue([job])
    (ended,) = platform.work()
    assert ended.error is None, ended.error
    keys = platform.current_keys(upload, NAME)
    assert [key.rpartition("/")[2] for key in keys] == ["transcript.json", "transcript.vtt", "transcript.srt"]
    document, vtt, srt = (platform.output(key) for key in keys)
    transcript = read_transcript(document.read_bytes())
    if transcript.sentences:
        assert read_captions(vtt.read_text(), "vtt") == read_captions(srt.read_text(), "srt")
    assert platform.leftovers() == []
    attempt = platform.attempts(upload, NAME)[-1]
    return transcript, (attempt.result or {})["figures"], list(platform.manifest(upload, NAME).notes)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return [word.strip(".,?!").lower() for word in text.split()]


def test_what_is_said_is_recognised(platform: Platform, speeches: Speeches) -> None:
    """Words in sentences, at the times of the video, with how sure each is."""
    transcript, figures, notes = made(platform, speeches.talk())
    right = sum(a == b for a, b in zip(words_of(transcript.text), words_of(SAID), strict=False))
    assert right >= 0.9 * len(words_of(SAID)), transcript.text
    assert (transcript.method, transcript.language, transcript.model) == (Method.SPEECH, "en", "tiny.en")
    first, last = transcript.sentences[0].words[0], transcript.sentences[-1].words[-1]
    assert 1.8 < first.start < 2.8
    assert 12 < last.end < 15.1
    assert len(transcript.sentences) == 4
    assert transcript.confidence is not None
    assert transcript.confidence > 0.7
    assert figures["words"] == len(transcript.text.split())
    assert figures["speechSeconds"] == pytest.approx(12, abs=1)
    assert notes == ["The model tiny.en takes all speech for en: whether it is, is not known."]


def test_a_video_without_sound(platform: Platform, clips: Clips) -> None:
    """There is nothing to make a transcript of, and that is told as a fault of the input."""
    platform.add(clips.no_audio(), NAME)
    (ended,) = platform.work()
    assert isinstance(ended.error, InputNoAudioError)
