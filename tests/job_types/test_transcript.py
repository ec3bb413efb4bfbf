"""The plan of a transcript, from saved probes: where the words come from, in which order, and by which commands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import InputNoAudioError, InputUnsupportedError, JobSettingsError, ParametersError
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Call, Left, Plan, Run
from mediajobs_dagster.job_types.transcript import TranscriptJob
from mediajobs_dagster.job_types.transcript.subtitles import EMBEDDED, chosen_stream, stored_subtitles, tag_of
from mediajobs_dagster.models import MediaInfo, SubtitleStream, Upload
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.speech.models import find_model
from mediajobs_dagster.speech.recogniser import recogniser
from tests.job_types.sources import UPLOAD_ID, saved, source, upload, variant

MIXED = "aresample=async=1:min_hard_comp=0.02:out_sample_rate=16000:out_chlayout=mono:out_sample_fmt=s16"
CUE = "WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n"


def plan(info: MediaInfo, of: Upload | None = None, **params: Any) -> Plan:
    """The plan of a transcript of that media."""
    return TranscriptJob().plan_upload(Source(of, info) if of else source(info), TranscriptJob().parse(params))


def track(index: int, codec: str = "subrip", language: str | None = None, **more: bool) -> SubtitleStream:
    """A track of subtitles."""
    return SubtitleStream(index=index, codec=codec, language=language, **more)


def fetched(*subtitles: tuple[str, str, bool], language: str | None = None) -> Upload:
    """An upload with these subtitles: language, key, and whether the site made them itself."""
    listed = [{"language": tag, "key": key, "isAutomatic": own} for tag, key, own in subtitles]
    return upload(details={"language": language, "subtitles": listed})


def test_sound_is_listened_to() -> None:
    """As ffmpeg writes it for the model: 16 kHz, one channel. Then the model has it."""
    made = plan(saved("bigbuckbunny"))
    listen, recognise = made.steps
    assert isinstance(listen, Run)
    assert isinstance(recognise, Call)
    assert recognise.stage == "recognise"
    (output,) = listen.command.outputs
    assert shlex.join(output.options) == f"-map 0:1 -vn -af {MIXED} -c:a pcm_s16le -f s16le"
    assert [each.key for each in made.outputs] == [
        f"transcripts/uploads/{UPLOAD_ID}/transcript.{suffix}" for suffix in ("json", "vtt", "srt")
    ]
    assert made.scratch_bytes is not None


def test_an_hour_of_sound_needs_that_much_room() -> None:
    """32,000 bytes a second, beside the source."""
    sound = saved("bigbuckbunny").audio[0].model_copy(update={"duration_seconds": 3600.0})
    made = plan(variant("bigbuckbunny", audio=(sound,), bytes=10_000_000))
    assert made.scratch_bytes is not None
    assert 125_000_000 < made.scratch_bytes < 140_000_000


def test_subtitles_inside_come_first(tmp_path: Path) -> None:
    """Where they turn out to say nothing, the sound is listened to."""
    (step,) = plan(variant("bigbuckbunny", subtitles=(track(2, language="eng"),))).steps
    assert isinstance(step, Run)
    assert shlex.join(step.command.outputs[0].options) == "-map 0:2 -c:s webvtt -f webvtt"
    assert step.then is not None
    (tmp_path / EMBEDDED).write_text(CUE)
    assert [each.stage for each in step.then(Left(tmp_path))] == ["subtitles"]
    (tmp_path / EMBEDDED).write_text("WEBVTT\n\n")
    assert isinstance(step.then(Left(tmp_path))[-1], Call)
    (tmp_path / EMBEDDED).unlink()
    assert len(step.then(Left(tmp_path))) == 2


def test_subtitles_that_came_with_it_are_next() -> None:
    """They need no command at all."""
    of = fetched(("en", "videos/1/subtitles.en.vtt", False))
    assert [each.stage for each in plan(saved("bigbuckbunny"), of).steps] == ["subtitles"]
    assert len(plan(saved("bigbuckbunny"), of, method="speech").steps) == 2
    assert len(plan(saved("bigbuckbunny"), of, language="de").steps) == 2


def test_sound_without_a_decoder() -> None:
    """It is a fault only where there are no subtitles."""
    mute = saved("bigbuckbunny").audio[0].model_copy(update={"is_decodable": False})
    with pytest.raises(InputUnsupportedError):
        plan(variant("bigbuckbunny", audio=(mute,)))
    (step,) = plan(variant("bigbuckbunny", audio=(mute,), subtitles=(track(2),))).steps
    assert isinstance(step, Run)


def test_which_of_those_that_came_with_it() -> None:
    """What is spoken before translations, what people wrote before what the site made."""
    of = fetched(
        ("de", "de.vtt", False), ("en-orig", "own.vtt", True), ("en-GB", "en.srt", False), ("en", "en.xml", False),
        language="en",
    )  # fmt: skip
    assert [each.key for each in stored_subtitles(of, None)] == ["en.srt", "own.vtt", "de.vtt"]
    assert [each.key for each in stored_subtitles(of, "de")] == ["de.vtt"]
    assert stored_subtitles(of, "fr") == ()
    assert stored_subtitles(upload(), None) == ()


def test_which_track_inside() -> None:
    """Text only, nothing forced; the language that is asked for, else that of the sound, else the default."""
    tracks = (
        track(2, "hdmv_pgs_subtitle", "eng"),
        track(3, language="eng", is_forced=True),
        track(4, language="ger"),
        track(5, language="fre", is_default=True),
        track(6, language="eng"),
    )
    info = variant("bigbuckbunny", subtitles=tracks)
    english = info.audio[0].model_copy(update={"language": "eng"})

    def index(info: MediaInfo, language: str | None = None) -> int | None:
        found = chosen_stream(info, language)
        return found.index if found else None

    assert index(info) == 5
    assert index(info.model_copy(update={"audio": (english,)})) == 6
    assert index(info, "de") == 4
    assert index(info, "ger") == 4
    assert index(info, "it") is None
    assert index(info.model_copy(update={"subtitles": tracks[:2]})) is None


def test_languages_have_one_name() -> None:
    """Containers write three letters, and und where they know none."""
    assert [tag_of(each) for each in ("eng", "ger", "deu", "en-GB", "en-orig", "und", "", None, "tlh")] == [
        *("en", "de", "de", "en-GB", "en"), None, None, None, "tlh",
    ]  # fmt: skip


def test_without_sound_or_subtitles_there_is_nothing() -> None:
    """Pictures of subtitles are told of, because people see them in their player."""
    with pytest.raises(InputNoAudioError, match="no sound, and no subtitles"):
        plan(saved("one_frame"))
    with pytest.raises(InputNoAudioError, match="dvd_subtitle are pictures"):
        plan(variant("one_frame", subtitles=(track(2, "dvd_subtitle"),)), method="embedded")
    with pytest.raises(InputNoAudioError, match="that came with the file"):
        plan(saved("bigbuckbunny"), method="subtitles")


@pytest.mark.parametrize("params", [{"language": "English!"}, {"method": "magic"}, {"model": "/etc/passwd"}])
def test_parameters_are_checked(params: dict[str, str]) -> None:
    """Nobody names a file by them."""
    with pytest.raises(ParametersError):
        TranscriptJob().parse(params)


def test_no_upload_gets_it_by_itself() -> None:
    """It takes long, and not everybody wants it."""
    assert not TranscriptJob().gets(upload(media_info=saved("bigbuckbunny")))


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    """It is told before a job is asked for, with what is missing; nothing is downloaded."""
    for model in (str(tmp_path), "base.en", "openai/whisper-tiny"):
        settings = Settings.load(_env_file=None, home=tmp_path, speech_model=model)
        with pytest.raises(JobSettingsError, match=r"no model\.bin in a folder"):
            TranscriptJob().check_settings(settings)
    TranscriptJob().check_settings(Settings.load(_env_file=None, home=tmp_path))
    default = find_model("tiny.en")
    assert (default.name, (default.folder / "model.bin").is_file()) == ("tiny.en", True)
    assert find_model(str(default.folder)).folder == default.folder


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Whatever is wrong with its files."""
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("nonsense")
    with pytest.raises(JobSettingsError, match="cannot be loaded"):
        recogniser(find_model(str(tmp_path)), 1)
