"""Captions: files into cues, cues into slides, slides into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from mediajobs_dagster.timelines.captions import (
    Band,
    Slide,
    band_of,
    set_captions,
    slides,
)
from mediajobs_dagster.timelines.model import Captions
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.lettering import TextTooLongError, safe_area
from mediajobs_dagster.transcripts.subtitles import CaptionsError, Cue, decode_captions, read_captions

CANVAS = (1280, 720)

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
{\\an8}General <font color="#ff0000">Kenobi</font>!

2
00:00:03.5 --> 0:00:04,123456
AT&amp;T &lt;3 &quot;R&D&quot; a < b > c
"""

VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: red }

NOTE 00:00:00.000 is no cue
nor is this

intro
00:01.000 --> 00:02.000 line:0 position:20% align:start
<v Ada>Good <c.loud>morning</c>, <00:01.500>all</v>

NOTE a note between cues

01:00:00.000 --> 01:00:00.001
1,000 hours&nbsp;later
"""


def draw_band(shown: Sequence[Slide], style: Captions, canvas: tuple[int, int], fonts: Fonts) -> Band:
    """The slides set in type, and the band that they fit into."""
    return band_of(shown, set_captions(shown, style, canvas, fonts), style, canvas)


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    """The fonts that come with the program, and none of this machine's."""
    return Fonts(folders=())


def seconds(text: str) -> Fraction:
    return Fraction(text)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_subrip_becomes_plain_text_at_exact_times() -> None:
    assert read_captions(SRT, "srt") == (
        Cue(Fraction(1), Fraction(5, 2), "Hello there,\nGeneral Kenobi!"),
        Cue(Fraction(7, 2), seconds("4.123456"), 'AT&T <3 "R&D" a < b > c'),
    )


def test_webvtt_loses_its_names_notes_styles_and_settings() -> None:
    assert read_captions(VTT, "vtt") == (
        Cue(Fraction(1), Fraction(2), "Good morning, all"),
        Cue(Fraction(3600), seconds("3600.001"), "1,000 hours\u00a0later"),
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines_and_a_byte_order_mark_do_not_matter(end: str) -> None:
    for text, kind in ((SRT, "srt"), (VTT, "vtt")):
        assert read_captions("\ufeff" + text.replace("\n", end), kind) == read_captions(text, kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param("srt", "The answer:\n42", id="a number in the last line"),
        pytest.param("vtt", "The answer:\n42", id="a number in the last line, WebVTT"),
        pytest.param("srt", r"C:\new\table {x} %d \N 'q' a:b", id="backslashes, braces"),
        pytest.param("srt", "-->", id="an arrow"),
        pytest.param("srt", "<<<<3 & &; <>", id="no tags, no entities"),
        pytest.param("srt", "😀 مرحبا", id="scripts"),
    ],
)
def test_what_was_written_is_what_is_shown(kind: Literal["srt", "vtt"], text: str) -> None:
    """In the middle of a file and at its end."""
    point = "." if kind == "vtt" else ","
    first = f"1\n00:00:01{point}000 --> 00:00:02{point}000\n{text}\n\n"
    second = f"2\n00:00:03{point}000 --> 00:00:04{point}000\n{text}\n"
    assert [cue.text for cue in read_captions(first + second, kind)] == [text, text]


def test_cues_come_in_order_and_those_that_show_nothing_are_left_out() -> None:
    text = "".join(
        f"\n{start} --> {end}\n{line}\n"
        for start, end, line in [
            ("00:00:09,000", "00:00:10,000", "last"),
            ("00:00:05,000", "00:00:05,000", "no time"),
            ("00:00:06,000", "00:00:05,000", "backwards"),
            ("00:00:01,000", "00:00:02,000", "<i> </i>"),
            ("00:00:00,000", "00:00:01,000", "first"),
        ]
    )
    assert [cue.text for cue in read_captions(text, "srt")] == ["first", "last"]


def test_times_that_cannot_be_read_are_named_by_their_line() -> None:
    with pytest.raises(CaptionsError, match=r"Line 7 .*'00:00:03 --> soon'"):
        read_captions(
            SRT.replace("00:00:03.5 --> 0:00:04,123456", "00:00:03 --> soon").replace("\n\n2", "\n2\n"), "srt"
        )


def test_a_file_without_captions_says_what_one_looks_like() -> None:
    with pytest.raises(CaptionsError, match=r"No caption .* 2 lines.*00:00:01\.000 --> "):
        read_captions("WEBVTT\n", "vtt")


def test_a_caption_as_long_as_a_book_is_refused() -> None:
    with pytest.raises(CaptionsError, match="line 1 has 200000 characters"):
        read_captions("00:00:01,000 --> 00:00:02,000\n" + "<a" * 100_000, "srt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_files_are_read(encoding: str) -> None:
    assert decode_captions("Grüße, мир".encode(encoding)) == "Grüße, мир"


@pytest.mark.parametrize(
    "data", ["\nGrüße".encode("latin-1"), "abc".encode("utf-16-le"), b"\xff\xfea", b"\xfe\xff\xd8"]
)
def test_any_other_encoding_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(CaptionsError, match="save it as UTF-8"):
        decode_captions(data)


# --- slides ----------------------------------------------------------------------------------------------------------


def cue(start: str, end: str, text: str) -> Cue:
    return Cue(seconds(start), seconds(end), text)


def told(shown: tuple[Slide, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(str(slide.start), str(slide.end), slide.texts) for slide in shown]


def test_slides_have_no_gaps_and_stack_what_overlaps() -> None:
    cues = (cue("1", "4", "a"), cue("2", "3", "b"), cue("2", "5", "c"), cue("7", "99", "d"))
    assert told(slides(cues, Fraction(8))) == [
        ("0", "1", ()),
        ("1", "2", ("a",)),
        ("2", "3", ("a", "b", "c")),
        ("3", "4", ("a", "c")),
        ("4", "5", ("c",)),
        ("5", "7", ()),
        ("7", "8", ("d",)),
    ]


def test_neighbours_that_say_the_same_are_one_slide() -> None:
    cues = (cue("0", "1/3", "a"), cue("1/3", "2/3", "a"), cue("5", "6", "late"))
    assert told(slides(cues, Fraction(1))) == [("0", "2/3", ("a",)), ("2/3", "1", ())]


def test_nothing_is_shown_in_no_time_and_one_empty_slide_without_cues() -> None:
    assert slides((cue("0", "1", "a"),), Fraction(0)) == ()
    assert told(slides((), Fraction(5))) == [("0", "5", ())]


def test_a_heap_of_captions_is_refused() -> None:
    with pytest.raises(CaptionsError, match="21 captions"):
        slides([cue("1", "2", str(number)) for number in range(21)], Fraction(9))


# --- pictures --------------------------------------------------------------------------------------------------------


def captions(**fields: object) -> Captions:
    return Captions.model_validate({"kind": "captions", "format": "srt", "text": "-", **fields})


def inked(picture: Image.Image) -> tuple[int, int, int, int]:
    extent = picture.getchannel("A").getbbox()
    assert extent is not None
    return extent


STACK = (
    Slide(Fraction(0), Fraction(1), ("One",)),
    Slide(Fraction(1), Fraction(2), ("One", "Two\nand three", "Four Ty")),
    Slide(Fraction(2), Fraction(3), ()),
)


@pytest.mark.parametrize("canvas", [CANVAS, (718, 1278)])
def test_all_slides_have_one_size_within_the_safe_area(canvas: tuple[int, int], fonts: Fonts) -> None:
    band = draw_band(STACK, captions(), canvas, fonts)
    area = safe_area(canvas, 0.9)
    assert {band.picture(slide).size for slide in STACK} == {(band.width, band.height)}
    assert (band.left % 2, band.top % 2, band.top + band.height) == (0, 0, area.bottom)
    for slide in STACK[:2]:
        left, top, right, bottom = inked(band.picture(slide))
        assert area.left <= band.left + left < band.left + right <= area.right
        assert area.top <= band.top + top < band.top + bottom <= area.bottom
        assert abs(band.left + (left + right) / 2 - canvas[0] / 2) <= 2


def test_a_short_slide_stands_at_the_bottom(fonts: Fonts) -> None:
    """Where it would stand without the others: the band does not move it."""
    band, alone = (draw_band(shown, captions(), CANVAS, fonts) for shown in (STACK, STACK[:1]))
    (left, top), (left_alone, top_alone) = (
        (each.left + extent[0], each.top + extent[1])
        for each in (band, alone)
        for extent in [inked(each.picture(STACK[0]))]
    )
    assert top == top_alone
    assert abs(left - left_alone) <= 1


def test_the_earlier_caption_stands_above(fonts: Fonts) -> None:
    tall = Slide(Fraction(0), Fraction(1), ("mmmmmmmm", "i"))
    picture = np.asarray(draw_band((tall,), captions(), CANVAS, fonts).picture(tall))[..., 3]
    upper, lower = np.array_split(picture, 2)
    assert upper.sum() > 3 * lower.sum() > 0


def test_a_slide_without_captions_is_transparent(fonts: Fonts) -> None:
    band = draw_band(STACK, captions(style={"box": {}}), CANVAS, fonts)
    assert band.picture(STACK[2]).getchannel("A").getextrema() == (0, 0)
    empty = draw_band(STACK[2:], captions(), CANVAS, fonts)
    assert empty.picture(STACK[2]).getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_captions_are_aligned_within_the_safe_area(align: str, fonts: Fonts) -> None:
    style = {"align": align, "box": {"color": "#FF0000FF", "radius": 0}}
    band = draw_band(STACK, captions(style=style), CANVAS, fonts)
    area = safe_area(CANVAS, 0.9)
    left, _, right, _ = (edge + band.left for edge in inked(band.picture(STACK[0])))
    assert {"left": left == area.left, "right": right == area.right, "center": abs(left + right - 1280) <= 2}[align]


def test_captions_that_do_not_fit_are_named_by_their_time(fonts: Fonts) -> None:
    shown = (*STACK, Slide(seconds("12.5"), Fraction(13), ("word " * 400,)))
    with pytest.raises(TextTooLongError, match=r"At 12\.500 s of the captions: .* lines"):
        draw_band(shown, captions(), CANVAS, fonts)
