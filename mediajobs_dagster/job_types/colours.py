"""How the colours of a source's picture are brought into those of an output: filters of ffmpeg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mediajobs_dagster.job_types.material import ToneMapping
from mediajobs_dagster.models import VideoStream

_HD = 720
_OF_601 = ("smpte170m", "bt470bg")
"""Names of the matrix of BT.601."""
_JFIF_OF_709 = (
    "colorspace=ispace=bt709:iprimaries=bt709:itrc=bt709:space=smpte170m:primaries=bt709:trc=bt709:range=pc:fast=1"
)
"""Changes the matrix and nothing else: primaries and transfer are said to be the same on both sides."""
_WITH_ALPHA = ("yuva", "gbrap", "rgba", "bgra", "argb", "abgr", "ya8", "ya16", "ayuv", "vuya")
"""How names of pixel formats with transparency begin."""


@dataclass(frozen=True)
class Colours:
    """How an output stores the colours of its pixels, in the words of ffmpeg's filter `scale`."""

    matrix: Literal["bt601", "bt709"]
    """How RGB becomes luma and chroma."""
    range: Literal["tv", "full"]
    """Whether luma goes from 16 to 235 or from 0 to 255."""


BT709_VIDEO = Colours("bt709", "tv")
"""Those of HD video."""
TAGGED_709 = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
"""Tags a picture as BT.709, limited range."""
JFIF = Colours("bt601", "full")
"""Those of every JPEG file (ITU-T T.871, section 7)."""


def converted(
    video: VideoStream,
    size: tuple[int | str, int | str],
    colours: Colours,
    *,
    flags: Literal["fast_bilinear", "bicubic", "lanczos"],
    tone_mapping: ToneMapping | None,
) -> tuple[str, ...]:
    """Filters that bring a source's picture to `size`, pixels, and to 4:2:0 of 8 bits in `colours`.

    `size` may be expressions of the filter `scale`. HDR is tone-mapped to BT.709, and wide colours are brought into
    it, unless `tone_mapping` is None. `flags` is the way to scale.
    """
    # By default the scaler rounds so coarsely that another matrix is up to 5 levels off.
    exact = "" if _matrix_of(video) == colours.matrix else "+accurate_rnd"
    target = f"out_color_matrix={colours.matrix}:out_range={colours.range}"
    to_size = f"scale={size[0]}:{size[1]}:flags={flags}{exact}:{target}"
    end = ("setsar=1", "format=yuv420p")
    if video.is_hdr and tone_mapping:
        return (*_tone_mapped(to_size, tone_mapping), *end)
    if video.is_wide and tone_mapping:
        return (*_narrowed(f"{to_size}{_assumed_matrix(video)}", tone_mapping), *end)
    return (f"{to_size}{_assumed_matrix(video)}", *end)


def as_jpeg(video: VideoStream, size: tuple[int, int], tone_mapping: ToneMapping | None) -> tuple[str, ...]:
    """Filters that bring a source's picture to `size`, pixels, and to the colours of a JPEG."""
    is_709 = _matrix_of(video) == "bt709" and (video.pixel_format or "").startswith("yuv4")
    if is_709 and not video.is_wide and not any(edge % 2 for edge in size):
        # What `scale` takes for another matrix is a tenth of a thumbnail's time. This filter takes hardly any, but
        # wants even sizes.
        return (f"scale={size[0]}:{size[1]}:flags=lanczos", "format=yuv420p", _JFIF_OF_709, "setsar=1")
    return (*_on_black(video), *converted(video, size, JFIF, flags="lanczos", tone_mapping=tone_mapping))


def _on_black(video: VideoStream) -> tuple[str, ...]:
    """Filters that lay a picture with transparent parts on black: what their pixels hold is not meant to be seen.

    A GIF needs none: ffmpeg decodes its transparent pixels as white.
    """
    if video.codec == "gif" or not (video.pixel_format or "").startswith(_WITH_ALPHA):
        return ()
    return (f"scale=flags=bicubic{_assumed_matrix(video)}", "format=gbrap", "premultiply=inplace=1")


def _matrix_of(video: VideoStream) -> str:
    """The matrix of a source. By convention, an untagged one is BT.709 from 720 lines on, and BT.601 below."""
    if video.matrix in _OF_601:
        return "bt601"
    return video.matrix or ("bt709" if min(video.width, video.height) >= _HD else "bt601")


def _assumed_matrix(video: VideoStream) -> str:
    """What the filter `scale` has to be told of the matrix of a source; nothing if the source tells it itself."""
    return "" if video.matrix else f":in_color_matrix={_matrix_of(video)}"


def _narrowed(to_size: str, how: ToneMapping) -> tuple[str, ...]:
    """Filters that bring SDR in other primaries to those of BT.709. What these cannot tell is clipped."""
    match how:
        case ToneMapping.SWSCALE:
            return (f"{to_size}:out_primaries=bt709",)
        case ToneMapping.ZSCALE:
            return ("zscale=primaries=bt709:transfer=bt709:matrix=bt709:range=tv", to_size)


def _tone_mapped(to_size: str, how: ToneMapping) -> tuple[str, ...]:
    match how:
        case ToneMapping.SWSCALE:
            # Perceptual: compresses highlights instead of clipping them.
            return (f"{to_size}:out_primaries=bt709:out_transfer=bt709:intent=perceptual",)
        case ToneMapping.ZSCALE:
            linear = ("zscale=transfer=linear:npl=100", "format=gbrpf32le", "zscale=primaries=bt709")
            mapped = ("tonemap=hable:desat=0", "zscale=transfer=bt709:matrix=bt709:range=tv", "format=yuv420p")
            return (*linear, *mapped, to_size)
