"""Captions of what is said in an upload: its transcript, at the times at which the timeline plays it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import TimelineError
from mediajobs_dagster.intake.export_requests import ExportRequests, Prepared
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.models import Upload
from mediajobs_dagster.timelines.model import Captions
from mediajobs_dagster.transcripts.subtitles import Cue, read_captions
from tests.platform import Platform
from tests.speeches import Speeches

SRT = """1
00:00:00,500 --> 00:00:01,500
The first one.

2
00:00:02,000 --> 00:00:03,000
The second one.

3
00:00:06,000 --> 00:00:07,000
The third one.
"""


def video(speeches: Speeches, folder: Path, text: str = SRT) -> Path:
    """A video of 10 s, with these subtitles inside."""
    (folder / "talk.srt").write_text(text)
    return speeches.made(
        f"talk{abs(hash(text))}.mkv",
        *("-f", "lavfi", "-i", "color=gray:size=320x180:rate=10:duration=10"),
        *("-f", "lavfi", "-i", "anullsrc=sample_rate=16000:channel_layout=mono:duration=10"),
        *("-i", str(folder / "talk.srt"), "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-c:s", "srt"),
    )


@pytest.fixture
def talk(platform: Platform, speeches: Speeches, tmp_path: Path) -> Upload:
    """The video, with its transcript."""
    upload = platform.add(video(speeches, tmp_path), TranscriptJob.name)
    (ended,) = platform.work()
    assert ended.error is None, ended.error
    return platform.history.uploads.get(upload.id)


def prepared(platform: Platform, upload: Upload, *track: dict[str, Any], **more: Any) -> Prepared:
    """A timeline that is checked, with the captions of that upload."""
    document = {"version": "create_video_v1", "track": list(track), "captions": {"transcript": upload.id}} | more
    return ExportRequests(platform.history, platform.storage).prepare(document)


def shown(answer: Prepared) -> list[tuple[float, float, str]]:
    """The cues that the export will have."""
    (layer,) = answer.timeline.layers
    assert isinstance(layer, Captions)
    assert list(answer.texts.captions) == [0]
    cues: tuple[Cue, ...] = read_captions(layer.text, layer.format)
    return [(float(cue.start), float(cue.end), cue.text) for cue in cues]


def test_words_are_shown_when_they_are_heard(platform: Platform, talk: Upload) -> None:
    """Of each clip that plays the upload, whatever its part, place and speed."""
    answer = prepared(
        platform,
        talk,
        {"kind": "clip", "source": talk.id, "in": 1.75, "out": 4},
        {"kind": "gap", "duration": 1},
        {"kind": "clip", "source": talk.id, "in": 0, "out": 8, "speed": 2},
    )
    assert shown(answer) == [
        (0.25, 1.25, "The second one."),
        (3.5, 4.0, "The first one."),
        (4.25, 4.75, "The second one."),
        (6.25, 6.75, "The third one."),
    ]
    assert answer.timeline.captions is None
    assert answer.notes == (f"The captions are of the transcript of {talk.filename} (embedded).",)


def test_a_voice_over_has_captions_too(platform: Platform, talk: Upload) -> None:
    """Narration and video layers are heard; what is muted is not."""
    mute = {"kind": "clip", "source": talk.id, "out": 5, "mute": True}
    answer = prepared(platform, talk, mute, narration=[{"source": talk.id, "start": 1, "in": 1.5, "out": 3}])
    assert shown(answer) == [(1.5, 2.5, "The second one.")]
    layers = [{"kind": "video", "source": talk.id, "in": 5, "out": 8, "start": 2}]
    assert [layer.kind for layer in prepared(platform, talk, mute, layers=layers).timeline.layers] == [
        "video",
        "captions",
    ]


def test_where_nothing_is_said_there_are_no_captions(platform: Platform, talk: Upload) -> None:
    """And a note says so."""
    answer = prepared(platform, talk, {"kind": "clip", "source": talk.id, "in": 8, "out": 10})
    assert answer.timeline.layers == ()
    assert answer.notes == (f"Nothing is said in what is heard of {talk.filename}: there are no captions.",)


def test_captions_that_cannot_be(platform: Platform, talk: Upload, speeches: Speeches, tmp_path: Path) -> None:
    """No transcript, nothing heard, no such upload, no such field: each is told with its place."""
    other = platform.add(video(speeches, tmp_path, SRT.replace("one", "two")), "upload_thumb_v1")
    platform.work()
    clip = {"kind": "clip", "source": other.id}
    with pytest.raises(TimelineError, match=r"\$\.captions: upload .* has no transcript.*--type transcript_v1"):
        prepared(platform, other, clip)
    with pytest.raises(TimelineError, match=r"\$\.captions: nothing of .* is heard"):
        prepared(platform, talk, clip)
    with pytest.raises(TimelineError, match=r"\$\.captions\.transcript: No upload has"):
        prepared(platform, talk, clip, captions={"transcript": "nobody.mp4"})
    with pytest.raises(TimelineError, match=r"\$\.captions\.transcript: is missing"):
        prepared(platform, talk, clip, captions={})


def test_a_new_transcript_makes_a_new_export(platform: Platform, talk: Upload) -> None:
    """What it says is part of what the export is made of; the same words are the same export."""
    exports = ExportRequests(platform.history, platform.storage)
    clip = {"kind": "clip", "source": talk.id, "out": 4}
    first = exports.request(prepared(platform, talk, clip))
    assert not exports.request(prepared(platform, talk, clip)).created
    again = TranscriptJob().request(talk, trace_id=talk.trace_id, params={"method": "speech"})
    platform.history.jobs.enqueue([again])
    platform.history.jobs.cancel(first.job.id)
    (ended,) = platform.work()
    assert ended.error is None, ended.error
    second = exports.request(prepared(platform, talk, clip))
    assert second.created
    assert second.job.subject_id != first.job.subject_id


def test_an_export_with_captions_is_rendered(platform: Platform, talk: Upload) -> None:
    """As any other, and nothing of it depends on the transcript any more."""
    exports = ExportRequests(platform.history, platform.storage)
    clip = {"kind": "clip", "source": talk.id, "in": 1.75, "out": 3}
    exports.request(prepared(platform, talk, clip))
    for key in platform.current_keys(talk, TranscriptJob.name):
        platform.storage.delete(key)
    rendered, *_ = platform.work()
    assert rendered.error is None, rendered.error
    assert Fraction(rendered.manifest.outputs[0].media_info.duration_seconds) == pytest.approx(1.25, abs=0.1)  # pyright: ignore
