"""Three talks of different kinds: a lecture, a speech about history, instructions. Written for these tests."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.transcripts.model import Method, Sentence, Transcript

NAMES = ("gradient_descent", "printing_press", "sourdough")
WORDS_A_SECOND = 2.5


def text_of(name: str) -> str:
    """What is said in one of them, a sentence a line."""
    return Path(__file__).with_name(f"{name}.txt").read_text()


def transcript_of(text: str, *, language: str | None = "en") -> Transcript:
    """The transcript of a text whose sentences are its lines, spoken at an even pace."""
    sentences: list[Sentence] = []
    at = 0.0
    for line in filter(None, map(str.strip, text.splitlines())):
        end = at + max(1, len(line.split())) / WORDS_A_SECOND
        sentences.append(Sentence(text=line, start=round(at, 3), end=round(end, 3)))
        at = end
    return Transcript(
        language=language, method=Method.SPEECH, model="test", duration_seconds=round(at, 3), sentences=tuple(sentences)
    )


def talk_of(name: str) -> Talk:
    """One of the talks."""
    return Talk.of(transcript_of(text_of(name)), name.replace("_", " ").capitalize())
