"""`upload_edit_proxy_v1`: a small copy of a video that an editor can scrub frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.job_types.base import Params
from mediajobs_dagster.job_types.colours import BT709_VIDEO, TAGGED_709, converted
from mediajobs_dagster.job_types.geometry import (
    KEPT_S,
    decoding_options,
    fit_long_edge,
    fitting,
    last_frame_kept,
    picture_of,
    whole_and_upright,
)
from mediajobs_dagster.job_types.material import Source, ToneMapping
from mediajobs_dagster.job_types.pictures import PictureJobType
from mediajobs_dagster.job_types.plan import Expected, Output, Plan, Run
from mediajobs_dagster.job_types.tracks import HOLES_FILLED, sound_of, track_notes
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import AudioStream, MediaInfo, VideoStream

LONG_EDGE = 540
FPS = 30
GOP = 8
FILENAME = "edit_proxy.mp4"
_SOUND_PADDING_S = 0.1
"""What the encoder of the sound may add at both ends, seconds."""
_UNSURE = "asf"
"""The container whose first packets of sound have no times, so that nobody knows before decoding when it begins."""
_NOTED_S = 0.5
"""A picture that is held for longer is worth a note, seconds."""


class EditProxy(PictureJobType):
    """A small H.264 copy of the video with a keyframe every 8 frames, for frame-accurate scrubbing."""

    name: ClassVar[str] = "upload_edit_proxy_v1"
    asset: ClassVar[str] = "edit_proxy"
    version: ClassVar[int] = 2

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"proxies/uploads/{subject_id}/{FILENAME}",)

    @override
    def plan_picture(self, source: Source, params: Params, tone_mapping: ToneMapping | None) -> Plan:
        video = picture_of(source.info)
        audio = sound_of(source.info)
        width, height = fit_long_edge(video, LONG_EDGE, even=True)
        whole = source.info.duration_seconds or None  # a streamed recording that is read by range has no known length
        (key,) = self.output_keys(source.upload.id)
        expected = Expected(
            width=width,
            height=height,
            duration_seconds=whole,
            # Allows for a frame of the source, one of the proxy, and what the encoder of the sound adds.
            duration_tolerance=1 / FPS + 1 / (video.fps or FPS) + _SOUND_PADDING_S,
            fps=FPS,
            video_codec="h264",
            audio_codec="aac" if audio else "",
            matrix="bt709",
            sound_start=audio.start_seconds if audio and not source.info.container.startswith(_UNSURE) else None,
            sound_tolerance=_SOUND_PADDING_S,
        )
        decoding = decoding_options(video, keeps_shape=True)
        held = _held_seconds(video, audio)
        picture = _picture(video, width, height, held, tone_mapping)
        command = ffmpeg.Command(
            inputs=(ffmpeg.Input("source", (*_counted_from(source.info, video, audio), *decoding)),),
            outputs=(ffmpeg.Output(FILENAME, (*picture, *_sound(audio), *_container())),),
            # ffmpeg reports the time of the track that ends first.
            media_seconds=min(whole, audio.end_seconds or whole) if whole and audio else whole,
        )
        output = Output(FILENAME, key, "video/mp4", expected)
        return Plan((output,), steps=(Run(command),), notes=(*_held_notes(held), *track_notes(source.info)))


def _held_notes(held: float) -> Iterator[str]:
    if held >= _NOTED_S:
        yield f"The picture ends {held:.2f} s before the sound; its last frame is held."


def _counted_from(info: MediaInfo, video: VideoStream, audio: AudioStream | None) -> tuple[str, ...]:
    """The option that has ffmpeg count from the beginning of the file, where it would count from a track."""
    begin = info.origin(0.0, [track for track in (video, audio) if track])
    return ("-itsoffset", f"{begin:.6f}") if begin else ()


def _held_seconds(video: VideoStream, audio: AudioStream | None) -> float:
    """How long the last frame is shown after the end of the picture, because the sound goes on."""
    if audio is None or audio.end_seconds is None or video.end_seconds is None:
        return 0.0
    longer = audio.end_seconds - video.end_seconds
    return longer if longer >= 1 / FPS else 0.0


def _picture(
    video: VideoStream, width: int, height: int, held: float, tone_mapping: ToneMapping | None
) -> tuple[str, ...]:
    resize = (
        *converted(video, fitting(video, width, height), BT709_VIDEO, flags="bicubic", tone_mapping=tone_mapping),
        f"pad={width}:{height}:-1:-1:eval=frame",
    )
    # In the order that leaves fewer frames to scale.
    parts = (f"fps={FPS}", *resize) if (video.fps or 0) > FPS else (*resize, f"fps={FPS}")
    kept = last_frame_kept(video) if held > KEPT_S else ()
    further = held - KEPT_S if kept else held
    hold = (f"tpad=stop_mode=clone:stop_duration={further:.3f}",) if held else ()
    filters = ",".join((*whole_and_upright(video), *kept, *parts, *hold, TAGGED_709))
    return (
        *("-map", f"0:{video.index}", "-vf", filters, "-fps_mode", "cfr"),
        *("-c:v", "libx264", "-profile:v", "main", "-preset", "veryfast", "-crf", "23"),
        # A keyframe exactly every 8 frames: an editor jumps to any frame by decoding at most 8.
        *("-g", str(GOP), "-keyint_min", str(GOP), "-sc_threshold", "0"),
    )


def _sound(audio: AudioStream | None) -> tuple[str, ...]:
    if audio is None:
        return ("-an",)
    filled = ("-af", HOLES_FILLED)
    return ("-map", f"0:{audio.index}", *filled, "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2")


def _container() -> tuple[str, ...]:
    return (
        *("-map_metadata", "-1", "-map_chapters", "-1"),  # a proxy must not carry private metadata of its source
        *("-movflags", "+faststart"),  # the index first, so that playing starts before the download ends
        *("-f", "mp4"),
    )


JOB_TYPE = EditProxy()
