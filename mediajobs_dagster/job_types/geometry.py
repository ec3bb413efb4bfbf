"""Picture sizes of outputs, computed from what a source declares."""

from __future__ import annotations

from mediajobs_dagster.errors import InputCorruptError, InputNoVideoError, InputUnsupportedError
from mediajobs_dagster.models import MediaInfo, Upload, VideoStream

_INTERLACEABLE = frozenset({"mpeg2video", "h264", "hevc", "vc1", "dvvideo", "prores", "dnxhd", "mpeg4", "rawvideo"})
"""Codecs whose frames may be interlaced."""
KEPT_S = 0.05
"""More than half a frame of an output of twelve frames a second, seconds."""
_TURNS = {90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}
"""Filters that turn a picture, by clockwise degrees."""


def may_have_picture(upload: Upload) -> bool:
    """Whether an upload may have a moving picture: it has one, or it is not probed yet."""
    info = upload.media_info
    return info is None or (info.main_video is not None and not info.is_image)


def picture_of(info: MediaInfo) -> VideoStream:
    """The video track to work on. Raises InputNoVideoError when there is none, InputUnsupportedError for its codec."""
    if info.main_video is None:
        what = "only cover art" if info.attached_pictures else "no video track"
        raise InputNoVideoError(f"The input has {what}, but this job needs a moving picture. Upload a video.")
    if not info.main_video.is_decodable:
        raise InputUnsupportedError(
            f"The picture is in {info.main_video.codec}, which the ffmpeg of this machine cannot decode. Use an ffmpeg "
            "that can, or upload a copy in H.264."
        )
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


def fitting(video: VideoStream, width: int, height: int) -> tuple[str, str]:
    """Width and height for the filter `scale`, as expressions: the given ones, for pictures as they were probed.

    The size of a picture may change in the middle of a stream. One of another size keeps its shape within the given
    one, and `pad` has to follow.
    """
    stored = video.upright_size
    is_as_probed = f"eq(iw,{stored[0]})*eq(ih,{stored[1]})"
    across = f"if({is_as_probed},{width},trunc(min({width},{height}*dar)/2)*2)"
    down = f"if({is_as_probed},{height},trunc(min({height},{width}/dar)/2)*2)"
    return f"'{across}'", f"'{down}'"


def decoding_options(video: VideoStream, *, keeps_shape: bool = False) -> tuple[str, ...]:
    """Options of the input that a picture is read from. The filters `whole_and_upright` have to come first.

    By default ffmpeg builds all filters anew when a frame has another size, or another rotation, than the one before,
    and what they hold is lost. With `keeps_shape`, a filter before the first one that depends on the size is `scale`,
    which takes any.
    """
    turned = ("-noautorotate",) if video.is_turned_by_frames else ()
    return (*turned, "-reinit_filter:v", "0") if keeps_shape and not _deinterlacing(video) else turned


def last_frame_kept(video: VideoStream) -> tuple[str, ...]:
    """The filter that shows the last frame for `KEPT_S` longer; for a picture that is held, or cut, after that.

    Where frames last for different times, a file may say that its last one lasts for a tick. At another rate, it would
    fall between two frames.
    """
    return (f"tpad=stop_mode=clone:stop_duration={KEPT_S}",) if video.variable_frame_rate else ()


def whole_and_upright(video: VideoStream) -> tuple[str, ...]:
    """The filters that make whole pictures of fields, and turn what ffmpeg does not turn by itself."""
    turns = _TURNS.get(video.rotation, ()) if video.is_turned_by_frames else ()
    return (*_deinterlacing(video), *turns)


def _deinterlacing(video: VideoStream) -> tuple[str, ...]:
    # None for a progressive picture. Where the file does not say, each frame does.
    if video.field_order == "progressive":
        return ()
    if video.field_order is None and video.codec not in _INTERLACEABLE:
        return ()
    return ("bwdif=mode=send_frame:deint=interlaced",)
