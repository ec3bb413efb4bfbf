"""Interlaced pictures, and what the file says of them."""

from __future__ import annotations

from pathlib import Path

from tests.zoo import footage
from tests.zoo.footage import Pixels
from tests.zoo.making import AAC, H264, NO_RUN_IN, PICTURE, PROMPT, SOUND, Maker, frames
from tests.zoo.truth import Case, Make, Picture, Truth, steady

GROUP = "Interlaced"


def _woven(*, top_first: bool) -> list[Pixels]:
    """100 frames of two fields each; a bar moves on from field to field."""
    woven: list[Pixels] = []
    for number, frame in enumerate(frames(100)):
        early, late = (footage.draw_bar(frame.copy(), 2 * number + later) for later in (0, 1))
        first, second = (0, 1) if top_first else (1, 0)
        whole = frame.copy()
        whole[first::2], whole[second::2] = early[first::2], late[second::2]
        woven.append(whole)
    return woven


def _interlaced(*options: str, top_first: bool = True, told: bool = True) -> Make:
    """Two fields a frame; `told`: and the file says so."""

    def make(maker: Maker, path: Path) -> Truth:
        order = f"setfield={'tff' if top_first else 'bff'}" if told else "setfield=prog"
        # 4:2:0 of interlaced pictures takes each chroma line from one field. The patches are larger than that.
        drawn, sound = _woven(top_first=top_first), ("-i", maker.wav())
        maker.encode(path, drawn, *options, filters=order, inputs=sound)
        return Truth(Picture(steady(100), 4, is_interlaced=told), SOUND)

    return make


def _progressive(*options: str) -> Make:
    """Whole frames that are said to be fields."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(100), *options, filters="setfield=tff", inputs=("-i", maker.wav()))
        return Truth(PICTURE, SOUND)

    return make


_FIELDS = ("-flags", "+ilme+ildct")
_TFF, _BFF = ("-x264-params", "tff=1"), ("-x264-params", "bff=1")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "12", "-bf", "2", "-c:a", "mp2", "-b:a", "192k")
_SOFT = ("Interlaced, top or bottom field first", "Deinterlaced: no combs, same frames.")
_WRONG = (
    "Interlaced without saying so, or progressive and said to be interlaced",
    "The first stays as it is; the second loses nothing but fine vertical detail. Both keep their frames.",
)

CASES = (
    Case("top_first.mp4", GROUP, *_SOFT, _interlaced(*H264, *_FIELDS, *_TFF, *AAC)),
    Case("bottom_first.mp4", GROUP, *_SOFT, _interlaced(*H264, *_FIELDS, *_BFF, *AAC, top_first=False)),
    Case("top_first.ts", GROUP, *_SOFT, _interlaced(*H264, *_FIELDS, *_TFF, *AAC, *NO_RUN_IN, *PROMPT)),
    Case("top_first.mkv", GROUP, *_SOFT, _interlaced(*H264, *_FIELDS, *_TFF, *AAC, *NO_RUN_IN)),
    Case("bottom_first.mov", GROUP, *_SOFT, _interlaced(*_MPEG2, *_FIELDS, top_first=False)),
    Case("top_first.mpg", GROUP, *_SOFT, _interlaced(*_MPEG2, *_FIELDS, *NO_RUN_IN, *PROMPT, "-f", "vob")),
    Case("fields_untold.mp4", GROUP, *_WRONG, _interlaced(*H264, *AAC, told=False)),
    Case("progressive_told_interlaced.mp4", GROUP, *_WRONG, _progressive(*H264, *_FIELDS, *_TFF, *AAC)),
    Case("progressive_told_interlaced.ts", GROUP, *_WRONG, _progressive(*_MPEG2, *_FIELDS, *NO_RUN_IN, *PROMPT)),
)
