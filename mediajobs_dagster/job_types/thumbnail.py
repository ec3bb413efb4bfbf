"""`upload_thumb_v1`: one picture of a video."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from mediajobs_dagster.job_types.base import Lane, Params, UploadJobType
from mediajobs_dagster.job_types.geometry import fit_long_edge, may_have_picture, picture_of
from mediajobs_dagster.job_types.material import Access, Source
from mediajobs_dagster.job_types.plan import Expected, Output, Plan, Run
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import Upload, VideoStream

LONG_EDGE = 640
FILENAME = "thumb.jpg"


class ThumbnailParams(Params):
    """Parameters of a thumbnail."""

    at_seconds: float = Field(
        default=0.2, ge=0, allow_inf_nan=False, description="Where to take the picture; clamped into shorter clips."
    )


class Thumbnail(UploadJobType):
    """One frame of the video as a JPEG picture, long edge 640, upright and in square pixels."""

    name: ClassVar[str] = "upload_thumb_v1"
    asset: ClassVar[str] = "thumbnail"
    lane: ClassVar[Lane] = Lane.LIGHT
    access: ClassVar[Access] = Access.RANGE  # it seeks, and reads a few hundred kilobytes of a file of any length
    batch_size: ClassVar[int] = 500  # some twenty seconds of work on two cores; a run of its own costs half a second
    threads: ClassVar[int] = 1  # a few frames: starting further threads takes longer than they save
    params: ClassVar[type[Params]] = ThumbnailParams

    @override
    def wanted_for(self, upload: Upload) -> bool:
        return may_have_picture(upload)

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"thumbs/uploads/{subject_id}/{FILENAME}",)

    @override
    def rehearsal(self, clip: Upload) -> Upload:
        return clip

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        assert isinstance(params, ThumbnailParams)  # what `parse` made
        video = picture_of(source.info)
        width, height = fit_long_edge(video, LONG_EDGE, even=False)
        at = _clamp(params.at_seconds, source.info.duration_seconds, video)
        (key,) = self.output_keys(source.upload.id)
        output = Output(FILENAME, key, "image/jpeg", Expected(width=width, height=height, video_codec="mjpeg"))
        steps = [Run(_grab(video, at, width, height))]
        if at > 0:
            # If all frames of a clip start before `at` (one long frame, a wrong duration), the first one is used.
            steps.append(Run(_grab(video, 0.0, width, height), only_without=FILENAME))
        return Plan(outputs=(output,), steps=tuple(steps))


def _clamp(at: float, duration: float, video: VideoStream) -> float:
    if not duration:
        return at  # unknown, as in a streamed recording; if the clip is shorter, the second step makes the picture
    # The last frame starts one frame before the end; half a frame more keeps rounding from seeking past it.
    last = duration - 1.5 / (video.fps or 30.0)
    return round(max(0.0, min(at, last)), 3)


def _grab(video: VideoStream, at: float, width: int, height: int) -> ffmpeg.Command:
    filters = ",".join(
        (
            # ffmpeg has already turned the picture upright; the size takes pixel aspect and rotation into account.
            f"scale={width}:{height}:flags=lanczos:out_range=full",
            "setsar=1",
            "format=yuv420p",  # every viewer reads JPEG in 4:2:0, whatever depth and subsampling the source has
        )
    )
    return ffmpeg.Command(
        # Before -i, so that ffmpeg seeks by the index instead of decoding everything before.
        inputs=(ffmpeg.Input("source", ("-ss", f"{at:g}") if at > 0 else ()),),
        outputs=(
            ffmpeg.Output(
                FILENAME,
                (
                    *("-map", f"0:{video.index}", "-frames:v", "1", "-vf", filters),
                    *("-c:v", "mjpeg", "-q:v", "3"),
                    *("-map_metadata", "-1"),  # a phone's position must not travel in a public thumbnail
                    *("-f", "image2", "-update", "1"),  # one picture under exactly this name, no numbering
                ),
            ),
        ),
    )


JOB_TYPE = Thumbnail()
