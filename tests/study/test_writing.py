"""Texts of a talk in Markdown, in links and in formulas: they are shown as they are, and nothing else."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mediajobs_dagster.study.document import About, Points, clock, document_of_notes, moment_address, public_address
from mediajobs_dagster.study.formulas import FormulaError, parsed
from mediajobs_dagster.study.markdown import escaped
from mediajobs_dagster.study.model import KeyPoint, Notes

RENDERER = MarkdownIt("gfm-like", {"linkify": False})


def shown(markdown: str) -> str:
    """What a reader of rendered Markdown sees, if it is one paragraph of plain text."""
    rendered = RENDERER.render(markdown).strip()
    return html.unescape(re.sub(r"^<p>|</p>$", "", rendered))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*a* _b_ # x",
            "1. x",
            "1) x",
            "- y",
            "+ z",
            "# h",
            "===",
            "> q",
            "[^1]: foo",
            "~~x~~",
            "&amp; &lt;",
            ":smile:",
        ),
        *("<script>alert(1)</script>", "[x](javascript:alert(1))", "![](http://e/x.png)", "a | b", "`code`", "$x$"),
        *("www.example.com http://e.com a@b.c", 'mini-batch isn\'t 3.5 (yes) "no" 5:13', "a\\b", "ends with \\"),
        *("Assessment: f(x) (or not), snake_case (really!).", "[x](y)", "\\(x\\)", "_a_(b)_c_", "(1) 2) 3."),
    ],
)
def test_no_text_is_markup(text: str) -> None:
    """Rendered, it is what was said."""
    assert shown(escaped(text)) == text


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=60))
def test_whatever_is_said_is_shown(text: str) -> None:
    """The same for any signs in any order."""
    assert shown(escaped(text)) == text


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://www.youtube.com/watch?v=abc&t=3", "https://www.youtube.com/watch?v=abc&t=83s"),
        ("https://youtu.be/abc", "https://youtu.be/abc?t=83s"),
        ("https://example.com/talk.mp4?q=1#old", "https://example.com/talk.mp4?q=1#t=83"),
        ("https://notyoutube.com/v", "https://notyoutube.com/v#t=83"),
        ("https://user:secret@example.com/v", None),
        ("https://bucket.example.com/v?X-Amz-Signature=0123456789abcdef", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("https://example.com/a b", None),
        ("https://[", None),
        (None, None),
    ],
)
def test_times_lead_into_public_videos_alone(origin: str | None, address: str | None) -> None:
    """A secret in an address, or another scheme, leaves the time without a link."""
    source = public_address(origin)
    assert (moment_address(source, 83.9) if source else None) == address


def test_moments_are_written_as_people_do() -> None:
    """With hours where there are some."""
    assert [clock(seconds) for seconds in (0, 5.9, 65, 3600, 45296)] == ["0:00", "0:05", "1:05", "1:00:00", "12:34:56"]


def test_formulas_become_trees() -> None:
    """Letters, signs with their distance, fractions, indices and powers."""
    assert parsed(r"\frac{a}{2} = x_i^2") == [
        "row",
        ["frac", ["row", ["var", "a"]], ["row", "2"]],
        ["relation", "="],
        ["attach", ["var", "x"], ["var", "i"], "2"],
    ]


@pytest.mark.parametrize("formula", ["", r"\input{/etc/passwd}", "{", "}", "x^", r"\frac{1}", "{" * 1000, "a" * 1000])
def test_what_is_no_formula_is_refused(formula: str) -> None:
    """It is shown as it is written then."""
    with pytest.raises(FormulaError):
        parsed(formula)


@pytest.mark.parametrize(
    "text", ["Assessment: sorting (fast)", "call f(x), then snake_case", "Is it 5:13? (No.)", "What is “work”?"]
)
def test_what_means_nothing_is_not_escaped(text: str) -> None:
    """Markdown is read as it is, too."""
    assert escaped(text) == text


def test_code_is_lines_of_plain_text() -> None:
    """What a model writes as code keeps its lines and no character that commands a terminal or turns others round."""
    code = "if x:\r\n\treturn \u202e1\x1b[31m\x00\n\n# \ud800 done\n"
    point = KeyPoint(text="So it is.", seconds=0.0, code=code)
    notes = Notes(
        title="On code",
        subject="AI",
        duration_seconds=9.0,
        summary=("So it is.",),
        key_points=(point,),
        terms=(),
        outline=(),
    )
    document = document_of_notes(notes, About("By hand."))
    (points,) = (block for block in document.blocks if isinstance(block, Points))
    assert points.points[0].code == "if x:\n    return 1 [31m\n\n#   done"
