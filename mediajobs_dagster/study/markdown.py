"""Writes a document as Markdown (CommonMark, and tables as GitHub has them). No text of it is read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

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

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&$^:=@\"'%,/;?])")
"""All punctuation of ASCII: CommonMark lets each be escaped, and renderers add uses of their own."""
_HARMLESS = re.compile(
    r"(?<=[^\W_])(?<!www)\\([.,;?'\"%!_-])(?=[^\W_])"  # between letters: mini-batch, isn't, 3.5, snake_case
    r"|(?<=[^\W_]|[)”’])\\([.,:;?!%'\"])(?=\s|$|\\\))"  # at the end of a word, or within brackets
    r"|(?<=\s)\\(['\"])(?=\w)"
    r"|(?<=\d)\\([:,])(?=\d)"
    r"|(?<![\]\\])\\([()])"  # a link or a formula begins with a bracket or a backslash before it
)
"""Punctuation that no reading of CommonMark or GitHub's makes markup where it stands."""


def escaped(text: str) -> str:
    """A text that renders as it is. Punctuation that means nothing where it stands stays readable."""
    whole = _SPECIAL.sub(r"\\\1", text)
    plain = _HARMLESS.sub(lambda match: next(filter(None, match.groups())), whole)
    # A number with a full stop at the beginning of a line begins a list.
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", plain)


def to_markdown(document: Document) -> str:
    """The document as Markdown."""
    facts = " · ".join(escaped(fact) for fact in document.facts)
    parts = [f"# {escaped(document.title)}", facts]
    if document.source:
        parts.append(f"Source: <{_target(document.source)}>")
    parts += (part for block in document.blocks for part in _block(block, document.source))
    return "\n\n".join(filter(None, parts)) + "\n"


def _block(block: Block, source: str | None) -> Iterator[str]:
    match block:
        case Heading(level, text, moment):
            time = "" if moment is None else f" ({_moment(moment, source)})"
            yield f"{'#' * (level + 1)} {escaped(text)}{time}"
        case Paragraph(text, is_quiet):
            yield f"*{escaped(text)}*" if is_quiet else escaped(text)
        case Points(points):
            yield "\n".join(_point(point, source) for point in points)
        case Table(head, rows):
            lines = [_row(map(escaped, head)), _row("---" for _ in head)]
            lines += (_row([*map(escaped, row.cells), _moment(row.moment, source)]) for row in rows)
            yield "\n".join(lines)
        case Asking(number, text, options, lines):
            choices = "".join(f"\n   - {letter(at)}) {escaped(option)}" for at, option in enumerate(options))
            yield f"{number}. {escaped(text)}{choices}" + ("\n\n   &nbsp;" if lines else "")
        case NewPage():
            yield "---"


def _point(point: Point, source: str | None) -> str:
    time = "" if point.moment is None else f"{_moment(point.moment, source)} "
    formula = _fenced(point.formula, "math") if point.formula else ""
    return f"- {time}{escaped(point.text)}{formula}{_fenced(point.code) if point.code else ''}"


def _fenced(text: str, language: str = "") -> str:
    """A block of code within a list. Its fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    lines = [f"{fence}{language}", *text.expandtabs().splitlines(), fence]
    return "\n\n" + "\n".join(f"  {line}".rstrip() for line in lines)


def _row(cells: Iterator[str] | map[str] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _moment(seconds: float, source: str | None) -> str:
    return f"[{clock(seconds)}]({_target(moment_address(source, seconds))})" if source else clock(seconds)


def _target(address: str) -> str:
    """The target of a link, without what would end it or begin markup."""
    return re.sub(r"[\\<>()\[\]`*_\"'|{}^\s]", lambda match: f"%{ord(match[0]):02X}", address)
