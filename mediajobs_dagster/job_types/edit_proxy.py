"""`upload_edit_proxy_v1`: a small copy of a video that an editor can scrub frame by frame."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.job_types.base import Params, UploadJobType
from mediajobs_dagster.job_types.geometry import fit_long_edge, may_have_picture, picture_of
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Expected, Output, Plan, Run
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import AudioStream, Upload, VideoStream

LONG_EDGE = 540
FPS = 30
GOP = 8
FILENAME = "edit_proxy.mp4"


class EditProxy(UploadJobType):
    """A small H.264 copy of the video with a keyframe every 8 frames, for frame-accurate scrubbing."""

    name: ClassVar[str] = "upload_edit_proxy_v1"
    asset: ClassVar[str] = "edit_proxy"

    @override
    def wanted_for(self, upload: Upload) -> bool:
        return may_have_picture(upload)

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"proxies/uploads/{subject_id}/{FILENAME}",)

    @override
    def rehearsal(self, clip: Upload) -> Upload:
        return clip

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        video = picture_of(source.info)
        audio = source.info.main_audio
        width, height = fit_long_edge(video, LONG_EDGE, even=True)
        seconds = source.info.duration_seconds or None  # a streamed recording does not declare its length
        (key,) = self.output_keys(source.upload.id)
        expected = Expected(
            width=width,
            height=height,
            duration_seconds=seconds,
            # One frame of the source, one of the proxy, and the padding of the AAC encoder at both ends.
            duration_tolerance=1 / FPS + 1 / (video.fps or FPS) + 0.1,
            fps=FPS,
            video_codec="h264",
            audio_codec="aac" if audio else "",
        )
        command = ffmpeg.Command(
            inputs=(ffmpeg.Input("source"),),
            outputs=(ffmpeg.Output(FILENAME, (*_picture(video, width, height), *_sound(audio), *_container())),),
            media_seconds=seconds,
        )
        return Plan(outputs=(Output(FILENAME, key, "video/mp4", expected),), steps=(Run(command),))


def _picture(video: VideoStream, width: int, height: int) -> tuple[str, ...]:
    rate, scale = f"fps={FPS}", f"scale={width}:{height}"
    # In the order that leaves fewer frames to scale.
    resize = (rate, scale) if (video.fps or 0) > FPS else (scale, rate)
    filters = ",".join((*resize, "setsar=1", "format=yuv420p"))
    return (
        *("-map", f"0:{video.index}", "-vf", filters, "-fps_mode", "cfr"),
        *("-c:v", "libx264", "-profile:v", "main", "-preset", "veryfast", "-crf", "23"),
        # A keyframe exactly every 8 frames: an editor jumps to any frame by decoding at most 8.
        *("-g", str(GOP), "-keyint_min", str(GOP), "-sc_threshold", "0"),
    )


def _sound(audio: AudioStream | None) -> tuple[str, ...]:
    if audio is None:
        return ("-an",)
    return ("-map", f"0:{audio.index}", "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2")


def _container() -> tuple[str, ...]:
    return (
        *("-map_metadata", "-1", "-map_chapters", "-1"),  # a proxy must not carry private metadata of its source
        *("-movflags", "+faststart"),  # the index first, so that playing starts before the download ends
        *("-f", "mp4"),
    )


JOB_TYPE = EditProxy()
