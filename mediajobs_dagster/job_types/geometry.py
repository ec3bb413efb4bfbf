"""Picture sizes for outputs, from what a source declares."""

from __future__ import annotations

from mediajobs_dagster.errors import InputCorruptError, InputNoVideoError
from mediajobs_dagster.models import MediaInfo, Upload, VideoStream


def may_have_picture(upload: Upload) -> bool:
    """Whether a video's picture can be made something of: it has one, or nobody has looked yet."""
    info = upload.media_info
    return info is None or (info.main_video is not None and not info.is_image)


def picture_of(info: MediaInfo) -> VideoStream:
    """The video track to work on; raises InputNoVideoError when there is none."""
    if info.main_video is None:
        what = "only cover art" if info.attached_pictures else "no video track"
        raise InputNoVideoError(f"The input has {what}, and this job needs a moving picture. Upload a video.")
    return info.main_video


def fit_long_edge(video: VideoStream, long_edge: int, *, even: bool) -> tuple[int, int]:
    """Width and height, pixels, of the displayed picture scaled so that its long edge is `long_edge`.

    Pixel aspect and rotation are applied, so the result has square pixels and stands upright. `even` rounds to even
    sizes, which 4:2:0 video needs. Raises InputCorruptError for a picture without a size.
    """
    width, height = video.display_size
    if width <= 0 or height <= 0:
        raise InputCorruptError(f"The video track declares a picture of {video.width}x{video.height}. Upload it again.")
    scale = long_edge / max(width, height)
    grain = 2 if even else 1
    fitted = (max(grain, round(edge * scale / grain) * grain) for edge in (width, height))
    return next(fitted), next(fitted)
