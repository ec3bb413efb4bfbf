"""What is said in a file, whole attempts: where the words come from, and what has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.console.pages.results import result_of
from mediajobs_dagster.errors import (
    InputNoAudioError,
    InputUnsupportedError,
    JobSettingsError,
    MediaJobsError,
    StorageMissingError,
)
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.job_types.transcript.current import current_transcript
from mediajobs_dagster.models import MediaInfo, Upload, new_id
from mediajobs_dagster.transcripts.model import Method, Transcript
from mediajobs_dagster.transcripts.reading import read_transcript
from mediajobs_dagster.transcripts.subtitles import read_captions
from tests.clips import Clips
from tests.platform import Platform
from tests.speeches import SAID, Speeches

NAME = TranscriptJob.name

SRT = """1
00:00:00,500 --> 00:00:01,500
<i>Good morning,</i>
everybody. We

2
00:00:01,500 --> 00:00:02,500
begin with apples.

3
00:00:02,600 --> 00:00:02,900
[Applause]
"""
PICTURE = ("-f", "lavfi", "-i", "color=gray:size=320x180:rate=10:duration=3")
SINE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3")
CODECS = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")


@pytest.fixture
def platform(open_platform: Callable[..., Platform]) -> Platform:
    """A platform whose recogniser takes one thread: others would wait for cores that other tests have."""
    return open_platform(speech_threads=1)


def ended(platform: Platform, path: Path, **params: str) -> MediaJobsError | None:
    """How the job on a file ended."""
    upload = platform.register(path)
    job = TranscriptJob().request(upload, trace_id=upload.trace_id, params=params)
    platform.history.jobs.enqueue([job])
    (attempt,) = platform.work()
    assert platform.leftovers() == []
    return attempt.error


def made(platform: Platform, path: Path, **params: str) -> tuple[Transcript, dict[str, Any], list[str]]:
    """The transcript of a file, the figures of its job, and the notes."""
    assert ended(platform, path, **params) is None
    upload = platform.register(path)
    keys = platform.current_keys(upload, NAME)
    assert [key.rpartition("/")[2] for key in keys] == ["transcript.json", "transcript.vtt", "transcript.srt"]
    document, vtt, srt = (platform.output(key) for key in keys)
    transcript = read_transcript(document.read_bytes())
    assert vtt.read_text().startswith("WEBVTT\n")
    if transcript.sentences:
        assert read_captions(vtt.read_text(), "vtt") == read_captions(srt.read_text(), "srt")
    manifest = platform.manifest(upload, NAME)
    return transcript, dict(manifest.figures), list(manifest.notes)


def probed(platform: Platform, path: Path) -> MediaInfo:
    """What is known of a file since its job."""
    info = platform.history.uploads.get(platform.register(path).id).media_info
    assert info is not None
    return info


def subtitled(speeches: Speeches, folder: Path, name: str, codec: str, text: str = SRT, *more: str) -> Path:
    """A video of 3 s, with subtitles in that codec and a tone that nobody speaks."""
    written = folder / f"{name}.srt"
    written.write_text(text)
    subtitles = ("-i", str(written), "-c:s", codec, "-metadata:s:s:0", "language=eng", *more)
    return speeches.made(name, *PICTURE, *SINE, *subtitles, *CODECS)


def fetched_with(platform: Platform, path: Path, key: str) -> Upload:
    """An upload that came with the subtitles under a key."""
    listed = [{"language": "en-orig", "isAutomatic": True, "key": key}]
    details = {"language": "en", "subtitles": listed}
    found = platform.register(path)
    return platform.history.uploads.add(found.model_copy(update={"id": new_id(), "origin": "x", "details": details}))


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
    assert notes == ["The model tiny.en knows en alone, so it cannot tell if another language is spoken."]


@pytest.mark.parametrize(
    ("name", "codec"), [("mov_text.mp4", "mov_text"), ("subrip.mkv", "srt"), ("ass.mkv", "ass"), ("vtt.mkv", "webvtt")]
)
def test_subtitles_inside_of_the_file(
    platform: Platform, speeches: Speeches, tmp_path: Path, name: str, codec: str
) -> None:
    """They are taken before anything is listened to: in sentences, without tags, and without what tells of sounds."""
    path = subtitled(speeches, tmp_path, name, codec)
    transcript, figures, _ = made(platform, path)
    assert [sentence.text for sentence in transcript.sentences] == [
        "Good morning, everybody.",
        "We begin with apples.",
    ]
    assert (transcript.method, transcript.language, transcript.model) == (Method.EMBEDDED, "en", None)
    first, second = transcript.sentences
    assert first.start == pytest.approx(0.5, abs=0.05)
    assert 1.2 < second.start < 1.5
    assert second.end == pytest.approx(2.5, abs=0.05)
    assert (figures["method"], figures["words"], figures["confidence"]) == ("embedded", 7, None)
    (track,) = probed(platform, path).subtitles
    assert track.is_text
    assert track.language == "eng"


def test_subtitles_in_another_language_are_left_alone(platform: Platform, speeches: Speeches, tmp_path: Path) -> None:
    """Where one is asked for; and a tone has no words."""
    path = subtitled(speeches, tmp_path, "german.mkv", "srt", SRT, "-metadata:s:s:0", "language=ger")
    assert made(platform, path)[0].language == "de"
    transcript, figures, notes = made(platform, path, language="en")
    assert (transcript.method, transcript.sentences, transcript.confidence) == (Method.SPEECH, (), None)
    assert figures["speechSeconds"] == 0
    assert notes == ["Nobody speaks in it, as far as can be heard."]


def test_subtitles_that_came_with_it(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What its site had, in the language that is spoken."""
    key, file = "ingested/1/subtitles.en.vtt", tmp_path / "subtitles.vtt"
    file.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nHello there.\n\n00:59.000 --> 01:00.000\nToo late.\n")
    platform.storage.put(file, key, content_type="text/vtt")
    upload = fetched_with(platform, clips.landscape(), key)
    job = TranscriptJob().request(upload, trace_id=upload.trace_id)
    platform.history.jobs.enqueue([job])
    (attempt,) = platform.work()
    assert attempt.error is None, attempt.error
    transcript = current_transcript(platform.history, platform.storage, upload.id)
    assert transcript is not None
    assert (transcript.method, transcript.language, transcript.text) == (Method.SUBTITLES, "en", "Hello there.")
    assert [each.argv[0] for each in platform.manifest(upload, NAME).ffmpeg_commands] == ["ffprobe"]


@pytest.mark.parametrize("content", ["WEBVTT\n\nnothing\n", None], ids=["broken", "gone"])
def test_subtitles_that_came_with_it_are_of_no_use(
    platform: Platform, clips: Clips, tmp_path: Path, content: str | None
) -> None:
    """Then the sound is listened to, and a note says why; who asks for subtitles alone is told so."""
    key, file = "ingested/1/subtitles.en.vtt", tmp_path / "subtitles.vtt"
    if content is not None:
        file.write_text(content)
        platform.storage.put(file, key, content_type="text/vtt")
    upload = fetched_with(platform, clips.landscape(), key)
    outcomes = {}
    for method in (None, "subtitles"):
        params = {} if method is None else {"method": method}
        job = TranscriptJob().request(upload, trace_id=upload.trace_id, params=params)
        platform.history.jobs.enqueue([job])
        (attempt,) = platform.work()
        outcomes[method] = attempt.error
        if method is None:
            assert "So its sound was listened to." in platform.manifest(upload, NAME).notes[0]
    transcript = current_transcript(platform.history, platform.storage, upload.id)
    assert outcomes[None] is None
    assert transcript is not None
    assert transcript.method is Method.SPEECH
    assert isinstance(outcomes["subtitles"], InputUnsupportedError if content else StorageMissingError)


def test_subtitles_that_say_nothing_are_none(platform: Platform, speeches: Speeches, tmp_path: Path) -> None:
    """Then the sound is listened to. Without sound, nothing is said."""
    empty = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8} \n"
    path = subtitled(speeches, tmp_path, "empty.mkv", "srt", empty)
    assert made(platform, path)[0].method is Method.SPEECH


def test_a_video_without_sound(platform: Platform, clips: Clips) -> None:
    """There is nothing to make a transcript of, and that is told as a fault of the input."""
    assert isinstance(ended(platform, clips.no_audio()), InputNoAudioError)


def test_a_method_that_leads_nowhere(platform: Platform, clips: Clips) -> None:
    """Who asks for subtitles is told that there are none."""
    error = ended(platform, clips.landscape(), method="embedded", language="en")
    assert isinstance(error, InputNoAudioError)
    assert str(error).startswith("There are no subtitles in en inside of the file.")


def test_a_language_that_the_model_does_not_know(platform: Platform, clips: Clips) -> None:
    """It is said before anything is made up."""
    error = ended(platform, clips.landscape(), language="de-AT")
    assert isinstance(error, JobSettingsError)
    assert "knows only en" in str(error)


def test_speech_in_another_language_is_not_made_up(platform: Platform, speeches: Speeches) -> None:
    """What the model does not understand has no words, and a note says how much that is."""
    german = "Die Bauern brachten Äpfel und Pflaumen auf den Markt. Was sollen wir mit all dem Obst machen?"
    transcript, figures, notes = made(platform, speeches.spoken(german, voice="de", name="german.wav"))
    assert transcript.sentences == ()
    assert figures["unsureSeconds"] > 4
    assert "sound like speech that the model does not understand" in notes[0]


@pytest.mark.parametrize(
    "graph",
    [
        "anullsrc=sample_rate=16000:channel_layout=mono:duration=300",
        "anoisesrc=amplitude=0.2:color=pink:duration=60:seed=1",
        "aevalsrc='0.2*sin(2*PI*220*t)*gt(sin(9*t),0)+0.2*sin(2*PI*277*t)*gt(sin(6*t),0)+0.2*sin(2*PI*330*t):d=60'",
    ],
    ids=["silence", "noise", "music"],
)
def test_what_is_no_speech_has_no_words(platform: Platform, speeches: Speeches, graph: str) -> None:
    """Models make up words for it, so they are not asked."""
    path = speeches.made(f"{graph[:6]}.flac", "-f", "lavfi", "-i", graph)
    transcript, figures, _ = made(platform, path)
    assert transcript.sentences == ()
    assert figures["speechSeconds"] == 0


def test_an_attempts_page_shows_what_is_said(platform: Platform, speeches: Speeches, tmp_path: Path) -> None:
    """As text, as far as it is short; the rest is behind a link."""
    long = "".join(f"{n}\n00:00:01,000 --> 00:00:02,{n:03}\nThis is line {n} of many.\n\n" for n in range(1, 200))
    path = subtitled(speeches, tmp_path, "long.mkv", "srt", long)
    made(platform, path)
    attempt = platform.attempts(platform.register(path), NAME)[-1]
    shown = {each.name: each for each in result_of(platform.media, platform.media.attempt(attempt.id)).shown}
    assert shown["transcript.srt"].text.startswith("1\n00:00:01,000 --> ")
    assert shown["transcript.srt"].text.endswith("\n…")
    assert len(shown["transcript.srt"].text) < 5000
    assert (shown["transcript.json"].kind, shown["transcript.json"].text) == ("file", "")
