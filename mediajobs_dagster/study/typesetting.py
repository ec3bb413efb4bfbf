"""Sets a document in type, as a PDF, with Typst.

The source is a file of this package that never changes. The text comes as data, which Typst does not interpret. It can
read two files and no others, and asks for no packages. The same document gives the same bytes.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mediajobs_dagster.errors import ExtraMissingError, TypesettingError
from mediajobs_dagster.study.document import (
    Asking,
    Block,
    Document,
    Heading,
    NewPage,
    Paragraph,
    Point,
    Points,
    Table,
    clock,
    letter,
    moment_address,
)
from mediajobs_dagster.study.formulas import FormulaError, parsed
from mediajobs_dagster.timelines.text.font_files import Characters, characters_of, faces_of

_TEMPLATE = "document.typ"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}")
_UNBROKEN = re.compile(r"[!-~]{40}(?=[!-~])")
_FEWEST_FOR_CONTENTS = 5
_LATIN, _LAST = "Noto Sans", ("Noto Emoji", "Noto Sans Symbols")
_EMBEDDED = "DejaVu Sans Mono"


def check_typst() -> None:
    """Raise ExtraMissingError where there is no Typst."""
    if find_spec("typst") is None:
        raise ExtraMissingError.of("A study guide as PDF needs", "study")


def write_pdf(document: Document, path: Path) -> None:
    """Write the document as a PDF. Raises ExtraMissingError, TypesettingError, OSError."""
    path.write_bytes(_compiled(document, "pdf"))


def pictures_of(document: Document, *, ppi: float = 96.0) -> list[bytes]:
    """The pages of the document as PNG. Raises ExtraMissingError, TypesettingError, OSError."""
    made = _compiled(document, "png", ppi=ppi)
    return [made] if isinstance(made, bytes) else made


def without_glyphs(document: Document) -> str:
    """The characters of a document that none of our fonts has, each once.

    They are shown only where this machine has a font for them, and as boxes elsewhere.
    """
    ours = _characters()
    text = json.dumps(_data(document), ensure_ascii=False)
    return "".join(
        each
        for each in dict.fromkeys(text)
        if ord(each) > 0x7F and unicodedata.category(each)[0] in "LNPS" and not any(ord(each) in face for face in ours)
    )


@cache
def _characters() -> list[Characters]:
    paths = sorted(Path(str(files("manimgx_fonts"))).glob("*.ttf"))
    return [characters_of(face) for path in paths for face in faces_of(path)]


def _compiled(document: Document, kind: Literal["pdf", "png"], *, ppi: float | None = None) -> Any:
    check_typst()
    import typst

    # Its own folder is all that Typst can read.
    with tempfile.TemporaryDirectory(prefix="mediajobs-typst-") as name:
        root = Path(name)
        (root / _TEMPLATE).write_text(_template())
        (root / "document.json").write_text(json.dumps(_data(document), ensure_ascii=False))
        try:
            return typst.compile(
                str(root / _TEMPLATE),
                root=name,
                font_paths=[str(files("manimgx_fonts"))],
                format=kind,
                package_path=str(root / "packages"),
                package_cache_path=str(root / "packages"),
                ppi=ppi,
            )
        except typst.TypstError as error:
            raise TypesettingError(f"{document.title} cannot be set as a PDF: {error}") from error


@cache
def _template() -> str:
    return files("mediajobs_dagster.study").joinpath(_TEMPLATE).read_text()


@cache
def _fonts() -> list[str]:
    """Our families: the Latin one first, then those of other scripts."""
    import typst

    ours = typst.Fonts(include_system_fonts=False, font_paths=[str(files("manimgx_fonts"))]).families()
    scripts = sorted(name for name in ours if name.startswith(_LATIN) and name not in (_LATIN, *_LAST))
    return [_LATIN, *scripts, *_LAST, _EMBEDDED]


def _data(document: Document) -> dict[str, Any]:
    """The document as the template takes it."""
    source = {"source": document.source, "source-shown": _breakable(document.source)} if document.source else {}
    headings = sum(isinstance(block, Heading) for block in document.blocks)
    return {
        "title": _breakable(document.title),
        "facts": [_breakable(fact) for fact in document.facts],
        "language": _language(document.language),
        "fonts": _fonts(),
        "contents": headings >= _FEWEST_FOR_CONTENTS,
        "blocks": [_block(block, document.source) for block in document.blocks],
        **source,
    }


def _block(block: Block, source: str | None) -> dict[str, Any]:
    match block:
        case Heading(level, text, moment):
            return {"kind": "heading", "level": level, "text": _breakable(text), **_timed(moment, source)}
        case Paragraph(text, is_quiet):
            return {"kind": "paragraph", "quiet": is_quiet, "text": _breakable(text)}
        case Points(points):
            return {"kind": "points", "points": [dict(_point(point, source)) for point in points]}
        case Table(head, rows):
            shown = [
                {"cells": [_breakable(cell) for cell in row.cells], "moment": _moment(row.moment, source)}
                for row in rows
            ]
            return {"kind": "table", "head": list(head), "rows": shown}
        case Asking(number, text, options, lines):
            choices = [{"letter": letter(at), "text": _breakable(each)} for at, each in enumerate(options)]
            return {"kind": "asking", "number": number, "text": _breakable(text), "options": choices, "lines": lines}
        case NewPage():
            return {"kind": "page"}


def _point(point: Point, source: str | None) -> Iterator[tuple[str, Any]]:
    yield "text", _breakable(point.text)
    yield from _timed(point.moment, source).items()
    code = [point.code.expandtabs()] if point.code else []
    if point.formula:
        try:
            yield "formula", parsed(point.formula)
        except FormulaError:
            code.insert(0, point.formula)
    if code:
        yield "code", "\n".join(code)


def _timed(seconds: float | None, source: str | None) -> dict[str, Any]:
    return {} if seconds is None else {"moment": _moment(seconds, source)}


def _moment(seconds: float, source: str | None) -> dict[str, str]:
    return {"clock": clock(seconds), **({"url": moment_address(source, seconds)} if source else {})}


def _breakable(text: str) -> str:
    """A text in which what has no blank for forty characters can be broken all the same."""
    return _UNBROKEN.sub("\\g<0>\u200b", text)


def _language(tag: str | None) -> str:
    """The language of a tag, for hyphenation and direction; English where there is none."""
    first = (tag or "").partition("-")[0]
    return first.casefold() if _LANGUAGE.fullmatch(first) else "en"
