"""How much of what a talk is about is in its notes: the extractive writer beside "the first sentences".

    python -m benchmarks.notes [--quick] [--json FILE]

Three talks of different kinds: a lecture, a speech about history, instructions. The key terms of each were listed by
hand, in the order in which the talk comes to them. Covered is a term that is said in the points of the notes. "First
sentences" are as many sentences from the beginning of the talk as there are points, and once more as many words. Also
how long a guide takes to write and to set as PDF, and what a talk of 300,000 words takes.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.study.document import About, document_of_notes
from mediajobs_dagster.study.extractive import write_notes
from mediajobs_dagster.study.model import Asked, Notes
from mediajobs_dagster.study.questions import write_assessment
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.study.typesetting import pictures_of
from mediajobs_dagster.study.words import stem, words_of
from tests.study.talks import NAMES, talk_of, text_of, transcript_of

KEY_TERMS = {
    "gradient_descent": (
        *("gradient descent", "loss function", "parameters", "gradient", "partial derivatives", "learning rate"),
        *("momentum", "Adam", "stochastic", "mini-batch", "epoch", "backpropagation", "chain rule", "overfitting"),
        *("validation set", "early stopping", "regularization", "dropout", "mean squared error", "cross-entropy"),
    ),
    "printing_press": (
        *("printing press", "scribe", "parchment", "paper", "Gutenberg", "goldsmith", "movable type", "alloy", "ink"),
        *("Bible", "Fust", "incunabula", "Venice", "Manutius", "literacy", "Reformation", "pamphlets", "Luther"),
        *("censorship", "science", "woodcut", "China"),
    ),
    "sourdough": (
        *("starter", "wild yeast", "bacteria", "float test", "hydration", "protein", "gluten", "autolyse", "salt"),
        *("stretch and fold", "bulk fermentation", "temperature", "underproofed", "overproofed", "surface tension"),
        *("proof", "Dutch oven", "steam", "oven spring", "score", "crumb", "cool"),
    ),
}
LONG = 300_000


def covered(terms: Sequence[str], text: str) -> float:
    """The share of the terms that a text has, by the stems of their words."""
    said = f" {' '.join(map(stem, words_of(text)))} "
    return sum(f" {' '.join(map(stem, words_of(term)))} " in said for term in terms) / len(terms)


def first_sentences(talk: Talk, count: int) -> str:
    """The beginning of a talk, in sentences."""
    return " ".join(passage.text for passage in talk.passages[:count])


def first_words(talk: Talk, count: int) -> str:
    """The beginning of a talk, in words."""
    return " ".join(" ".join(passage.text for passage in talk.passages).split()[:count])


def points_of(notes: Notes) -> list[str]:
    """All that the notes say in points, each once."""
    points = [*notes.key_points, *(point for section in notes.outline for point in section.points)]
    return list(dict.fromkeys(point.text for point in points))


def compared(name: str) -> list[Row]:
    """The coverage of one talk, in percent."""
    talk, terms = talk_of(name), KEY_TERMS[name]
    points = points_of(write_notes(talk, Asked()))
    text = " ".join(points)
    share, of = 100 * covered(terms, text), f"{len(points)} of {len(talk.passages)} sentences"
    first = 100 * covered(terms, first_sentences(talk, len(points)))
    as_long = 100 * covered(terms, first_words(talk, len(text.split())))
    return [
        Row(f"{name}: key terms in the notes ({of})", share, "%", budget=max(first, as_long), at_least=True),
        Row(f"{name}: in as many first sentences", first, "%"),
        Row(f"{name}: in as many first words", as_long, "%"),
    ]


def timed() -> list[Row]:
    """Seconds of CPU of a guide of usual length."""
    talk = talk_of(NAMES[0])
    pictures_of(document_of_notes(write_notes(talk, Asked()), About("")))  # what is imported and loaded once
    start = time.process_time()
    notes = write_notes(talk, Asked())
    write_assessment(talk, notes, Asked())
    written = time.process_time()
    pictures_of(document_of_notes(notes, About("")))
    return [
        Row("800 words: notes and questions", 1000 * (written - start), "ms"),
        Row("800 words: its pages", 1000 * (time.process_time() - written), "ms"),
    ]


def very_long() -> list[Row]:
    """Seconds of CPU, and memory, of a talk of LONG words."""
    lines = [line for name in NAMES for line in text_of(name).splitlines() if line.strip()]
    repeated: list[str] = []
    words = 0
    while words < LONG:
        line = f"{lines[len(repeated) % len(lines)][:-1]} in part {len(repeated) // len(lines)}."
        repeated.append(line)
        words += len(line.split())
    talk = Talk.of(transcript_of("\n".join(repeated)), "Long")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    notes = write_notes(talk, Asked())
    write_assessment(talk, notes, Asked())
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [
        Row(f"{words:,} words: notes and questions", time.process_time() - start, "s", budget=60.0),
        Row(f"{words:,} words: memory on top of the transcript", more, "MB", budget=300.0),
    ]


def main() -> None:
    """Print the table."""
    arguments = options(__doc__ or "").parse_args()
    rows = [row for name in NAMES for row in compared(name)]
    rows += timed()
    if not arguments.quick:
        rows += very_long()
    print_report("Notes", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
