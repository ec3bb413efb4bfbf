"""Titles and lower thirds, held against their pixels."""

from __future__ import annotations

import shutil
import subprocess
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.job_types.video_export.pam import pam
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.timelines.model import Box, LowerThird, Outline, Position, TextStyle, Title
from mediajobs_dagster.timelines.text import bidi
from mediajobs_dagster.timelines.text.fonts import Fonts, UnknownFontError
from mediajobs_dagster.timelines.text.graphemes import graphemes
from mediajobs_dagster.timelines.text.lettering import (
    Lettering,
    TextTooLongError,
    draw_lower_third,
    draw_title,
    safe_area,
)
from mediajobs_dagster.timelines.text.typesetting import Letters, set_text

CANVAS = (1280, 720)
FAMILY = "👨‍👩‍👧"
HARD = {
    "quotes": """it's "so" `so` ‘so’ “so”""",
    "filter syntax": r"a:b=c,d;[e] %{n} %d C:\new\table \n '",
    "emoji": f"😀 {FAMILY} 🇩🇪 👍🏽 ❤️ 1️⃣",
    "arabic": "مرحبا بالعالم",
    "hebrew": "שלום עולם",
    "devanagari": "नमस्ते दुनिया क्षि",
    "thai": "สวัสดี น้ำ",
    "combining": "e\u0301 a\u0323\u0302",
    "zalgo": "Z̴̢̛͎̤̈́a̵̡̯̒̕l̶̰̈́g̷̣̓̈́͜o̵̯̐",
    "no font has it": "\U0003fffd",
    "control characters": "a\x00b\x1bc\ttab",
    "a lone mark": "\u0301",
}


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    """The fonts that come with the program, and none of this machine's."""
    return Fonts(folders=())


def title(text: str, *, place: str = "middle", position: Position | None = None, **style: object) -> Title:
    return Title.model_validate(
        {"kind": "title", "text": text, "duration": 3, "place": place, "position": position, "style": style}
    )


def on_canvas(lettering: Lettering) -> NDArray[np.uint8]:
    """The whole canvas, height × width × RGBA."""
    canvas = Image.new("RGBA", CANVAS)
    canvas.paste(lettering.picture, (lettering.left, lettering.top))
    return np.asarray(canvas)


def ink(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not transparent."""
    rows, columns = np.nonzero(pixels[..., 3])
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def covered(text: str, fonts: Fonts) -> int:
    """Pixels that the text's letters cover more than half."""
    return int((np.asarray(draw_title(title(text), CANVAS, fonts).picture)[..., 3] > 127).sum())


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
@pytest.mark.parametrize("place", ["top", "middle", "bottom"])
def test_whatever_the_text_it_leaves_ink_within_the_safe_area(text: str, place: str, fonts: Fonts) -> None:
    drawn = draw_title(title(text, place=place, outline={"width": 0.1}), CANVAS, fonts)
    left, top, right, bottom = ink(on_canvas(drawn))
    area = safe_area(CANVAS, 0.9)
    assert (area.left <= left, area.top <= top, right <= area.right, bottom <= area.bottom) == (True,) * 4
    assert drawn.picture.getchannel("A").getbbox() is not None


def test_a_centred_title_has_its_ink_in_the_middle(fonts: Fonts) -> None:
    """Of every line, within two pixels; down the canvas the even line counts, not its letters."""
    pixels = on_canvas(draw_title(title("Once upon a time\nTy"), CANVAS, fonts))
    for lines in (pixels[:360], pixels[360:]):
        left, _, right, _ = ink(lines)
        assert abs((left + right) / 2 - 640) <= 2


def test_left_and_right_are_flush_with_the_safe_area(fonts: Fonts) -> None:
    area = safe_area(CANVAS, 0.9)
    left = ink(on_canvas(draw_title(title("Jot\nA longer line", align="left"), CANVAS, fonts)))
    right = ink(on_canvas(draw_title(title("Jot\nA longer line", align="right"), CANVAS, fonts)))
    assert left[0] == area.left
    assert right[2] == area.right


def test_places_lie_under_one_another(fonts: Fonts) -> None:
    top, middle, bottom = (
        ink(on_canvas(draw_title(title("x", place=p), CANVAS, fonts))) for p in ("top", "middle", "bottom")
    )
    assert top[3] < 150 < middle[1] < 360 < middle[3] < 570 < bottom[1]


def test_a_position_is_the_middle_of_the_text_and_may_lie_outside(fonts: Fonts) -> None:
    box = Box(color="#FF0000FF")
    left, top, right, bottom = ink(
        on_canvas(draw_title(title("here", position=Position(x=0.25, y=0.75), box=box), CANVAS, fonts))
    )
    assert abs((left + right) / 2 - 320) <= 1
    assert abs((top + bottom) / 2 - 540) <= 1
    assert draw_title(title("gone", position=Position(x=-1, y=2)), CANVAS, fonts).left < -1200


@pytest.mark.parametrize("text", ["a", "ab", "abc", "Wij"])
def test_a_drawing_begins_at_even_pixels(text: str, fonts: Fonts) -> None:
    """`overlay` moves odd ones where the colour planes are halved."""
    for align in ("left", "center", "right"):
        drawn = draw_title(title(text, align=align), (1278, 718), fonts)
        assert (drawn.left % 2, drawn.top % 2) == (0, 0)


# --- lines -----------------------------------------------------------------------------------------------------------


def lines_of(text: str, fonts: Fonts, room: float = 300, size: float = 40) -> list[str]:
    return [line.text for line in set_text(text, Letters("Noto Sans", 500, False, size), room, fonts)]


def test_lines_break_at_spaces_and_keep_every_letter(fonts: Fonts) -> None:
    text = "The quick brown fox jumps over the lazy dog"
    lines = lines_of(text, fonts)
    assert len(lines) > 2
    assert " ".join(lines) == text


def test_explicit_lines_stay_empty_ones_too(fonts: Fonts) -> None:
    assert lines_of("a\r\n\n b \u2028c\n", fonts) == ["a", "", "b", "c"]


def test_a_long_word_breaks_between_graphemes(fonts: Fonts) -> None:
    word = (FAMILY + "e\u0323\u0302" + "🇩🇪" + "क्षि") * 9
    lines = lines_of(word, fonts)
    assert len(lines) > 2
    whole = graphemes("".join(lines))
    assert [part for line in lines for part in graphemes(line)] == whole
    assert len(whole) == 4 * 9


def test_a_letter_has_no_more_marks_than_writing_knows(fonts: Fonts) -> None:
    """Those that are left out would each be a letter to set and to draw."""
    (heaped,) = graphemes("e" + "\u0301" * 2000)
    assert heaped == "e" + "\u0301" * 31
    many, most = (draw_title(title("x" + "\u0323" * count), CANVAS, fonts).picture for count in (1999, 31))
    assert many.size == most.size


def test_ideographs_break_anywhere_but_before_a_full_stop(fonts: Fonts) -> None:
    for size in range(30, 60, 3):
        lines = lines_of("日本語の文章はどこでも、折り返せる。「ただし」例外がある。", fonts, size=size)
        assert not any(line[0] in "、。」" or line[-1] == "「" for line in lines)


@pytest.mark.parametrize("text", [*HARD.values(), "W" * 2000, "word " * 400, "\u0301" * 500, "אבג abc " * 99])
def test_no_line_is_wider_than_its_room(text: str, fonts: Fonts) -> None:
    lines = set_text(text, Letters("Noto Sans", 700, True, 20, 2), 400, fonts)
    assert lines
    assert all(line.width <= 400 for line in lines)
    for line in lines:  # what a line says of its extent is what it draws: nothing lies outside
        roomy, exact = line.mask(line.outline, margin=60).getbbox(), line.mask(line.outline).getbbox()
        assert roomy
        assert exact
        assert tuple(edge - 60 for edge in roomy) == exact


def test_only_spaces_are_one_transparent_pixel(fonts: Fonts) -> None:
    drawn = draw_title(title("  \n \t ", box=Box()), CANVAS, fonts)
    assert drawn.picture.size == (1, 1)
    assert drawn.picture.getpixel((0, 0)) == (0, 0, 0, 0)


def test_a_text_that_does_not_fit_is_refused_and_says_how_much_does(fonts: Fonts) -> None:
    with pytest.raises(
        TextTooLongError, match=r"takes \d\d+ lines, and 10 of them \(\d\d\d characters\) fit"
    ) as refused:
        draw_title(title("word " * 400), CANVAS, fonts)
    assert "1152×648" in str(refused.value)


def test_a_letter_that_is_too_large_is_refused(fonts: Fonts) -> None:
    with pytest.raises(TextTooLongError, match="too large"):
        draw_title(title("W", size=0.5), (64, 1920), fonts)


def test_two_thousand_small_characters_fit(fonts: Fonts) -> None:
    assert draw_title(title("wörd " * 400, size=0.02), CANVAS, fonts).picture.width > 900


# --- looks -----------------------------------------------------------------------------------------------------------


def colours(lettering: Lettering) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in np.asarray(lettering.picture).reshape(-1, 4).tolist()}


def test_letters_outline_and_box_have_their_colours(fonts: Fonts) -> None:
    drawn = draw_title(
        title(
            "Bold",
            color="#FF0000",
            outline=Outline(color="#00FF00", width=0.1),
            box=Box(color="#0000FF80", radius=0),
            size=0.2,
        ),
        CANVAS,
        fonts,
    )
    assert {(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 128)} <= colours(drawn)


def test_transparent_letters_are_half_there(fonts: Fonts) -> None:
    alphas = np.asarray(draw_title(title("See through", color="#FFFFFF40"), CANVAS, fonts).picture)[..., 3]
    assert alphas.max() == 0x40


def test_what_is_transparent_has_the_colour_beside_it(fonts: Fonts) -> None:
    """Halved colour planes mix neighbours: black ones would draw a dark edge."""
    pixels = np.asarray(draw_title(title("Edge", color="#FF8000"), CANVAS, fonts).picture)
    assert (pixels[..., :3] == (0xFF, 0x80, 0)).all()
    assert (pixels[..., 3] == 0).any()


def test_round_corners_are_smooth_and_square_ones_are_full(fonts: Fonts) -> None:
    box = {"color": "#FFFFFFFF", "padding": 1}
    square, smooth = (
        draw_title(title("x", box={**box, "radius": radius}), CANVAS, fonts).picture.getchannel("A")
        for radius in (0, 0.5)
    )
    square, smooth = (np.asarray(alpha.crop(alpha.getbbox())) for alpha in (square, smooth))
    assert (square == 255).all()
    assert smooth[0, 0] == smooth[-1, -1] == 0
    corner = smooth[:25, :25]
    assert ((corner > 0) & (corner < 255)).sum() > 10
    assert (corner == corner.T).mean() > 0.95


def test_weight_and_slant_change_the_letters(fonts: Fonts) -> None:
    plain, bold, italic = (
        np.asarray(draw_title(title("Hamburg", align="left", **style), CANVAS, fonts).picture)
        for style in ({"weight": 400}, {"weight": 700}, {"italic": True, "weight": 400})
    )
    assert bold[..., 3].sum() > 1.2 * plain[..., 3].sum()
    assert italic.shape != plain.shape or not (italic == plain).all()


def test_size_is_a_share_of_the_canvas(fonts: Fonts) -> None:
    small, large = (draw_title(title("H", size=size), CANVAS, fonts).picture.height for size in (0.1, 0.2))
    assert small == pytest.approx(0.1 * 720 * 0.714, abs=2)  # the height of Noto's capitals
    assert large == pytest.approx(2 * small, abs=2)


# --- scripts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["😀", FAMILY, "🇩🇪", "👍🏽", "❤️", "☎", "→", "क", "ع", "ש", "ก", "ქ", "አ", "ខ"])
def test_a_script_or_an_emoji_is_drawn_and_not_as_a_box(text: str, fonts: Fonts) -> None:
    missing = np.asarray(draw_title(title("\U0003fffd"), CANVAS, fonts).picture)
    drawn = np.asarray(draw_title(title(text), CANVAS, fonts).picture)
    assert drawn.shape != missing.shape or not (drawn == missing).all()
    face = fonts.face_for(text, "Noto Sans", 500, False)
    font = fonts.load(face, 500, 50)
    assert bytes(font.getmask(text[0])) != bytes(font.getmask("\U0003fffd"))


def test_a_sequence_of_emoji_is_one_picture(fonts: Fonts) -> None:
    """A family is about as wide as one face, not as three."""
    one, family = (draw_title(title(text), CANVAS, fonts).picture.width for text in ("😀", FAMILY))
    assert family < 1.5 * one


def test_arabic_letters_are_joined(fonts: Fonts) -> None:
    joined, apart = (draw_title(title(text), CANVAS, fonts).picture.width for text in ("سلام", "س ل ا م"))
    assert joined < 0.7 * apart


def test_a_line_from_right_to_left_begins_at_the_right(fonts: Fonts) -> None:
    """Hebrew, then Latin, in one line of two fonts: the Latin word stands at the left, and is not turned round."""
    (line,) = set_text("שלום abc", Letters("Noto Sans", 500, False, 40), 900, fonts)
    assert [(piece.text.strip(), piece.direction) for piece in line.pieces if piece.text.strip()] == [
        ("abc", "ltr"),
        ("שלום", "rtl"),
    ]
    (line,) = set_text("abc שלום", Letters("Noto Sans", 500, False, 40), 900, fonts)
    assert [piece.text.strip() for piece in line.pieces if piece.text.strip()] == ["abc", "שלום"]


def test_arabic_is_not_drawn_backwards(fonts: Fonts) -> None:
    forwards, backwards = (np.asarray(draw_title(title(text), CANVAS, fonts).picture) for text in ("مرحبا", "ابحرم"))
    assert forwards.shape != backwards.shape or not (forwards == backwards).all()


MIXED = [
    *("abc אבג 123", "אבג abc 123", "אבג (abc) דהו", "abc (אבג) def", "אבג 12:30, 50%", "(abc אבג) [דהו 1-2]"),
    *("אבג! abc?", "مرحبا 123 abc", "$20 אבג €30", "1,5 + 2 אבג", "אב(ג", "abc - אבג - 12 - def"),
]


@pytest.mark.parametrize("text", MIXED)
def test_the_order_of_runs_is_that_of_fribidi(text: str, fonts: Fonts) -> None:
    """Pillow hands a whole line to FriBidi where one font has it all; runs of several fonts are ordered by us.

    Noto Sans has neither Hebrew nor Arabic, which is just as good: one box stands for another, in whatever shape.
    """
    font = fonts.load(fonts.face("Noto Sans", 400, False), 400, 30)
    base = bidi.base_level(text)
    levels = bidi.levels(text, base)
    shown = ""
    runs = [
        (level, "".join(character for character, _ in run))
        for level, run in groupby(zip(text, levels, strict=True), key=lambda each: each[1])
    ]
    for number in bidi.visual_order([level for level, _ in runs]):
        level, run = runs[number]
        shown += bidi.turned(run) if level % 2 else run
    expected = font.getmask(text, direction="rtl" if base else "ltr")
    # The override keeps FriBidi from turning round what is in order already.
    actual = font.getmask(f"\u202d{shown}\u202c", direction="ltr")
    assert bytes(actual) == bytes(expected)


def test_without_fribidi_letters_still_stand_in_order(fonts: Fonts) -> None:
    """Pillow looks for the system's FriBidi; a machine that has none draws what needs no joining of letters."""
    plain = Fonts(folders=(), shapes=False)
    for text in ("Hello (Wörld)", "שלום (abc) 12"):
        with_it, without = (draw_title(title(text), CANVAS, each) for each in (fonts, plain))
        one, other = (np.asarray(drawn.picture.resize((400, 40)))[..., 3] / 255 for drawn in (with_it, without))
        assert abs(one - other).mean() < 0.1
    with pytest.raises(SettingsError, match="libfribidi0"):
        draw_title(title("سلام"), CANVAS, plain)


# --- fonts -----------------------------------------------------------------------------------------------------------


def test_an_unknown_family_is_refused_and_some_are_named(fonts: Fonts) -> None:
    with pytest.raises(UnknownFontError, match=r"no font family 'Comic Neue'.*Noto Sans"):
        draw_title(title("x", font="Comic Neue"), CANVAS, fonts)


def test_a_family_on_the_machine_is_found_by_its_name(tmp_path: Path, fonts: Fonts) -> None:
    """Whatever its file is called; other files in the folder do no harm."""
    (tmp_path / "deep").mkdir()
    shutil.copy(fonts.face("noto sans hebrew", 400, False).path, tmp_path / "deep" / "x.TTF")
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0\0\x09" + b"\xff" * 40)
    (tmp_path / "empty.otf").write_bytes(b"")
    (tmp_path / "cut.ttf").write_bytes((tmp_path / "deep" / "x.TTF").read_bytes()[:300])
    machine = Fonts(folders=(tmp_path, tmp_path / "absent"))
    assert set(machine._installed) == {"noto sans hebrew"}


def test_the_nearest_face_of_a_family_is_taken(fonts: Fonts) -> None:
    assert fonts.face("NOTO SANS", 400, True).italic
    assert not fonts.face(" noto sans ", 900, False).italic
    assert fonts.face("Noto Sans", 900, False).weight_for(900) == 700


# --- lower thirds, files ---------------------------------------------------------------------------------------------


def lower_third(**fields: object) -> LowerThird:
    return LowerThird.model_validate({"kind": "lower_third", "name": "Ada Lovelace", "duration": 3, **fields})


def test_a_lower_third_lies_below_at_its_side(fonts: Fonts) -> None:
    area = safe_area(CANVAS, 0.9)
    left = ink(on_canvas(draw_lower_third(lower_third(role="Analyst"), CANVAS, fonts)))
    right = ink(on_canvas(draw_lower_third(lower_third(role="Analyst", side="right"), CANVAS, fonts)))
    assert (left[0], left[3]) == (area.left, area.bottom)
    assert (right[2], right[3]) == (area.right, area.bottom)
    assert left[2] < 640 < right[0]


def test_a_role_is_smaller_and_below_the_name(fonts: Fonts) -> None:
    style = TextStyle(size=0.1, align="left")
    alone = draw_lower_third(lower_third(name="HHH", style=style), CANVAS, fonts)
    both = np.asarray(draw_lower_third(lower_third(name="HHH", role="HHH", style=style), CANVAS, fonts).picture)
    rows = (both[..., 3] > 127).any(axis=1)
    heights = [sum(1 for _ in run) for inked, run in groupby(rows.tolist()) if inked]
    assert heights[0] == pytest.approx(alone.picture.height, abs=1)
    assert heights[1] == pytest.approx(0.75 * heights[0], abs=1)


def test_ffmpeg_reads_a_drawing_with_its_transparency(tmp_path: Path, fonts: Fonts, tools: Tools) -> None:
    drawn = draw_title(title("PAM", box=Box(color="#FF000080", radius=0)), CANVAS, fonts).picture
    (tmp_path / "a.pam").write_bytes(pam(drawn))
    command = [tools.ffmpeg, "-v", "error", "-f", "pam_pipe", "-i", "a.pam", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    assert raw == drawn.tobytes()


def test_a_drawing_is_rgba() -> None:
    with pytest.raises(ValueError, match="not RGB"):
        pam(Image.new("RGB", (2, 2)))
