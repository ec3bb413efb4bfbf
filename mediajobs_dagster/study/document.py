"""A guide as a document: headings, paragraphs, points and tables. Markdown and PDF are both written from it.

Whatever comes from a talk, or from a writer, is plain text in it and stays that: no text is read as markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.study.model import Assessment, Notes, Question, QuestionKind, Section

_LONGEST_TITLE = 200
_YOUTUBE = re.compile(r"(?:[\w-]+\.)*(?:youtube\.com|youtu\.be|youtube-nocookie\.com)", re.ASCII)
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is below the title."""

    level: int
    text: str
    moment: float | None = None
    """Seconds of the talk."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str
    is_quiet: bool = False
    """Whether it is said in small letters, as a remark."""


@dataclass(frozen=True)
class Point:
    """One entry of a list, and where the talk says it."""

    text: str
    moment: float | None = None
    formula: str = ""
    code: str = ""


@dataclass(frozen=True)
class Points:
    """A list."""

    points: tuple[Point, ...]


@dataclass(frozen=True)
class Row:
    """A row of a table; `moment` is its last cell."""

    cells: tuple[str, ...]
    moment: float


@dataclass(frozen=True)
class Table:
    """A table, whose last column is where the talk says it."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Asking:
    """A question without its answer."""

    number: int
    text: str
    options: tuple[str, ...] = ()
    lines: int = 0
    """Empty lines for an answer in one's own words."""


@dataclass(frozen=True)
class NewPage:
    """What follows begins on a new page, where there are pages."""


Block = Heading | Paragraph | Points | Table | Asking | NewPage


@dataclass(frozen=True)
class Document:
    """A document."""

    title: str
    facts: tuple[str, ...]
    """What is said in one line below the title."""
    language: str | None
    blocks: tuple[Block, ...]
    source: str | None = None
    """The public address of the talk, into which moments lead."""


@dataclass(frozen=True)
class About:
    """What a guide says of itself."""

    made: str
    """How it was written, a sentence or two."""
    source: str | None = None
    """The address that the talk was fetched from."""


def document_of_notes(notes: Notes, about: About) -> Document:
    """The document that notes are."""
    return Document(
        title=plain(notes.title)[:_LONGEST_TITLE],
        facts=(plain(notes.subject), clock(notes.duration_seconds)),
        language=notes.language,
        blocks=(*_blocks_of_notes(notes), Paragraph(about.made, is_quiet=True)),
        source=public_address(about.source),
    )


def document_of_assessment(assessment: Assessment, about: About, *, language: str | None = None) -> Document:
    """The document that an assessment is: the questions, then the answers."""
    count = len(assessment.questions)
    return Document(
        title=plain(f"Assessment: {assessment.title}")[:_LONGEST_TITLE],
        facts=(plain(assessment.subject), f"{count} question{'' if count == 1 else 's'}", assessment.difficulty.value),
        language=language,
        blocks=(*_blocks_of_assessment(assessment), Paragraph(about.made, is_quiet=True)),
        source=public_address(about.source),
    )


def _blocks_of_notes(notes: Notes) -> Iterator[Block]:
    if not notes.key_points:
        yield Paragraph("Nothing is said in this recording, so there is nothing to note.")
        return
    yield Heading(1, "Summary")
    yield Paragraph(plain(" ".join(notes.summary)))
    yield Heading(1, "Key points")
    yield Points(tuple(_point(each.text, each.seconds, each.formula, each.code) for each in notes.key_points))
    if notes.terms:
        yield Heading(1, "Terms")
        rows = (Row((plain(each.term), plain(each.meaning)), each.seconds) for each in notes.terms)
        yield Table(("Term", "What the talk says", "Time"), tuple(rows))
    if notes.outline:
        yield Heading(1, "Outline")
        for section in notes.outline:
            yield from _section(section)


def _section(section: Section) -> Iterator[Block]:
    yield Heading(2, plain(section.title)[:_LONGEST_TITLE], section.start)
    if section.points:
        yield Points(tuple(_point(each.text, each.seconds) for each in section.points))


def _point(text: str, seconds: float, formula: str = "", code: str = "") -> Point:
    return Point(plain(text), seconds, plain(formula), plain_lines(code))


_INSTRUCTION = {
    QuestionKind.CLOZE: "Fill in the gap.",
    QuestionKind.CHOICE: "",
    QuestionKind.TRUE_FALSE: "True or false?",
    QuestionKind.SHORT_ANSWER: "Answer in one or two sentences.",
}
_LINES = 3


def _blocks_of_assessment(assessment: Assessment) -> Iterator[Block]:
    if not assessment.questions:
        yield Paragraph("This recording says too little to ask questions about it.")
        return
    yield Heading(1, "Questions")
    for number, question in enumerate(assessment.questions, 1):
        text = " ".join(filter(None, (_INSTRUCTION[question.kind], plain(question.prompt))))
        lines = _LINES if question.kind is QuestionKind.SHORT_ANSWER else 0
        yield Asking(number, text, tuple(map(plain, question.options)), lines)
    yield NewPage()
    yield Heading(1, "Answers")
    rows = (_answer(number, question) for number, question in enumerate(assessment.questions, 1))
    yield Table(("No.", "Answer", "What the talk says", "Time"), tuple(rows))


def _answer(number: int, question: Question) -> Row:
    answer = plain(question.answer)
    if question.kind is QuestionKind.CHOICE:
        answer = f"{letter(question.options.index(question.answer))}) {answer}"
    said = plain(question.explanation)
    if question.kind is QuestionKind.SHORT_ANSWER and not said:
        answer, said = "In your own words", answer
    return Row((str(number), answer, said), question.seconds)


def letter(number: int) -> str:
    """How an option is counted: A, B, C and so on."""
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def plain(text: str) -> str:
    """A text in one line, without characters that control something or turn the order of others round."""
    return " ".join(_harmless(text).split())


def plain_lines(text: str) -> str:
    """A text in lines, indented as they are, without such characters. A tab goes to the next fourth column."""
    return "\n".join(_harmless(line.expandtabs(4)).rstrip() for line in text.splitlines()).strip("\n")


def _harmless(text: str) -> str:
    kept = (each if unicodedata.category(each) not in ("Cc", "Cs", "Co", "Cn") else " " for each in text)
    return "".join(each for each in kept if each not in _REORDERING)


def clock(seconds: float) -> str:
    """A moment as people write it: 4:05 or 1:02:33."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def public_address(origin: str | None) -> str | None:
    """`origin`, if it is an address on the web that has no secret in it; else None."""
    if origin is None or len(origin) > 2000 or any(each.isspace() or ord(each) < 33 for each in origin):
        return None
    try:
        parts = urlsplit(origin)
        is_public = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.username or parts.password)
        )
    except ValueError:
        return None
    return origin if is_public and redact(origin) == origin else None


def moment_address(source: str, seconds: float) -> str:
    """The address of a moment of a talk: of YouTube by its `t`, elsewhere as a media fragment of the W3C."""
    parts, whole = urlsplit(source), max(0, int(seconds))
    if _YOUTUBE.fullmatch((parts.hostname or "").lower()):
        query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "t"]
        return urlunsplit(parts._replace(query=urlencode([*query, ("t", f"{whole}s")]), fragment=""))
    return urlunsplit(parts._replace(fragment=f"t={whole}"))
