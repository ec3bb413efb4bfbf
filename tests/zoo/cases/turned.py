"""Pictures that are stored turned, squeezed, or of changing size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.zoo.making import COPY, H264, PROMPT, Form, Maker, frames
from tests.zoo.truth import Case, Make, Picture, Truth, steady

GROUP = "Shape"
_COUNT = 25


def _turned(degrees: int, size: tuple[int, int] = (180, 320), *, squeezed: tuple[int, int] = (1, 1)) -> Make:
    """Upright after a turn by so many degrees clockwise; `squeezed` is the aspect of a stored pixel."""

    def make(maker: Maker, path: Path) -> Truth:
        width, height = size
        # The stored picture is wider than high if it is turned by a quarter; its width is what is squeezed.
        is_quarter = degrees % 180 == 90
        across, down = squeezed
        drawn = (width, height * down // across) if is_quarter else (width * down // across, height)
        stored = [np.ascontiguousarray(np.rot90(frame, degrees // 90)) for frame in frames(_COUNT, drawn)]
        aspect = f"setsar={across}/{down}"
        lying = maker.once(f"lying_{path.stem}.mp4", lambda part: maker.encode(part, stored, *H264, filters=aspect))
        maker.run("-display_rotation", str(-degrees), "-i", lying, *COPY, path)
        return Truth(Picture(steady(_COUNT), _COUNT / 25, size=size), None)

    return make


def _mirrored(maker: Maker, path: Path) -> Truth:
    stored = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames(_COUNT)]
    lying = maker.once("mirrored_part.mp4", lambda part: maker.encode(part, stored, *H264))
    maker.run("-display_hflip", "-i", lying, *COPY, path)
    return Truth(Picture(steady(_COUNT), _COUNT / 25), None)


def _told_in_stream(degrees: int) -> Make:
    """Turned by what the H.264 stream says itself (a display orientation message)."""

    def make(maker: Maker, path: Path) -> Truth:
        size = (180, 320) if degrees % 180 else (320, 180)
        stored = [np.ascontiguousarray(np.rot90(frame, degrees // 90)) for frame in frames(_COUNT, size)]
        # The message counts anticlockwise.
        told = f"h264_metadata=display_orientation=insert:rotate={(360 - degrees) % 360}"
        maker.encode(path, stored, *H264, "-bsf:v", told)
        return Truth(Picture(steady(_COUNT), _COUNT / 25, size=size), None, is_plain=False)

    return make


def _squeezed(size: tuple[int, int], aspect: str, shown: tuple[int, int]) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(_COUNT, size), *H264, filters=f"setsar={aspect}")
        return Truth(Picture(steady(_COUNT), _COUNT / 25, size=shown), None)

    return make


def _resized(second: tuple[int, int], shape: str = "") -> Make:
    """Another size from the middle on, as a call or a stream does when its line gets worse; same shape."""

    def make(maker: Maker, path: Path) -> Truth:
        first = maker.once("large.ts", lambda part: maker.encode(part, frames(_COUNT), *H264, *PROMPT))
        # Frames are reordered by two, so the first file begins at its third tick, and the second one at its first.
        late = ("-output_ts_offset", str((_COUNT + 2) / 25))

        def write(part: Path) -> None:
            maker.encode(part, frames(_COUNT, second, first=_COUNT), *H264, *PROMPT, *late, filters=shape)

        smaller = maker.once(f"then_{second[0]}x{second[1]}.ts", write)
        path.write_bytes(first.read_bytes() + smaller.read_bytes())
        return Truth(Picture(steady(2 * _COUNT), 2 * _COUNT / 25), None, is_plain=False)

    return make


def _odd(maker: Maker, path: Path) -> Truth:
    """321x181 pixels."""
    maker.encode(path, frames(_COUNT, (321, 181)), *H264, form=Form(pixels="yuv444p"))
    return Truth(Picture(steady(_COUNT), _COUNT / 25, size=(321, 181)), None)


def _strip(maker: Maker, path: Path) -> Truth:
    """A banner, ten times as wide as high."""
    maker.encode(path, frames(_COUNT, (800, 80)), *H264)
    # A patch of it is five lines high in a proxy, less than what the encoder looks at as one.
    return Truth(Picture(steady(_COUNT), _COUNT / 25, size=(800, 80), colours_within=5), None)


_TURNED = ("Stored turned (90, 180, 270 degrees) or mirrored, as phones do", "Upright everywhere.")
_MESSAGE = ("Turned by the H.264 stream itself", "Upright everywhere.")
_SQUEEZED = ("Pixels that are not square, also turned", "In the shape that is meant, in square pixels.")
_RESIZED = ("The size changes in the middle", "All of it in the size of the first frame.")
_ODD = ("Odd and extreme sizes", "The nearest even size; nothing is cut off.")

CASES = (
    Case("turned_90.mp4", GROUP, *_TURNED, _turned(90)),
    Case("turned_180.mp4", GROUP, *_TURNED, _turned(180, (320, 180))),
    Case("turned_270.mov", GROUP, *_TURNED, _turned(270)),
    Case("turned_90.mkv", GROUP, *_TURNED, _turned(90)),
    Case("mirrored.mp4", GROUP, *_TURNED, _mirrored),
    Case("told_90.mp4", GROUP, *_MESSAGE, _told_in_stream(90)),
    Case("told_180.mp4", GROUP, *_MESSAGE, _told_in_stream(180)),
    Case("told_270.mkv", GROUP, *_MESSAGE, _told_in_stream(270)),
    Case("squeezed.mp4", GROUP, *_SQUEEZED, _squeezed((240, 180), "4/3", (320, 180))),
    Case("stretched.mp4", GROUP, *_SQUEEZED, _squeezed((480, 180), "2/3", (320, 180))),
    Case("squeezed.mkv", GROUP, *_SQUEEZED, _squeezed((240, 180), "4/3", (320, 180))),
    Case("squeezed_turned_90.mp4", GROUP, *_SQUEEZED, _turned(90, (180, 320), squeezed=(4, 3))),
    Case("squeezed_turned_180.mov", GROUP, *_SQUEEZED, _turned(180, (320, 180), squeezed=(4, 3))),
    Case("resized.ts", GROUP, *_RESIZED, _resized((160, 90))),
    Case("resized_squeezed.ts", GROUP, *_RESIZED, _resized((240, 180), "setsar=4/3")),
    Case("odd.mkv", GROUP, *_ODD, _odd),
    Case("strip.mp4", GROUP, *_ODD, _strip),
)
