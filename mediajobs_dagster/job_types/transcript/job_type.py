"""`transcript_v1`: what is said in an upload, as timed words and sentences.

The words come from the first of these that there is: subtitles inside of the file, subtitles that came with it, speech
recognition. Subtitles are better where people wrote them, and cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from mediajobs_dagster.errors import InputNoAudioError
from mediajobs_dagster.job_types.base import FFMPEG, Lane, Params, UploadJobType
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Call, Left, Output, Plan, Run, Step
from mediajobs_dagster.job_types.tracks import sound_of, track_notes, whole_of
from mediajobs_dagster.job_types.transcript.documents import JSON_NAME, SOUND, SRT_NAME, VTT_NAME
from mediajobs_dagster.job_types.transcript.subtitles import (
    EMBEDDED,
    StoredSubtitles,
    chosen_stream,
    has_cues,
    stored_subtitles,
    write_embedded,
    write_stored,
)
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import AudioStream, MediaInfo, SubtitleStream, Upload
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.speech.models import DEFAULT, RATE, find_model
from mediajobs_dagster.transcripts.model import Method

SPEECH = "speech"
"""In `JobType.needs`: the worker can recognise speech."""
_BYTES_PER_SAMPLE = 2
_ROOM = 8 << 20
"""For the documents, bytes: those of a talk of a day."""


class TranscriptParams(Params):
    """What to make a transcript of."""

    language: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$",
        description="The language that is spoken, a tag of BCP 47 such as en; null: that of the subtitles that are "
        "found, else as the model hears it.",
    )
    method: Method | None = Field(
        default=None,
        description="Where the words have to come from; null: from subtitles inside of the file, from those that came "
        "with it, or from speech recognition, the first of these that there is.",
    )


class TranscriptJob(UploadJobType):
    """What is said in the video, as timed words and sentences, and as subtitles."""

    name: ClassVar[str] = "transcript_v1"
    asset: ClassVar[str] = "transcript"
    lane: ClassVar[Lane] = Lane.HEAVY
    needs: ClassVar[frozenset[str]] = frozenset({FFMPEG, SPEECH})
    params: ClassVar[type[Params]] = TranscriptParams

    @override
    def check_settings(self, settings: Settings) -> None:
        if settings.speech_model != DEFAULT:  # where the default is not installed, the worker does not offer speech
            find_model(settings.speech_model)

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return tuple(f"transcripts/uploads/{subject_id}/{name}" for name in (JSON_NAME, VTT_NAME, SRT_NAME))

    @override
    def rehearsal(self, clip: Upload) -> Upload:
        return clip

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return ("recognise", "subtitles")

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        assert isinstance(params, TranscriptParams)
        ways = _ways(source, params)
        if not ways:
            raise InputNoAudioError(_nothing(source, params))
        types = ("application/json", "text/vtt; charset=utf-8", "text/plain; charset=utf-8")
        keys = zip((JSON_NAME, VTT_NAME, SRT_NAME), self.output_keys(source.upload.id), types, strict=True)
        sound = source.info.main_audio
        seconds = (sound.duration_seconds if sound else None) or source.info.duration_seconds
        return Plan(
            outputs=tuple(Output(name, key, content_type) for name, key, content_type in keys),
            steps=_steps(ways, source, params),
            notes=track_notes(source.info),
            scratch_bytes=source.info.bytes + int(seconds * RATE) * _BYTES_PER_SAMPLE + _ROOM,
        )


Way = SubtitleStream | StoredSubtitles | AudioStream
"""Something that words can come from."""


def _ways(source: Source, params: TranscriptParams) -> Sequence[Way]:
    """What words can come from, the best first. Raises InputUnsupportedError if it is only sound without a decoder."""
    ways: list[Way] = []
    if params.method in (None, Method.EMBEDDED) and (stream := chosen_stream(source.info, params.language)):
        ways.append(stream)
    if params.method in (None, Method.SUBTITLES):
        ways += stored_subtitles(source.upload, params.language)[:1]
    if params.method in (None, Method.SPEECH):
        sound = source.info.main_audio if ways else sound_of(source.info)
        ways += [sound] if sound else []
    return ways


def _nothing(source: Source, params: TranscriptParams) -> str | None:
    if params.method in (Method.EMBEDDED, Method.SUBTITLES):
        language = f" in {params.language}" if params.language else ""
        where = "inside of the file" if params.method is Method.EMBEDDED else "that came with the file"
        pictures = [each.codec for each in source.info.subtitles or () if not each.is_text]
        unread = f" (those in {', '.join(pictures)} are pictures, which are not read)" if pictures else ""
        return f"There are no subtitles{language} {where}{unread}. Ask for a transcript without a method."
    return None


def _steps(ways: Sequence[Way], source: Source, params: TranscriptParams) -> tuple[Step, ...]:
    """The steps for the first of the ways; where it leads to nothing, those for the next ones follow."""
    if not ways:
        return ()
    way, rest = ways[0], ways[1:]
    seconds = source.info.duration_seconds
    match way:
        case SubtitleStream():
            write = Call("subtitles", partial(write_embedded, way, seconds))
            further = _steps(rest, source, params)
            command = ffmpeg.Command(
                inputs=(ffmpeg.Input("source"),),
                outputs=(ffmpeg.Output(EMBEDDED, ("-map", f"0:{way.index}", "-c:s", "webvtt", "-f", "webvtt")),),
                media_seconds=seconds or None,
            )
            return (Run(command, then=partial(_after_subtitles, write, further)),)
        case StoredSubtitles():
            further = _steps(rest, source, params)
            write = partial(write_stored, way, seconds, is_last=not further)
            return (Call("subtitles", write, then=partial(_unless_written, further)),)
        case AudioStream():
            from mediajobs_dagster.job_types.transcript.recognition import Wanted, recognise

            command = ffmpeg.Command(
                inputs=(ffmpeg.Input("source"),),
                outputs=(ffmpeg.Output(SOUND, _samples(way, source.info)),),
                media_seconds=way.duration_seconds or seconds or None,
            )
            wanted = Wanted(language=params.language, begin=way.start_seconds, duration_seconds=seconds)
            return (Run(command, weight=0.05), Call("recognise", partial(recognise, wanted)))


def _after_subtitles(write: Step, further: Sequence[Step], left: Left) -> Sequence[Step]:
    """Subtitles without any text, or that cannot be read, are as good as none, if words can come from elsewhere."""
    return (write,) if has_cues(left.folder / EMBEDDED) or not further else further


def _unless_written(further: Sequence[Step], folder: Path) -> Sequence[Step]:
    return () if (folder / JSON_NAME).exists() else further


def _samples(audio: AudioStream, info: MediaInfo) -> tuple[str, ...]:
    return (
        *("-map", f"0:{audio.index}", "-vn"),  # -vn: the picture is not even demultiplexed
        *("-af", f"{whole_of(audio, info)}:out_sample_rate={RATE}:out_chlayout=mono:out_sample_fmt=s16"),
        *("-c:a", "pcm_s16le", "-f", "s16le"),
    )
